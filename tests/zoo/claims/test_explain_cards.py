"""`zoo explain` of a model of the Hub names why its card is not true."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.card_models import SENTIMENTS, card, labels, result, text_data, text_model, texts
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo

PAIRS, SHORT, CAPITALS = "someone/pairs", "someone/short", "someone/capitals"
COLUMNS = ("sentence1", "sentence2")


@pytest.fixture(scope="module")
def model() -> dict[str, bytes]:
    return text_model(SENTIMENTS)


@pytest.fixture(scope="module")
def hub(model: dict[str, bytes]) -> Iterator[LocalHub]:
    """Data sets whose labels the model predicts right in 33 of 40 rows, if it is evaluated as their names say."""
    pairs, single = texts(40, columns=2), texts(40)
    capitals = [(text.title(),) for (text,) in single]
    swapped = labels(model, [pair[::-1] for pair in pairs], right=33)
    cased = labels({**model, "tokenizer_config.json": b'{"do_lower_case": false}'}, capitals, right=33)
    splits = {"validation": (single, labels(model, single, right=33)), "test": (single[:30], [0, 1] * 15)}
    with LocalHub() as hub:
        hub.add("datasets", PAIRS, text_data(COLUMNS, {"validation": (pairs, swapped)}, SENTIMENTS))
        hub.add("datasets", CAPITALS, text_data(["text"], {"validation": (capitals, cased)}, SENTIMENTS))
        hub.add("datasets", SHORT, text_data(["text"], splits, SENTIMENTS))
        yield hub


@pytest.mark.parametrize(
    ("data", "split", "outputs", "factor", "words"),
    [
        (SHORT, "test", None, "split", "validation instead of test"),
        (
            SHORT,
            "validation",
            ("LABEL_0", "LABEL_1"),
            "label order",
            "positive, negative instead of negative, positive",
        ),
        (PAIRS, "validation", None, "pair order", "second, first instead of first, second"),
        (CAPITALS, "validation", None, "tokenizer", "lowercase false instead of true"),
    ],
)
def test_the_cause_is_named(
    hub: LocalHub, model: dict[str, bytes], zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    data: str, split: str, outputs: tuple[str, ...] | None, factor: str, words: str,
) -> None:  # fmt: skip
    files = model if outputs is None else text_model(outputs, order=(1, 0))
    hub.add("models", "someone/tiny", {**files, "README.md": card(result(data, ("accuracy", 0.825), split=split))})
    run = use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)
    done = run("explain", "hf://someone/tiny", "--json")
    assert done.code == 1, done.err
    found: dict[str, Any] = json.loads(done.out)
    assert (found["state"], found["title"]) == ("explained", "someone/tiny"), found["sentences"]
    assert factor in found["successful"]
    assert any(sentence.startswith(f"{factor}: {words} reproduces the claims") for sentence in found["sentences"])


def test_another_file_of_the_repository_is_named(
    hub: LocalHub, model: dict[str, bytes], zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        **text_model(SENTIMENTS, seed=5),
        "README.md": card(result(SHORT, ("accuracy", 0.825), split="validation")),
    }
    files |= {f"checkpoint-7/{name}": model[name] for name in ("config.json", "model.safetensors")}
    hub.add("models", "someone/two", {**files, "checkpoint-7/optimizer.pt": b"not read"})
    run = use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)
    done = run("explain", "someone/two", "--json")
    assert done.code == 1, done.err
    assert re.search(r"someone--two: \d+ changes to try: \d+ score the same outputs", done.err)
    found: dict[str, Any] = json.loads(done.out)
    assert found["successful"] == ["weights file"], found["sentences"]
    assert found["sentences"][-1].startswith(
        "weights file: checkpoint-7/model.safetensors instead of model.safetensors reproduces the claims"
    )
