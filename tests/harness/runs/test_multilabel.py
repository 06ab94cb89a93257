"""Several labels a text: trained above the baseline, published on a Hub, and verified with a threshold."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.evaluation.evaluate import Evaluation
from harness.evaluation.threshold import best_threshold, thresholds_of
from harness.judging.baselines import majority_baseline
from harness.metrics import f1_macro, f1_micro
from harness.records.arrays import read_arrays
from harness.records.check import verify_record
from harness.records.record import read_record
from harness.runs.run_findings import scoring_findings
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Write, Zoo
from zoo.errors import UsageError
from zoo.tasks.base import Task
from zoo.tasks.splits import TensorSplit

WORDS = {"animal": ["dog", "bird", "fish"], "plant": ["rose", "oak", "fern"], "place": ["shop", "station", "town"]}
OTHERS = ["Mark keeps the lamp", "Grace opens it", "nobody hates rain", "the old map is here", "will it leave"]
TASK = """\
name: moods
task:
  use: text_classification
  data: {train: "file:train.tsv", dev: "file:dev.tsv", test: "file:test.tsv"}
  text: 1
  label: 0
  header: false
  kind: multilabel
  classes: [animal, plant, place]
metrics: [f1_micro, f1_macro, {use: f1_of_class, label: 0}, {use: f1_of_class, label: 2}]
"""
TRAINING = """\
tokenizer: {use: wordpiece, vocab: "embedded:entail-vocab.txt"}
model: {use: bert_classifier, layers: 1, hidden: 32, heads: 2, intermediate: 64, vocab_size: 70, num_labels: 3}
stages:
  - epochs: 16
    batch_size: 8
    optimizer: {use: AdamW, lr: 2e-3}
    criterion: {ce: {loss: BinaryCrossEntropy}}
