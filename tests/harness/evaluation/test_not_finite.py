"""Outputs that are NaN or infinite have no score, in every kind of task and through every command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from harness import metrics
from harness.evaluation.evaluate import Evaluation, evaluate, score
from harness.models.environment import accelerator_on
from harness.records.arrays import rows_not_finite
from tests.helpers.device import device
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.tasks.base import IGNORED, Kind, Task
from zoo.tasks.pixel_counts import PixelCounts
from zoo.tasks.splits import TensorSplit

STARTER = ROOT / "zoo" / "starter"
RECIPE = """\
name: damaged
task: digits
model: {use: cifar_resnet, depth: 8, width: 8, num_classes: 10, in_channels: 1}
weights: file:damaged.safetensors
claims:
  - {of: weights, split: test, metric: accuracy, value: 0.0980, decimals: 4, source: an example}
"""
CLAIM = """\
claims:
  - {of: retrain, split: test, metric: accuracy, value: 0.098, sigma: 0.002, reference_runs: 5, source: an example}
"""


def outputs_scored(kind: Kind, outputs: Tensor, labels: Tensor, *names: str) -> Evaluation:
    """Score a model that returns its input as its output."""
    split = TensorSplit(outputs, labels)
    readout = PixelCounts() if kind == "segmentation" else None
    task = Task(
        name="some", splits={"test": lambda: split}, scored=("test",), metrics=names, kind=kind, readout=readout
    )
    chosen = {name: getattr(metrics, name) for name in names}
    return evaluate(nn.Identity(), task, "test", chosen, accelerator=accelerator_on(device()))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("kind", "shape", "metric"),
    [
        ("classification", (4, 3), "accuracy"),
        ("classification", (4, 3), "top5_accuracy"),
        ("multilabel", (4, 3), "f1_micro"),
        ("regression", (4, 1), "pearson"),
        ("segmentation", (4, 3, 2, 2), "pixel_accuracy"),
    ],
)
def test_one_output_that_is_not_finite_leaves_every_metric_undefined(
    kind: Kind, shape: tuple[int, ...], metric: str, value: float
) -> None:
    outputs = torch.rand(shape)
    by_kind = {
        "classification": torch.zeros(4, dtype=torch.int64),
        "multilabel": torch.ones(4, 3),
        "regression": torch.rand(4),
        "segmentation": torch.full((4, 2, 2), 1),
    }
    defined = outputs_scored(kind, outputs, by_kind[kind], metric)
    assert defined.rows_not_finite == 0
    assert "not_finite" not in defined.arrays
    assert math.isfinite(defined.scores[metric].value)
    outputs[2].view(-1)[0] = value
    broken = outputs_scored(kind, outputs, by_kind[kind], metric)
    assert broken.rows_not_finite == 1
    assert math.isnan(broken.scores[metric].value)
    assert broken.arrays["not_finite"].tolist() == [False, False, True, False]


def test_a_pixel_that_is_ignored_may_not_hide_an_output_that_is_not_finite() -> None:
    outputs, labels = torch.rand(2, 3, 2, 2), torch.full((2, 2, 2), IGNORED)
    labels[0] = 1
    outputs[1, 0, 0, 0] = math.nan
    assert outputs_scored("segmentation", outputs, labels, "mean_iou").rows_not_finite == 1


def test_margins_and_logits_of_older_files_are_searched_too() -> None:
    labels = np.zeros(2, dtype=np.int64)
    for name, values in (("logits", np.array([[0, np.nan], [0, 1]])), ("margins", np.array([np.inf, 1.0]))):
        arrays = {"predictions": labels, "labels": labels, name: values}
        assert rows_not_finite(arrays) == 1
        assert math.isnan(score("test", arrays, {"accuracy": metrics.accuracy}).scores["accuracy"].value)


@pytest.mark.parametrize(("value", "rows"), [(math.nan, "898"), (math.inf, "898")])
def test_a_claim_of_weights_with_such_outputs_is_not_compared(
    zoo: Zoo, recipe_file: Write, tmp_path: Path, value: float, rows: str
) -> None:
    state = load_file(STARTER / "digits-resnet8.safetensors")
    state = {name: tensor.clone() for name, tensor in state.items()}
    state["fc.bias"][3] = value
    save_file(state, tmp_path / "damaged.safetensors")
    path = recipe_file(RECIPE, name="damaged.yaml")
    for command in (["reproduce"], ["verify", "--fail-on", "not-reproduced"]):
        completed = zoo(*command, path, "--json")
        (entry,) = json.loads(completed.out)["entries"]
        assert (completed.code, entry["verdict"], entry["claims"][0]["measured"]) == (3, "not-compared", None)
        assert f"outputs for {rows} of 898 examples are NaN or infinite" in entry["claims"][0]["why"]
    completed = zoo("evaluate", "damaged.safetensors", "--as", "digits-resnet8")
    assert completed.code == 2
    assert "898 of 898 examples of 'test' are NaN or infinite" in completed.err


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_training_that_diverges_is_recorded_as_failed_and_degenerate(
    zoo: Zoo, recipe_file: Write, epochs: int
) -> None:
    """One step ends with weights that are not finite; with more steps the loss is not finite."""
    path = recipe_file(
        TINY + CLAIM, ("lr: 0.1", "lr: 1.0e+38"), ("batch_size: 64", "batch_size: 899"), ("    clip_norm: 1.0\n", ""),
        ("    schedule: {use: linear, warmup: 0.2}\n", ""), ("epochs: 1", f"epochs: {epochs}"),
    )  # fmt: skip
    completed = zoo("reproduce", path, "--train", "--seeds", 2, "--json")
    (entry,) = json.loads(completed.out)["entries"]
    assert (completed.code, entry["verdict"]) == (3, "inconclusive"), completed.err
    assert entry["claims"][0]["set_aside"] == [None, None]
    assert "All 2 runs are degenerate: 2 with outputs or losses that are not finite" in entry["claims"][0]["why"]
    record = json.loads(Path(entry["records"][0]).read_text())
    assert ("the loss is not finite at step 2" if epochs > 1 else "NaN or infinite") in record["failure"]
    assert record["results"][0]["metrics"]["accuracy"] == {"value": None, "one_prediction": None}
    trained = zoo("train", path)
    assert trained.code == 2
    assert "the training failed" in trained.err
