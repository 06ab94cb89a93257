"""Metrics and per-example predictions of a model on a split."""

import hashlib
import importlib
import inspect
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from harness.environment import autocast
from harness.metrics import Array, Metric, one_prediction
from harness.observation import observe
from harness.sweep import sweep
from zoo.build import Builder
from zoo.config import Call
from zoo.recipe import Precision, Recipe
from zoo.tasks.base import Batch, Split, Task

LARGE = 2_000_000
"""Above this many logits only predictions and margins are kept."""


@dataclass(frozen=True)
class Score:
    """A metric's value and the largest change that one prediction can make to it."""

    value: float
    one_prediction: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A split's scores, and what was predicted for each example: arrays `(N,)`, logits `(N, C)`."""

    split: str
    scores: Mapping[str, Score]
    arrays: Mapping[str, Array]

    @property
    def n(self) -> int:
        """How many examples were scored."""
        return len(self.arrays["predictions"])

    def npz(self) -> bytes:
        """The arrays, compressed; the same arrays give the same bytes."""
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
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Run the model over the split in its order, in `eval()`, and score it; every process gets the whole of it."""
    split = task.load(split_name)
    outputs = outputs_of(model, split, accelerator=accelerator, precision=precision, progress=progress)
    arrays = {"predictions": task.predict(outputs).numpy(), "labels": split.labels.numpy()}
    arrays |= {"logits": outputs.numpy()} if outputs.numel() <= LARGE else {"margins": _margins(outputs)}
    return score(split_name, arrays, metrics)


@torch.no_grad()  # not inference_mode: a model that is scored as it learns may cache tensors for its next step
def outputs_of(
    model: nn.Module,
    split: Split,
    *,
    accelerator: Accelerator,
    precision: Precision = "fp32",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """The model's logits `(N, C)` on all rows of a split, in `eval()`."""
    model.to(accelerator.device).eval()

    def logits(batch: Batch) -> Tensor:
        with autocast(accelerator.device, precision):
            return observe(model, batch.inputs).logits.float().cpu()

    return torch.cat(sweep(split, logits, accelerator, progress))


def score(split_name: str, arrays: Mapping[str, Array], metrics: Mapping[str, Metric]) -> Evaluation:
    """Score predictions against labels, however they were made."""
    predictions, labels = arrays["predictions"], arrays["labels"]
    scores = {
        name: Score(float(metric(predictions, labels)), one_prediction(metric, predictions, labels))
        for name, metric in metrics.items()
    }
    return Evaluation(split=split_name, scores=scores, arrays=arrays)


def metrics_of(recipe: Recipe, task: Task, builder: Builder) -> dict[str, Metric]:
    """The metrics of a recipe by the last part of their names; the task's own where it names none."""
    calls = recipe.metrics or tuple(Call(use=name) for name in task.metrics)
    return {call.use.split(".")[-1]: _metric(call, builder) for call in calls}


def metric_code(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """SHA-256 of each metric's source: a changed metric is another measurement."""
    return {name: hashlib.sha256(_source(metric).encode()).hexdigest() for name, metric in metrics.items()}


def _metric(call: Call, builder: Builder) -> Metric:
    target = builder.target(call, "metrics")
    if inspect.isclass(target):  # an evaluate.Metric: importing evaluate costs seconds, so only where one is named
        adapter = importlib.import_module("harness.evaluate_metrics")
        return adapter.from_evaluate(builder.build(call, "metrics"))  # type: ignore[no-any-return]
    return builder.partial(call, "metrics") if call.args else target


def _source(metric: Any) -> str:
    arguments = ""
    while hasattr(metric, "func"):
        arguments, metric = arguments + repr(sorted(metric.keywords.items())), metric.func
    return inspect.getsource(getattr(metric, "measured_by", metric)) + arguments


def _margins(logits: Tensor) -> Array:
    """The lead of the largest logit over the second: `(N, C)` to `(N,)`."""
    best = logits.topk(2, dim=-1).values
    return np.asarray(best[:, 0] - best[:, 1])