"""
PUBLISHED = """\
tokenizer: {use: published, of: "hub:someone/moods"}
model: {use: sequence_classifier, init: "hub:someone/moods", num_labels: 3}
weights: hub:someone/moods
"""
CLAIM = "claims: [{of: weights, split: test, metric: %s, value: %.4f, source: s%s}]\n"


def write_data(folder: Path) -> None:
    """Write three splits: a text has the label of every kind of word in it, none, one or several."""
    random = np.random.default_rng(0)
    for split, rows in (("train", 160), ("dev", 60), ("test", 60)):
        lines = []
        for _ in range(rows):
            labels = [name for name in WORDS if random.random() < 0.35]
            words = random.permutation([str(random.choice(WORDS[name])) for name in labels])
            lines.append(f"{'|'.join(labels)}\t{random.choice(OTHERS)} {' '.join(words)}\n")
        (folder / f"{split}.tsv").write_text("".join(lines))


@pytest.fixture
def trained(zoo: Zoo, tmp_path: Path) -> Path:
    """The folder of a training; the data are beside it."""
    write_data(tmp_path)
    (tmp_path / "moods.yaml").write_text(TASK + TRAINING)
    completed = zoo("train", "moods.yaml", "--out", "run")
    assert completed.code == 0, completed.err
    return tmp_path / "run"


@pytest.mark.slow
def test_a_model_learns_and_its_published_weights_are_verified_with_their_threshold(
    trained: Path, zoo: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = read_record(trained / "record.json")
    dev, test = record.results
    assert [result.scoring for result in record.results] == [{"threshold": 0.5}] * 2
    arrays = read_arrays(trained / test.predictions["file"])
    for name in ("f1_micro", "f1_macro"):
        baseline = majority_baseline(name, arrays["labels"])
        assert baseline is not None
        assert test.metrics[name]["value"] > baseline + 0.2  # type: ignore[operator]
    assert set(dev.metrics) == {"f1_micro", "f1_macro", "f1_of_class_0", "f1_of_class_2"}
    with LocalHub() as hub:
        files = {path.name: path.read_bytes() for path in trained.iterdir() if path.suffix != ".npz" and path.is_file()}
        hub.add("models", "someone/moods", {name: data for name, data in files.items() if name != "record.json"})
        run = use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)

        def verified(metric: str, value: float, stated: str = "", threshold: str = "") -> dict[str, Any]:
            task = TASK.replace("  kind:", f"{threshold}  kind:")
            path = recipe_file(task + PUBLISHED + CLAIM % (metric, value, stated), name="published.yaml")
            completed = run("verify", path, "--json")
            assert completed.out, completed.err
            entry: dict[str, Any] = json.loads(completed.out)["entries"][0]
            return entry

        value = test.metrics["f1_of_class_2"]["value"]
        assert value is not None
        assert verified("f1_of_class_2", value)["verdict"] == "reproduced"

        fixed = "  threshold: 0.7\n"
        expected = f1_macro((arrays["logits"] > np.float32(np.log(0.7 / 0.3))).astype(np.int64), arrays["labels"])
        at = verified("f1_macro", expected, ", threshold: 0.7", fixed)
        assert at["verdict"] == "reproduced"
        assert "test: a label is predicted above the probability 0.7" in at["findings"]
        without = verified("f1_macro", expected, "", fixed)
        assert without["verdict"] == "not-compared"
        why = "Measured with the threshold 0.7, but claimed with 0.5 (the claim names none); write `threshold: 0.7`"
        assert why in without["claims"][0]["why"]
        itself = verified("f1_macro", expected, ", threshold: 0.7", fixed + "  threshold_from: test\n")
        assert "The threshold 0.7 was chosen on 'test' itself" in itself["claims"][0]["why"]

        chosen = verified("f1_macro", expected, "", "  threshold_from: dev\n")
        path = Path(chosen["records"][0])
        on_dev, on_test = read_record(path).results
        assert (on_dev.scoring, on_test.scoring["threshold_from"]) == ({"threshold": 0.5}, "dev")
        assert on_test.scoring["threshold"] == best_threshold(*_tensors(path.parent / on_dev.predictions["file"]))
        verify_record(path, read_record(path))


def _tensors(file: Path) -> tuple[torch.Tensor, torch.Tensor]:
    arrays = read_arrays(file)
    return torch.from_numpy(arrays["logits"]), torch.from_numpy(arrays["labels"])


def test_the_best_threshold_is_the_one_with_the_largest_f1() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        labels = (torch.rand(50, 4, generator=generator) < 0.3).float()
        logits = 2 * labels - 2 + torch.randn(50, 4, generator=generator)
        best = best_threshold(logits, labels)
        scores = {
            number: f1_micro((logits.sigmoid() > number / 100).long().numpy(), labels.numpy())
            for number in range(1, 100)
        }
        assert scores[round(100 * best)] == pytest.approx(max(scores.values()))
    assert best_threshold(torch.tensor([[9.0], [-9.0]]), torch.tensor([[1.0], [0.0]])) == 0.5


def test_a_chosen_threshold_is_reported_even_if_it_is_one_half() -> None:
    fixed = Evaluation(split="dev", scores={}, arrays={"labels": np.zeros(2)}, scoring={"threshold": 0.5})
    chosen = replace(fixed, split="test", scoring={"threshold": 0.5, "threshold_from": "dev"})
    expected = "test: a label is predicted above the probability 0.5, which was chosen on dev"
    assert scoring_findings([fixed, chosen]) == (expected,)


def test_a_threshold_is_never_chosen_on_hidden_labels() -> None:
    split = TensorSplit(torch.zeros(2, 3), torch.full((2, 3), -1.0))
    task = Task(
        name="x", splits={"test": lambda: split}, scored=(), metrics=(), kind="multilabel", threshold=None,
        threshold_from="test",
    )  # fmt: skip
    with pytest.raises(UsageError, match="threshold_from: the labels of 'test' are hidden"):
        thresholds_of(task, lambda _: torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "  kind: multilabel\n",
            "  threshold: 0.4\n",
            "8:3: threshold is for kind: multilabel; this task has kind: classi",
        ),
        ("  kind:", "  threshold: 1.0\n  kind:", "8:3: threshold is a probability above 0 and below 1, not 1"),
        (
            "multilabel",
            "multi_label",
            "8:3: text_classification: kind must be 'classification' or 'multilabel' or 'regression', not",
        ),
        ("BinaryCrossEntropy", "CrossEntropy", "the task has kind: multilabel; write BinaryCrossEntropy for the loss"),
        ("label: 2}", "label: 0}", "10:62: metrics[3]: another metric is called 'f1_of_class_0' already"),
        ("label: 2}", "label: 7}", "f1_of_class: label: it is the position of a class from 0 to 2, not 7"),
    ],
)
def test_wrong_arguments_are_reported_with_their_position(
    before: str, after: str, message: str, zoo: Zoo, recipe_file: Write, tmp_path: Path
) -> None:
    write_data(tmp_path)
    completed = zoo("train", recipe_file(TASK + TRAINING, (before, after)))
    assert completed.code == 2
    assert message in completed.err
