"""The claims of model cards are read, whatever their style, and one that cannot be read hides no other."""

from textwrap import dedent

import pytest

from zoo.claims.model_index import is_no_score, read_model_index
from zoo.claims.published import PublishedClaim

CARD = """\
---
language: en
model-index:
- name: bert-base-uncased-mrpc
  results:
  - task: {type: text-classification, name: Text Classification}
    dataset: {type: glue, name: GLUE MRPC, args: mrpc}
    metrics:
    - {type: accuracy, name: Accuracy, value: 0.8578431372549019}
    - {type: f1, name: F1 (macro), value: 0.90}
    - {type: loss, value: 0.3}
  - task: {type: natural-language-inference}
    dataset: {type: glue, name: glue, config: mrpc, split: validation, revision: abc}
    metrics:
    - {type: accuracy, value: 85.8 ± 0.2, verified: true, verifyToken: x}
    source: {name: HF, url: https://example.org}
---
# Title
"""


def read(text: str) -> tuple[PublishedClaim, ...]:
    return read_model_index(dedent(text), "README.md").claims


def test_old_and_new_styles_of_data_sets_are_read_with_their_lines() -> None:
    accuracy, f1, other = read(CARD)
    assert (accuracy.dataset, accuracy.config, accuracy.split) == ("glue", "mrpc", "")
    assert (accuracy.text, str(accuracy.mark)) == ("0.8578431372549019", "README.md:9:47")
    assert (f1.metric, f1.text) == ("F1 (macro)", "0.90")
    assert (other.config, other.split, other.revision) == ("mrpc", "validation", "abc")
    assert (other.text, other.has_badge, other.source) == ("85.8 ± 0.2", True, "https://example.org")
    assert {claim.model for claim in (accuracy, f1, other)} == {"bert-base-uncased-mrpc"}


def test_losses_are_kept_apart_from_scores() -> None:
    found = read_model_index(CARD, "README.md")
    assert [(claim.metric, claim.text) for claim in found.no_scores] == [("loss", "0.3")]
    assert len(found.claims) == 3


@pytest.mark.parametrize(
    "name", ["val_loss", "dev_loss", "eval/loss", "eval_test_loss", "Validation Loss", "train/epoch"]
)
def test_a_loss_of_any_split_is_no_score(name: str) -> None:
    assert is_no_score(name)


@pytest.mark.parametrize("name", ["hamming loss", "loss_accuracy", "eval_f1", "validation"])
def test_a_score_is_not_taken_for_a_loss(name: str) -> None:
    assert not is_no_score(name)


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        ("[{type: accuracy}]", "README.md:5:50: the metric 'accuracy' has no value that is a number"),
        ("[{value: 0.5}]", "README.md:5:50: a metric needs a 'type', such as accuracy, and a 'value'"),
        ("[0.5]", "README.md:5:50: a metric needs a 'type', such as accuracy, and a 'value'"),
        ("[{type: f1, value: [0.1, 0.2]}]", "README.md:5:50: the metric 'f1' has no value that is a number"),
    ],
)
def test_a_claim_that_cannot_be_read_is_a_problem_and_hides_no_other(metrics: str, problem: str) -> None:
    card = f"""---
model-index:
- name: m
  results:
  - {{dataset: {{type: glue, args: rte}}, metrics: {metrics}}}
  - {{dataset: {{type: glue, args: rte}}, metrics: {{type: accuracy, value: 0.5}}}}
---
"""
    found = read_model_index(card, "README.md")
    assert [str(each) for each in found.problems] == [problem]
    assert [claim.text for claim in found.claims] == ["0.5"]


@pytest.mark.parametrize(
    "text", ["", "# Title", "---\n---\n", "---\nlanguage: en\n---\n", "---\nmodel-index: []\n---\n"]
)
def test_a_card_without_claims_has_none(text: str) -> None:
    found = read_model_index(text, "README.md")
    assert not found.claims
    assert not found.problems


@pytest.mark.parametrize(
    ("front", "problem"),
    [
        ("a: [", "README.md:3:1: did not find"),
        ("model-index: text", "README.md:2:14: model-index must be a list of models"),
        ("a: &x 1\nb: *x", "README.md:2:4: anchors and aliases are not allowed"),
        ("\tx: 1", "README.md:2:1: a tab"),
    ],
)
def test_front_matter_that_cannot_be_read_is_a_problem_with_its_line(front: str, problem: str) -> None:
    (found,) = read_model_index(f"---\n{front}\n---\n", "README.md").problems
    assert str(found).startswith(problem.split("did not find", maxsplit=1)[0])


def test_windows_line_ends_a_byte_order_mark_and_several_models_are_read() -> None:
    card = """---
model-index:
- name: a
  results: [{dataset: {type: sst2}, metrics: [{name: eval_accuracy, value: 91}]}]
- name: b
  results: [{dataset: {type: sst2}, metrics: [{type: acc, value: 92}]}]
---
"""
    claims = read("\ufeff" + card.replace("\n", "\r\n"))
    assert [(claim.model, claim.metric, claim.text) for claim in claims] == [
        ("a", "eval_accuracy", "91"),
        ("b", "acc", "92"),
    ]


def test_a_control_character_in_a_text_hides_no_claim() -> None:
    found = read_model_index(CARD.replace("name: Accuracy", r'name: "Acc\euracy \ud800"'), "README.md")
    assert [claim.text for claim in found.claims] == [claim.text for claim in read(CARD)]
    assert not found.problems


def test_a_control_character_is_shown_as_an_escape() -> None:
    assert read(CARD.replace("F1 (macro)", r'"F1 \e[31m"'))[1].metric == r"F1 \x1b[31m"
