"""Run a model over a split, and compute its metrics and per-example predictions."""

import importlib
import inspect
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from harness.evaluation.metric_arguments import check_arguments, counts_of
from harness.evaluation.metric_trial import ranked_classes
from harness.evaluation.split_runner import SplitRunner, marked
from harness.library_metrics import from_library, is_library_metric
from harness.metrics import Array, Metric, measure, reads
from harness.records.arrays import rows_not_finite
from zoo.errors import UsageError
from zoo.progress import Step, ignore_step
from zoo.recipes.build import Builder
from zoo.recipes.claim import Precision
from zoo.recipes.metric_names import metric_name
from zoo.recipes.schema import Recipe
from zoo.recipes.values import Call
from zoo.tasks.base import Task
from zoo.tracebacks import raised_by

MOST_LOGITS = 2_000_000
"""With more logits than this, only predictions and margins are stored."""


@dataclass(frozen=True)
class Score:
    """The value of a metric, and the largest change that a single prediction can make to it."""

    value: float
    one_prediction: float


UNDEFINED = Score(math.nan, math.nan)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores of a split and the arrays that they were computed from.

    Attributes:
        split: The name of the split.
        scores: Metric name -> score.
        arrays: Predictions and labels `(N,)`, and logits `(N, C)` or margins `(N,)`. For a segmentation the counts
            `confusion` `(N, C, C)` of pixels of class i that are predicted as class j. If some outputs are NaN or
            infinite, `not_finite` `(N,)` marks their rows, and every score is NaN.
        inference: How the outputs were computed, for the record: the rows and tokens of a batch, the number of
            near-ties, and the comparison with a strict evaluation.
        scoring: How the split was scored, if not as usual, see `zoo.tasks.base.Task.scoring`.
    """

    split: str
    scores: Mapping[str, Score]
    arrays: Mapping[str, Array]
    inference: Mapping[str, Any] = field(default_factory=dict)
    scoring: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """The number of examples."""
        return len(next(iter(self.arrays.values())))

    @property
    def values(self) -> dict[str, float]:
        """The value of each metric."""
        return {name: score.value for name, score in self.scores.items()}

    @property
    def rows_not_finite(self) -> int:
        """The number of examples with an output that is NaN or infinite."""
        return rows_not_finite(self.arrays)

    def as_failed(self) -> "Evaluation":
        """Return the evaluation of a failed training: every row is marked as not finite, and every score is NaN."""
        scores = dict.fromkeys(self.scores, UNDEFINED)
        return replace(self, scores=scores, arrays={**self.arrays, "not_finite": np.ones(self.n, dtype=bool)})

    def npz(self) -> bytes:
        """Return the arrays as a compressed npz file; equal arrays give equal bytes."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self.arrays)  # type: ignore[arg-type]
        return buffer.getvalue()


def evaluate(
    model: nn.Module,
    task: Task,
    split_name: str,
    metrics: Mapping[str, Metric],
    *,
    accelerator: Accelerator,
    precision: Precision = "fp32",
    progress: Step = ignore_step,
    learning: bool = False,
    strict: bool = False,
) -> Evaluation:
    """Run the model over a split in `eval()` mode, and score it. Every process gets the scores of the whole split.

    On devices other than the CPU, predictions that a strict evaluation does not confirm are replaced by its own
    (`harness.evaluation.fast_path`).

    Args:
        model: The model.
        task: The task, which loads the split and turns logits into predictions.
        split_name: The split to evaluate.
        metrics: Name -> metric.
        accelerator: The device, and the processes that share the work.
        precision: The precision of the forward passes.
        progress: Called with the number of finished rows and the number of all rows.
        learning: Whether the model is trained further after this; see `SplitRunner`. Its scores are not judged.
        strict: Whether the logits of a row must not depend on other rows; see `harness.evaluation.strict`.

    Returns:
        The scores and the arrays that they were computed from, in the order of the split.

    Raises:
        UsageError: The outputs of the model do not fit the task.
    """
    split = task.load(split_name)
    runner = SplitRunner(model, task, accelerator, precision, progress, learning, f"the split {split_name!r}", strict)
    if task.readout is not None:
        read, inference = runner.arrays(split, task.readout)
        return replace(score(split_name, read, metrics), inference=inference, scoring=task.scoring(split_name))
    outputs, inference = runner.checked_outputs(split)
    check_arguments(metrics, {"label": outputs.shape[1] if outputs.ndim > 1 else 1})  # the arrays may lack logits
    arrays = {"predictions": task.predict(outputs).numpy(), "labels": split.labels.numpy()}
    arrays |= {"logits": outputs.numpy()} if outputs.numel() <= MOST_LOGITS else {"margins": _margins(outputs)}
    if any("ranked" in reads(metric) for metric in metrics.values()):
        arrays["ranked"] = ranked_classes(outputs).numpy()
    not_finite = ~torch.isfinite(outputs.reshape(len(outputs), -1)).all(dim=1)
    scored = score(split_name, {**arrays, **marked(not_finite.numpy())}, metrics)
    return replace(scored, inference=inference, scoring=task.scoring(split_name))


