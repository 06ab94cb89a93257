"""`zoo verify` of a model card shows first which of its claims arithmetic contradicts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import precision_recall_fscore_support

from tests.helpers.card_models import SENTIMENTS, card, labels, outputs, result, text_data, text_model, texts
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Zoo

MRPC = {"config": "mrpc", "split": "validation"}
FOUND = "audit: accuracy 0.8577 (glue mrpc, validation): no share of 408 rows"


@pytest.fixture(scope="module")
def model() -> dict[str, bytes]:
    return text_model(SENTIMENTS)


@pytest.fixture(scope="module")
def hub(model: dict[str, bytes]) -> Iterator[LocalHub]:
    rows = texts(40)
    data = text_data(["text"], {"test": (rows, labels(model, rows, right=33))}, SENTIMENTS)
    with LocalHub() as server:
        server.add("datasets", "someone/reviews", data)
        yield server


@pytest.fixture
def run(hub: LocalHub, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def without_head(model: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of a model that zoo cannot evaluate, so that nothing is run."""
    settings: dict[str, Any] = json.loads(model["config.json"])
    return {**model, "config.json": json.dumps({**settings, "architectures": ["BertForMaskedLM"]}).encode()}


@pytest.mark.parametrize("command", ["verify", "reproduce"])
def test_the_audit_comes_before_the_reason(command: str, hub: LocalHub, run: Zoo, model: dict[str, bytes]) -> None:
    claimed = card(result("glue", ("accuracy", 0.8577), **MRPC))
    hub.add("models", "someone/odd", {**without_head(model), "README.md": claimed})
    done = run(command, "someone/odd")
    assert done.code == 3
    text = " ".join(done.out.split())
    assert f"someone/odd: not-compared {FOUND}" in text
    assert text.index(FOUND) < text.index("unsupported-model: ")
    assert text.count("audit: ") == 1


def test_a_reproduced_model_shows_the_audit_too(hub: LocalHub, run: Zoo, model: dict[str, bytes]) -> None:
    rows = texts(40)
    right = labels(model, rows, right=33)
    precision, recall, f1, _ = precision_recall_fscore_support(
        right, outputs(model, rows).argmax(dim=1), average="binary"
    )
    within_margin = round(float(f1) + 0.01, 4)
    scores = {"precision": round(float(precision), 4), "recall": round(float(recall), 4), "f1": within_margin}
    mixed = result("someone/reviews", *scores.items(), split="test")
    hub.add("models", "someone/mixed", {**model, "README.md": card(mixed)})
    done = run("verify", "someone/mixed")
    assert done.code == 0, done.out
    text = " ".join(done.out.split())
    assert "someone/mixed: reproduced audit: " in text
    assert "the harmonic mean of precision and recall, 0.8510 to 0.8512: " in text
    (entry,) = json.loads(run("verify", "someone/mixed", "--json").out)["entries"]
    assert entry["findings"][0].startswith("audit: ")


def test_a_consistent_or_uninformative_claim_has_no_audit(hub: LocalHub, run: Zoo, model: dict[str, bytes]) -> None:
    claimed = result("glue", ("accuracy", 0.8578), **MRPC), result("unknown", ("bleu", 0.3))
    hub.add("models", "someone/honest", {**without_head(model), "README.md": card(*claimed)})
    assert "audit: " not in run("verify", "someone/honest").out
