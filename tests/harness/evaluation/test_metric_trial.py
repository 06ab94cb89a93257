"""Metrics are tried on what a model can predict, before a training starts."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from harness import metrics
from harness.evaluation.metric_trial import example_arrays, try_metrics
from harness.library_metrics import from_library
from harness.metrics import Array, Metric
from tests.helpers.project import ROOT
from zoo.errors import UsageError
from zoo.recipes.schema import load_recipe
from zoo.tasks.base import Task
from zoo.tasks.splits import TensorSplit


def task_with(labels: list[int]) -> Task:
    split = TensorSplit(torch.zeros(len(labels), 1), torch.tensor(labels))
    return Task(name="mine", splits={"test": lambda: split}, scored=("test",), metrics=("accuracy",))


def look_up(predictions: Array, labels: Array) -> float:
    return float(np.mean([{0: 0.5, 1: 1.0}[int(number)] for number in predictions]))


@pytest.mark.parametrize(
    ("metric", "labels", "outputs", "problem"),
    [
        (metrics.f1, [0, 1], 2, None),
        (metrics.f1, [1, 1], 2, None),
        (metrics.f1, [0, 1, 0], 3, "Target is multiclass"),
        (metrics.f1, [2, 1], 3, "Target is multiclass"),
        (partial(metrics.f1, average="macro"), [0, 1], 3, None),
        (from_library(f1_score), [0, 1], 3, "Target is multiclass"),
        (metrics.accuracy, [0, 1], 1000, None),
        (metrics.top5_accuracy, [0, 2], 3, None),
        (look_up, [0, 1], 2, None),
        (look_up, [0, 1], 3, "KeyError: 2"),
    ],
)
def test_a_metric_that_fails_for_a_class_that_may_be_predicted_is_found_before_training(
    metric: Metric, labels: list[int], outputs: int, problem: str | None
) -> None:
    recipe = load_recipe(ROOT / "tests" / "recipes" / "plain.yaml")
    attempt: Any = partial(try_metrics, recipe, task_with(labels), {"mine": metric}, outputs)
    if problem is None:
        attempt()
        return
    with pytest.raises(UsageError, match=f"the metric 'mine' cannot be computed on the split 'test': .*{problem}"):
        attempt()


def test_the_rows_of_the_trial_have_every_label_and_every_prediction() -> None:
    arrays = example_arrays(task_with([3, 3, 1]), "test", 7)
    assert sorted(arrays["predictions"].tolist()) == list(range(7))
    assert {*arrays["labels"].tolist()} == {1, 3}
    assert (arrays["ranked"][:, 0] == arrays["predictions"]).all()