def score(split_name: str, arrays: Mapping[str, Array], metrics: Mapping[str, Metric]) -> Evaluation:
    """Score the predictions of a split. Metrics that read a missing array are left out.

    If any output is NaN or infinite, its prediction means nothing, and every score is NaN.

    Raises:
        UsageError: An argument of a metric names a class or type that does not exist.
    """
    computable = {name: metric for name, metric in metrics.items() if set(reads(metric)) <= arrays.keys()}
    check_arguments(computable, counts_of(arrays))
    if rows_not_finite(arrays):
        return Evaluation(split=split_name, scores=dict.fromkeys(computable, UNDEFINED), arrays=arrays)
    scores = {name: _measure(name, metric, arrays) for name, metric in computable.items()}
    return Evaluation(split=split_name, scores=scores, arrays=arrays)


def check_finite(split_name: str, arrays: Mapping[str, Array]) -> None:
    """Raise UsageError if an output is NaN or infinite."""
    if rows := rows_not_finite(arrays):
        n = len(next(iter(arrays.values())))
        raise UsageError(f"the outputs for {rows:,} of {n:,} examples of {split_name!r} are NaN or infinite")


def metrics_of(recipe: Recipe, task: Task, builder: Builder) -> dict[str, Metric]:
    """Return the metrics of a recipe by the last part of their names; without any, those of the task."""
    calls = recipe.metrics or tuple(Call(use=name) for name in task.metrics)
    return {metric_name(call): _metric(call, builder) for call in calls}


def _measure(name: str, metric: Metric, arrays: Mapping[str, Array]) -> Score:
    """Return a metric's score.

    Raises:
        UsageError: A user's metric takes other arguments or returns no number, or one of zoo's is called with an
            argument that it refuses.
    """
    try:
        return Score(*measure(metric, arrays))
    except (TypeError, ValueError, IndexError) as error:
        function = getattr(metric, "func", metric)  # of a metric with arguments
        if function is not metric and function.__module__.startswith("harness."):
            written = ", ".join(f"{key}: {value}" for key, value in getattr(metric, "keywords", {}).items())
            raise UsageError(f"the metric {name!r} cannot be computed with {written}: {error}") from error
        if function.__module__ == measure.__module__ or raised_by(error) != "project":
            raise
        arguments = ", ".join(reads(metric))
        raise UsageError(f"the metric {name!r} must take ({arguments}) and return a number: {error}") from error


def _metric(call: Call, builder: Builder) -> Metric:
    target = builder.target(call, "metrics")
    if inspect.isclass(target):  # an evaluate.Metric; importing evaluate takes seconds, so only if a recipe uses one
        adapter = importlib.import_module("harness.evaluate_metrics")
        return adapter.from_evaluate(builder.build(call, "metrics"))  # type: ignore[no-any-return]
    if is_library_metric(target):
        return from_library(target, **call.args)
    return builder.partial(call, "metrics") if call.args else target


def _margins(logits: Tensor) -> Array:
    """Return the largest logit minus the second largest: `(N, C)` to `(N,)`."""
    top = logits.topk(2, dim=-1).values
    return np.asarray(top[:, 0] - top[:, 1])
