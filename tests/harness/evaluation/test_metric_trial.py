"""Metrics are tried on what a model can predict, before a training starts."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from harness import metrics
from harness.entity_metrics import entity_f1
from harness.evaluation.evaluate import evaluate, score
from harness.evaluation.metric_trial import example_arrays, try_metrics
from harness.library_metrics import from_library
from harness.metrics import Array, Metric
from harness.models.environment import accelerator_on
from tests.helpers.project import ROOT
from zoo.errors import UsageError
from zoo.recipes.schema import load_recipe
from zoo.tasks.base import Task
from zoo.tasks.splits import TensorSplit
from zoo.tasks.tagged_words import TaggedWords
from zoo.tasks.word_tags import WordTags


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


def tags_task() -> Task:
    classes = ("O", "B-A", "B-B")
    labels = torch.tensor([[1, 2, -100]])
    split = TaggedWords([("a", "b")], labels, tokenizer=None, classes=classes)
    return Task(
        name="tags", splits={"test": lambda: split}, scored=("test",), metrics=("entity_f1",), kind="structured",
        readout=WordTags(scheme="", width=8),
    )  # fmt: skip


def test_each_type_of_entities_can_be_scored_alone() -> None:
    recipe = load_recipe(ROOT / "tests" / "recipes" / "plain.yaml")
    try_metrics(recipe, tags_task(), {"mine": partial(entity_f1, of_type=1)}, 3)
    with pytest.raises(UsageError, match="of_type is 9, but there are 2 types of entities; write a position from 0 to"):
        try_metrics(recipe, tags_task(), {"mine": partial(entity_f1, of_type=9)}, 3)


@pytest.mark.parametrize("label", [2, -1])
def test_a_class_that_does_not_exist_is_refused_before_scoring(label: int) -> None:
    task = task_with([0, 1, 1])
    metric = {"f1_of_class": partial(metrics.f1_of_class, label=label)}
    with pytest.raises(UsageError, match=f"label is {label}, but there are 2 classes; write a position from 0 to 1"):
        evaluate(torch.nn.Linear(1, 2), task, "test", metric, accelerator=accelerator_on("cpu"))


def test_an_argument_that_a_metric_refuses_is_named() -> None:
    arrays = {"entities": np.ones((2, 2, 1, 3), dtype=np.int32)}
    with pytest.raises(UsageError, match="the metric 'mine' cannot be computed with average: samples: average must be"):
        score("test", arrays, {"mine": partial(entity_f1, average="samples")})
