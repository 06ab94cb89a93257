"""Try the metrics of a recipe on a few made-up rows before a training starts, so that a wrong one costs no training."""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from harness.evaluation.metric_arguments import counts_of, out_of_range
from harness.metrics import Array, Metric, reads
from harness.records.arrays import RANKS
from zoo.errors import RecipeError, UsageError
from zoo.recipes.metric_names import metric_name
from zoo.recipes.schema import Recipe
from zoo.tasks.base import Task


def ranked_classes(logits: Tensor) -> Tensor:
    """Return the most likely classes of every row, the likeliest first: `(N, C)` to `(N, min(RANKS, C))`."""
    return logits.topk(min(RANKS, logits.shape[1]), dim=-1).indices


def try_metrics(recipe: Recipe, task: Task, metrics: Mapping[str, Metric], outputs: int) -> None:
    """Compute every metric for a few rows: each label of the scored splits, and each class that can be predicted.

    Args:
        recipe: The recipe, for the line of a metric.
        task: The task, whose scored splits are read.
        metrics: Name -> metric.
        outputs: The number of outputs C of the model.

    Raises:
        UsageError: A metric reads something that the task does not have, or it cannot be computed for its labels.
    """
    for split in task.scored:
        arrays = example_arrays(task, split, outputs)
        for name, metric in metrics.items():
            counts = {**counts_of(arrays), "label": outputs}
            if problem := out_of_range(metric, counts) or _problem(metric, arrays, task):
                message = f"the metric {name!r} cannot be computed on the split {split!r}: {problem}"
                call = next((call for call in recipe.metrics if metric_name(call) == name), None)
                raise RecipeError.at(call.mark, message) if call else UsageError(message)


def example_arrays(task: Task, split: str, outputs: int) -> dict[str, Array]:
    """Return the arrays of an evaluation of a few rows, for a model with C outputs.

    In a classification every label of the split occurs, and every class is predicted, also one that is never a label.
    """
    if task.readout is not None:
        return dict(task.readout.example(outputs, task.load(split)))
    if task.kind == "regression":
        values = np.array([0.0, 1.0, 2.0], dtype=np.float32)
        return {"predictions": values, "labels": values.copy()}
    labels = task.load(split).labels
    if task.kind == "multilabel":
        labels = torch.stack([torch.zeros_like(labels[0]), torch.ones_like(labels[0])])
        return {"predictions": labels.long().numpy(), "labels": labels.numpy()}
    occurring = torch.unique(labels)
    never = torch.arange(outputs)[~torch.isin(torch.arange(outputs), occurring)]
    predictions = torch.cat([occurring, never])
    labels = occurring[torch.arange(len(predictions)) % len(occurring)]
    ranked = (predictions[:, None] + torch.arange(min(RANKS, outputs))) % outputs
    return {"predictions": predictions.numpy(), "labels": labels.numpy(), "ranked": ranked.numpy()}


def _problem(metric: Metric, arrays: Mapping[str, Array], task: Task) -> str:
    missing = [name for name in reads(metric) if name not in arrays]
    if missing:
        return f"it reads {missing[0]!r}, which a task of the kind {task.kind!r} does not have"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            float(metric(*(arrays[name] for name in reads(metric))))
    except Exception as error:  # a metric may be a user's
        return (
            str(error) if isinstance(error, TypeError | ValueError | UsageError) else f"{type(error).__name__}: {error}"
        )
    return ""
