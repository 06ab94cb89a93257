"""Claims have names that tell them apart, whether they were run or not."""

from pathlib import Path

from tests.helpers.project import TINY
from zoo.claims.claim_names import claim_names, with_claim
from zoo.recipes.catalogue import LOCAL, Entry, NotComparedClaim, local
from zoo.recipes.claim import Claim

OF_CARD = """\
name: a--b--mrpc
task: {use: glue, name: mrpc, data: "hub:datasets/nyu-mll/glue"}
model: {use: sequence_classifier, init: "hub:a/b", num_labels: 2}
weights: hub:a/b
metrics: [accuracy, {use: f1, average: macro}, {use: sklearn.metrics.precision_score, average: macro, zero_division: 0}]
claims:
  - {of: weights, split: validation, metric: accuracy, value: 0.8578, decimals: 4, source: "a/b, README.md, line 9"}
  - {of: weights, split: validation, metric: f1, value: 0.8123, decimals: 4, source: "a/b, README.md, line 10"}
  - {of: weights, split: validation, metric: precision_score, value: 0.8, decimals: 1, source: "a/b, line 11"}
  - {of: weights, split: validation, metric: accuracy, value: 0.95, decimals: 2, source: "a/b, README.md, line 18"}
"""


def test_a_claim_of_a_card_is_named_with_its_data_set_its_average_and_its_line(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(OF_CARD)
    bleu = Claim(of="weights", split="glue mrpc validation", metric="bleu", source="a/b, README.md, line 12")
    unmapped = NotComparedClaim(claim=bleu, reason="unknown-metric", why="unknown-metric: ...")
    entry = Entry("a--b--mrpc", LOCAL, path, card="hub:a/b", part_of_card="mrpc", unmapped=(unmapped,))
    assert entry.title == "a/b (mrpc)"
    assert claim_names(entry, [*entry.recipe.claims, bleu]) == [
        "accuracy on glue mrpc validation (line 9)",
        "f1 (macro) on glue mrpc validation",
        "precision (macro) on glue mrpc validation",
        "accuracy on glue mrpc validation (line 18)",
        "bleu on glue mrpc validation",
    ]


def test_an_unreadable_recipe_is_named_by_a_claim_only_if_no_other_is(tmp_path: Path) -> None:
    (path := tmp_path / "card.yaml").write_text(OF_CARD)
    readable = Entry("a--b--mrpc", LOCAL, path, card="hub:a/b", part_of_card="mrpc")
    damaged = Entry("a--b--cola", LOCAL, tmp_path / "absent.yaml", card="hub:a/b", part_of_card="cola")
    assert with_claim([damaged, readable], "f1 (macro)", "a/b") == [readable]
    assert with_claim([damaged, readable], "cola", "a/b") == [damaged]
    assert with_claim([damaged, readable], "matthews", "a/b") == [damaged]


def test_a_claim_of_a_recipe_is_named_as_the_recipe_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    entry = local(path)
    claims = [Claim(of="retrain", split="test", metric="accuracy", source="x", value=value) for value in (0.8, 0.9)]
    assert claim_names(entry, claims) == ["accuracy on test", "accuracy on test"]
    assert entry.title == entry.name
