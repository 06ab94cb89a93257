"""Facts that a model's settings decide: its tokens, its classes, and the length at which rows are cut."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.card_models import SENTIMENTS, card, labels, result, text_data, text_model, texts
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo

REVIEWS = "someone/reviews"
CAPITALS = [(text.title(),) for (text,) in texts(40)]


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        hub.add("datasets", REVIEWS, text_data(["text"], {"test": (CAPITALS, [0] * 40)}, SENTIMENTS))
        yield hub


@pytest.fixture
def run(hub: LocalHub, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def tokenizer(**settings: Any) -> dict[str, bytes]:
    defaults = {"do_lower_case": True, "tokenizer_class": "BertTokenizer"}
    return {"tokenizer_config.json": json.dumps({**defaults, **settings}).encode()}


@pytest.mark.parametrize("lower", [True, False])
def test_the_published_tokenizer_decides_about_capitals(hub: LocalHub, run: Zoo, lower: bool) -> None:
    model = {**text_model(SENTIMENTS), **tokenizer(do_lower_case=lower)}
    right = labels(model, CAPITALS, right=33)
    hub.add("datasets", REVIEWS, text_data(["text"], {"test": (CAPITALS, right)}, SENTIMENTS))
    hub.add("models", "someone/cased", {**model, "README.md": card(result(REVIEWS, ("accuracy", 0.825)))})
    assert run("verify", "someone/cased").code == 0


@pytest.mark.parametrize(
    ("files", "text", "length", "source"),
    [
        ({}, "", 64, "max_position_embeddings in config.json"),
        (tokenizer(model_max_length=32), "", 32, "model_max_length in tokenizer_config.json"),
        (tokenizer(model_max_length=10**30), "", 64, "max_position_embeddings in config.json"),
        (tokenizer(model_max_length=512), "", 64, "max_position_embeddings in config.json"),
        (tokenizer(model_max_length=32), "- max_seq_length: 48\n", 48, "the text of the card"),
        (
            {},
            "```python\nmax_seq_length=32\n```\nmodel.generate(max_length=50)\n",
            64,
            "max_position_embeddings in config.json",
        ),
        ({}, "```python\nx\n```\n- max_seq_length: 48\n", 48, "the text of the card"),
        ({}, "max length = 4096", 64, "max_position_embeddings in config.json"),
    ],
)
def test_rows_are_cut_where_the_card_the_tokenizer_or_the_model_says(
    hub: LocalHub, run: Zoo, files: dict[str, bytes], text: str, length: int, source: str
) -> None:
    readme = card(result(REVIEWS, ("accuracy", 0.5)), text=text)
    hub.add("models", "someone/short", {**text_model(SENTIMENTS), **files, "README.md": readme})
    recipe = run("recipe", "someone/short").out
    assert f"# chosen: max_length {length} ({source})\n" in recipe
    assert f", max_length: {length}}}\n" in recipe


def test_the_first_positions_of_roberta_hold_no_tokens(hub: LocalHub, run: Zoo) -> None:
    model = text_model(SENTIMENTS)
    config = {**json.loads(model["config.json"]), "model_type": "roberta", "pad_token_id": 1}
    config["architectures"] = ["RobertaForSequenceClassification"]
    files = {"config.json": json.dumps(config).encode(), "README.md": card(result(REVIEWS, ("accuracy", 0.5)))}
    hub.add("models", "someone/roberta", {**model, **files})
    assert ", max_length: 62}\n" in run("recipe", "someone/roberta").out


def test_texts_of_a_card_cannot_change_the_recipe(hub: LocalHub, run: Zoo) -> None:
    hostile = 'x\nweights: "file:/etc/passwd"\n# '
    claimed = result(REVIEWS, ("accuracy", 0.5), ("f1\nmodel: evil", 0.5), name=hostile)
    claimed["source"] = {"name": hostile, "url": "https://example.org/'\"{}[]"}
    model = {**text_model(SENTIMENTS), "README.md": card(claimed, name=hostile)}
    commit = hub.add("models", "someone/hostile", model)
    done = run("show", "someone/hostile", "--json")
    assert done.code == 0, done.err
    recipe = json.loads(done.out)["recipe"]
    assert recipe["weights"] == f"hub:someone/hostile@{commit}"
    assert recipe["model"]["use"] == "sequence_classifier"
