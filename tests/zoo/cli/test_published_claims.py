"""What `zoo publish` writes about models of texts and images, zoo reads back as the same claims."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from sklearn.metrics import f1_score, precision_score

from tests.helpers.card_models import TOPICS, card, labels, outputs, result, text_data, text_model, texts
from tests.helpers.glue_hub import results, use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.image_cards import CIFAR, cifar_data, right_among, vit_model
from tests.helpers.project import Zoo

NLI, URL = "someone/nli", "https://example.org/record"
ROWS = texts(45, seed=5, columns=2)
Model = Mapping[str, bytes]


@pytest.fixture(scope="module")
def topics() -> dict[str, bytes]:
    """A classifier of three classes with its card: macro F1, weighted precision, and a false accuracy."""
    model = text_model(TOPICS)
    right, predicted = labels(model, ROWS, right=30), outputs(model, ROWS).argmax(dim=1)
    macro = float(f1_score(right, predicted, average="macro"))
    weighted = float(precision_score(right, predicted, average="weighted", zero_division=0))
    metrics = [("F1 (macro)", macro), ("weighted precision", weighted), ("accuracy", 0.9)]
    return {**model, "README.md": card(result(NLI, *metrics, split="validation"))}


@pytest.fixture(scope="module")
def images() -> dict[str, bytes]:
    model = vit_model()
    metrics = [("accuracy", right_among(model, 1) / 50), ("top-5-accuracy", right_among(model, 5) / 50)]
    return {**model, "README.md": card(result("cifar10", *metrics, task="image-classification", split="test"))}


@pytest.fixture
def hub(topics: Model, images: Model) -> Iterator[LocalHub]:
    with LocalHub() as hub:
        right = labels(dict(topics), ROWS, right=30)
        hub.add("datasets", NLI, text_data(["premise", "hypothesis"], {"validation": (ROWS, right)}, TOPICS))
        hub.add("datasets", CIFAR, cifar_data())
        hub.add("models", "someone/topics", topics)
        hub.add("models", "someone/images", images)
        yield hub


@pytest.fixture
def run(hub: LocalHub, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


@pytest.fixture
def read_back(hub: LocalHub, run: Zoo) -> Callable[..., list[tuple[str, str]]]:
    """Publish a run to a file of a new repository, and return the claims that zoo verifies there, with verdicts."""

    def read(model: str, files: Model, file: str, *words: str) -> list[tuple[str, str]]:
        target = "model-index" if file == "README.md" else "eval-results"
        published = run("publish", f"{model}:weights", "--to", target, "--source", URL, "--out", file, *words)
        assert published.code == 0, published.err
        others = {name: data for name, data in files.items() if name != "README.md"}
        hub.add("models", f"{model}-{target}", {**others, file: Path(file).read_bytes()})
        (entry,) = results(run("verify", f"{model}-{target}", "--json")).values()
        return sorted((claim["name"], claim["verdict"]) for claim in entry["claims"])

    return read


def test_averages_are_published_and_read_back(read_back: Callable[..., object], topics: Model, run: Zoo) -> None:
    assert run("verify", "someone/topics").code == 1
    assert read_back("someone/topics", topics, "README.md") == [
        ("accuracy on nli validation", "reproduced"),
        ("f1 (macro) on nli validation", "reproduced"),
        ("precision (weighted) on nli validation", "reproduced"),
    ]
    front = yaml.safe_load(Path("README.md").read_text().split("---")[1])
    metrics = {metric["name"]: metric for metric in front["model-index"][0]["results"][0]["metrics"]}
    assert (metrics["f1 (macro)"]["type"], metrics["f1 (macro)"]["args"]["average"]) == ("f1", "macro")
    claims = read_back("someone/topics", topics, ".eval_results/a.yaml", "--metric", "f1")
    assert claims == [("f1 (macro) on nli validation", "reproduced")]
    assert run("attest", "key", "my.key").code == 0
    signed = run("attest", "sign", "someone/topics:weights", "--key", "my.key", "--out", "a.json")
    assert "weights: f1 (macro) on validation: claimed " in signed.out
    assert "\nf1 (macro) on validation: claimed " in run("attest", "verify", "a.json").out
    exported = run("publish", "someone/topics:weights", "--to", "every-eval-ever", "--metric", "f1")
    assert '"metric_id": "f1_macro",\n+        "metric_name": "f1 (macro)",' in exported.out


def test_scores_of_images_are_published_and_read_back(
    read_back: Callable[..., object], images: Model, run: Zoo
) -> None:
    assert run("verify", "someone/images").code == 0
    assert read_back("someone/images", images, "README.md") == [
        ("accuracy on cifar10 plain_text test", "reproduced"),
        ("top5_accuracy on cifar10 plain_text test", "reproduced"),
    ]
    text = Path("README.md").read_text()
    assert "type: image-classification\n" in text
    assert "type: top-5-accuracy\n" in text
    only = read_back("someone/images", images, ".eval_results/a.yaml")
    assert only == [("accuracy on cifar10 plain_text test", "reproduced")]
