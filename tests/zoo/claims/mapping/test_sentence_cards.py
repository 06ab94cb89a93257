"""Recipes that zoo makes of the cards of sentence encoders."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.card_models import card, result
from tests.helpers.glue_hub import glue_data, use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo
from tests.helpers.sentence_encoders import POOLING, SETTINGS, encoder_files
from zoo.claims.mapping.columns import choose_columns
from zoo.claims.mapping.data_card import DataConfig

MODEL = "someone/encoder"


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        server.add("datasets", "nyu-mll/glue", glue_data())
        yield server


@pytest.fixture
def hub_zoo(zoo: Zoo, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def publish(hub: LocalHub, config: str = "stsb", settings: dict[str, Any] = SETTINGS, **data: str) -> None:
    claimed = result("glue", ("spearman_cosine", 0.82), task="semantic-similarity", config=config, **data)
    hub.add("models", MODEL, {**encoder_files(settings), "README.md": card(claimed)})


def test_stsb_of_glue_is_a_recipe_of_semantic_similarity(hub: LocalHub, hub_zoo: Zoo) -> None:
    publish(hub)
    written = hub_zoo("recipe", MODEL).out
    recipe = yaml.safe_load(written)
    repository = recipe["weights"]
    assert recipe["task"].pop("data").startswith("hub:datasets/nyu-mll/glue@")
    assert recipe["task"] == {
        "use": "semantic_similarity", "text": ["sentence1", "sentence2"], "score": "label", "config": "stsb",
        "splits": ["train", "validation"], "scored": ["validation"], "max_length": 12,
    }  # fmt: skip
    assert recipe["tokenizer"] == {"use": "published", "of": repository}
    assert recipe["model"] == {"use": "sentence_encoder", "init": repository, "pooling": "mean", "normalize": True}
    assert recipe["metrics"] == ["spearman"]
    assert "max_seq_length in sentence_bert_config.json" in written
    Path("mine.yaml").write_text(written, encoding="utf-8")
    assert hub_zoo("check", "mine.yaml").code == 0


@pytest.mark.parametrize(
    ("changed", "pooling"),
    [
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode": "max"}, "max"),
    ],
)
def test_pooling_is_the_published_one(hub: LocalHub, hub_zoo: Zoo, changed: dict[str, Any], pooling: str) -> None:
    publish(hub, settings={**SETTINGS, "1_Pooling/config.json": {**POOLING, **changed}})
    assert f"pooling: {pooling}, normalize: true" in hub_zoo("recipe", MODEL).out


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"1_Pooling/config.json": {**POOLING, "pooling_mode_cls_token": True}}, "has no way of pooling that zoo"),
        ({"1_Pooling/config.json": {**POOLING, "word_embedding_dimension": 8}}, "expects 8 features"),
        ({"config_sentence_transformers.json": {"similarity_fn_name": "dot"}}, "compares texts by 'dot'"),
        ({"sentence_bert_config.json": {"do_lower_case": True}}, "converts texts to lower case"),
        ({"modules.json": {"not": "a list"}}, "modules.json"),
    ],
)
def test_an_encoder_that_zoo_cannot_compute_is_a_reason(
    hub: LocalHub, hub_zoo: Zoo, settings: dict[str, Any], reason: str
) -> None:
    publish(hub, settings={**SETTINGS, **settings})
    (entry,) = json.loads(hub_zoo("verify", MODEL, "--json").out)["entries"]
    (claim,) = entry["claims"]
    assert claim["why"].startswith("unsupported-model: ")
    assert reason in claim["why"]


@pytest.mark.parametrize(
    ("config", "split", "reason"),
    [
        ("stsb", "test", "hidden-labels: "),
        ("sst2", "validation", "no-text: "),
        ("rte", "validation", "labels-differ: "),
    ],
)
def test_data_without_public_scores_of_pairs_are_a_reason(
    hub: LocalHub, hub_zoo: Zoo, config: str, split: str, reason: str
) -> None:
    publish(hub, config, split=split)
    (entry,) = json.loads(hub_zoo("verify", MODEL, "--json").out)["entries"]
    assert entry["claims"][0]["why"].startswith(reason)


def test_a_column_of_scores_is_found_by_its_name() -> None:
    pair = ("sentence1", "sentence2")
    assert choose_columns(DataConfig(name=None, splits=(), texts=pair, columns=(*pair, "score"))).label == "score"
