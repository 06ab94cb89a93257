"""Recipes that zoo makes of the cards of token classifiers, and their verdicts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn.metrics import f1_score

from tests.helpers.card_models import card, result
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo
from tests.helpers.tagged_words import TAGS, changed, predicted, sentences, tag_data, tagger
from zoo.claims.mapping.data_card import DataConfig
from zoo.claims.mapping.model_facts import ModelFacts
from zoo.claims.mapping.reasons import UnmappedError
from zoo.claims.mapping.tag_models import choose_tag_columns, tag_metric
from zoo.claims.metric_names import read_metric
from zoo.claims.published import PublishedClaim
from zoo.errors import Mark
from zoo.fetch.source_types import HubRepo
from zoo.tasks.entities import entities, split_tag

DATA = "someone/names"
WORDS = sentences(60)
MODEL = tagger()
PREDICTED = predicted(MODEL, WORDS)
TRUE = changed(PREDICTED, 0.1)


def entity_f1() -> float:
    """Return the F1 of whole entities, by sets of entities."""
    found, true = (
        {(row, *entity) for row, tags in enumerate(side) for entity in entities([*map(split_tag, tags)])}
        for side in (PREDICTED, TRUE)
    )
    return 2 * len(found & true) / (len(found) + len(true))


def token_f1() -> float:
    """Return the F1 of single words in entities, by scikit-learn."""
    found, true = ([tag for row in side for tag in row] for side in (PREDICTED, TRUE))
    return float(f1_score(true, found, labels=TAGS[1:], average="micro"))


def token_accuracy() -> float:
    pairs = [pair for sides in zip(PREDICTED, TRUE, strict=True) for pair in zip(*sides, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs)


def shown(*metrics: tuple[str, Any], **data: str) -> bytes:
    return card(result(DATA, *metrics, task="token-classification", **{"split": "validation", **data}))


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        server.add("datasets", DATA, tag_data({"train": (WORDS[:5], TRUE[:5]), "validation": (WORDS, TRUE)}))
        entity, token = round(entity_f1(), 4), round(token_f1(), 4)
        order = [3, 0, 4, 2, 1]
        permuted = tagger([TAGS[number] for number in order], order=order)
        unnamed = tagger([f"LABEL_{number}" for number in range(len(TAGS))])
        true = shown(("f1", entity), ("accuracy", round(token_accuracy(), 4)))
        server.add("models", "someone/true", {**MODEL, "README.md": true})
        server.add("models", "someone/tokens", {**MODEL, "README.md": shown(("f1", token))})
        server.add("models", "someone/named", {**MODEL, "README.md": shown(("Token-level F1", token))})
        server.add("models", "someone/permuted", {**permuted, "README.md": shown(("f1", entity))})
        server.add("models", "someone/unnamed", {**unnamed, "README.md": shown(("f1", entity))})
        odd = shown(("f1", 0.5), ("bleu", 0.5), ("entity accuracy", 0.5), ("binary f1", 0.5))
        server.add("models", "someone/odd", {**MODEL, "README.md": odd})
        other = tagger(["O", "B-X", "I-X", "B-Y", "I-Y"])
        server.add("models", "someone/other", {**other, "README.md": shown(("f1", 0.5))})
        yield server


@pytest.fixture
def hub_zoo(zoo: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def test_the_card_of_a_token_classifier_is_a_recipe(hub_zoo: Zoo) -> None:
    written = hub_zoo("recipe", "someone/true").out
    recipe = yaml.safe_load(written)
    assert recipe["task"].pop("data").startswith("hub:datasets/someone/names@")
    assert recipe["task"] == {
        "use": "token_classification", "tokens": "tokens", "tags": "ner_tags", "splits": ["train", "validation"],
        "scored": ["validation"], "max_length": 64,
    }  # fmt: skip
    assert recipe["model"] == {"use": "token_classifier", "init": recipe["weights"], "num_labels": 5}
    assert recipe["metrics"] == ["entity_f1", "token_accuracy"]
    assert "f1 is of whole entities, as seqeval counts them, not token_f1" in written
    Path("mine.yaml").write_text(written, encoding="utf-8")
    assert hub_zoo("check", "mine.yaml").code == 0


def test_claims_of_token_classifiers_are_verified_at_their_level(hub_zoo: Zoo) -> None:
    names = ["true", "named", "permuted", "unnamed", "tokens", "odd", "other"]
    done = hub_zoo("verify", *(f"someone/{name}" for name in names), "--json")
    entries = {entry["entry"].removeprefix("someone--"): entry for entry in json.loads(done.out)["entries"]}
    claims = {name: {claim["metric"]: claim for claim in entries[name]["claims"]} for name in names}
    verdicts = {name: {metric: claim["verdict"] for metric, claim in claims[name].items()} for name in names[:5]}
    assert verdicts == {
        "true": {"entity_f1": "reproduced", "token_accuracy": "reproduced"},
        "named": {"token_f1": "reproduced"},
        "permuted": {"entity_f1": "reproduced"},
        "unnamed": {"entity_f1": "reproduced"},
        "tokens": {"entity_f1": "not-reproduced"},
    }
    expected = f"the claimed value fits the token-level f1 (micro) of the same predictions, {token_f1():.4f}."
    assert f"entity_f1 is the entity-level f1; {expected}" in claims["tokens"]["entity_f1"]["why"]
    assert "are taken to have their classes in the same order" in str(entries["unnamed"]["findings"])
    reasons = {metric: claim["why"].partition(":")[0] for metric, claim in claims["odd"].items()}
    assert reasons["bleu"] == "unknown-metric"
    assert reasons["entity accuracy"] == reasons["binary f1"] == "undefined-metric"
    of_token_level = f"of the same predictions the token-level f1 (micro) is {token_f1():.4f}."
    assert of_token_level in claims["odd"]["entity_f1"]["why"]
    assert claims["other"]["f1"]["why"].startswith("labels-differ")


def test_a_claim_of_the_other_level_leads_to_the_doctor(hub_zoo: Zoo) -> None:
    done = hub_zoo("verify", "someone/tokens")
    assert "next: zoo doctor someone/tokens" in done.out
    assert hub_zoo("doctor", "someone/tokens").code == 0


@pytest.mark.parametrize(
    ("name", "average", "expected"),
    [
        ("f1", "", ("entity_f1", {})),
        ("overall_f1", "micro", ("entity_f1", {})),
        ("seqeval precision", "", ("entity_precision", {})),
        ("strict entity recall (macro)", "", ("entity_recall", {"average": "macro", "strict": True})),
        ("token f1", "weighted", ("token_f1", {"average": "weighted"})),
        ("accuracy", "", ("token_accuracy", {})),
        ("Token accuracy", "", ("token_accuracy", {})),
    ],
)
def test_the_name_of_a_metric_says_its_level(name: str, average: str, expected: tuple[str, dict[str, Any]]) -> None:
    claim = published(name, average)
    found = read_metric(claim)
    assert found is not None
    assert tag_metric(claim, found, TAGS)[:2] == expected


def published(name: str, average: str = "") -> PublishedClaim:
    mark = Mark(path="README.md", line=1, column=1)
    return PublishedClaim(metric=name, text="0.5", mark=mark, average=average, task="token-classification")


def test_parts_of_speech_have_scores_of_words_only() -> None:
    claim = published("f1")
    found = read_metric(claim)
    assert found is not None
    with pytest.raises(UnmappedError, match="write `average:`"):
        tag_metric(claim, found, ["NOUN", "VERB"])
    claim = published("f1 (macro)")
    found = read_metric(claim)
    assert found is not None
    assert tag_metric(claim, found, ["NOUN", "VERB"])[:2] == ("token_f1", {"average": "macro"})


def data(mapping: dict[str, str] | None = None, **lists: tuple[str, ...]) -> DataConfig:
    return DataConfig(name=None, splits=("test",), columns=tuple(lists), lists=lists, mapping=mapping or {})


def facts(*classes: str) -> ModelFacts:
    repo = HubRepo.parse("hub:someone/true")
    return ModelFacts(repo=repo, inputs="word", outputs=len(classes), kind="tags", classes=classes)


@pytest.mark.parametrize(
    ("of_data", "expected"),
    [
        (data({"words": "tokens", "x": "tags"}, words=(), x=TAGS), ("words", "x")),
        (data(tokens=(), pos_tags=("NOUN", "VERB"), ner_tags=TAGS), ("tokens", "ner_tags")),
        (data(tokens=(), ner_tags=("O", "B-X", "I-X", "B-Y", "I-Y"), other=TAGS), ("tokens", "other")),
        (data(words=(), tags=()), ("words", "tags")),
    ],
)
def test_columns_of_tags_are_found_by_index_classes_and_names(of_data: DataConfig, expected: tuple[str, str]) -> None:
    found = choose_tag_columns(of_data, facts(*TAGS))
    assert (*found.inputs, found.label) == expected


def test_data_without_words_or_tags_are_a_reason() -> None:
    with pytest.raises(UnmappedError, match="no-text"):
        choose_tag_columns(data(text=(), ner_tags=TAGS), facts(*TAGS))
    with pytest.raises(UnmappedError, match="no-label"):
        choose_tag_columns(data(tokens=(), topics=("a", "b")), facts(*TAGS))
