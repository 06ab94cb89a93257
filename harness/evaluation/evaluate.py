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

from harness.evaluation.batched_inference import in_order, map_batches, threads_for
from harness.metrics import Array, Metric, measure, reads
from harness.models.environment import autocast
from harness.models.memory_format import place_model
from harness.models.outputs import run_model
from zoo.recipes.build import Builder
from zoo.recipes.reader import Call
from zoo.recipes.schema import Precision, Recipe
from zoo.tasks.base import IGNORED, Batch, Split, Task

LARGE = 2_000_000
"""Above this many logits only predictions and margins are kept."""
RANKS = 5
"""How many of the most likely classes are kept where a metric reads them."""


@dataclass(frozen=True)
class Score:
    """A metric's value and the largest change that one prediction can make to it."""

    value: float
    one_prediction: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A split's scores, and what was predicted for each example: arrays `(N,)`, logits `(N, C)`, or of a segmentation
    the counts `(N, C, C)` of pixels of class i predicted as class j."""

    split: str
    scores: Mapping[str, Score]
    arrays: Mapping[str, Array]

    @property
    def n(self) -> int:
        """How many examples were scored."""
        return len(next(iter(self.arrays.values())))

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
    learning: bool = False,
) -> Evaluation:
    """Run the model over the split in its order, in `eval()`, and score it; every process gets the whole of it."""
    split = task.load(split_name)
    running = SplitRunner(model, task, accelerator, precision, progress, learning)
    if task.kind == "segmentation":
        return score(split_name, {"confusion": running.confusion(split)}, metrics)
    outputs = running.outputs(split)
    arrays = {"predictions": task.predict(outputs).numpy(), "labels": split.labels.numpy()}
    arrays |= {"logits": outputs.numpy()} if outputs.numel() <= LARGE else {"margins": _margins(outputs)}
    if any("ranked" in reads(metric) for metric in metrics.values()):
        arrays["ranked"] = outputs.topk(min(RANKS, outputs.shape[1]), dim=-1).indices.numpy()
    return score(split_name, arrays, metrics)


@dataclass(frozen=True)
class SplitRunner:
    """A model that is run over whole splits of a task, in `eval()`."""

    model: nn.Module
    task: Task
    accelerator: Accelerator
    precision: Precision = "fp32"
    progress: Callable[[int, int], None] = lambda done, total: None
    learning: bool = False
    """Whether the model is still to be trained: what it keeps of a forward may then meet autograd in its next step."""

    def outputs(self, split: Split) -> Tensor:
        """The model's logits `(N, C)` on all rows of a split; raises UsageError where they do not fit the task."""
        found = self._swept(split, lambda logits, batch: logits.cpu())
        self.task.check(found, split.labels)
        return found

    def confusion(self, split: Split) -> Array:
        """How many pixels of each class i of an image are predicted as each class j, `(N, C, C)`, int32.

        Pixels that are labelled 255 are left out. Raises UsageError where the outputs are not the task's classes.
        """

        def count(logits: Tensor, batch: Batch) -> Tensor:
            self.task.check(logits, batch.labels)
            classes, predicted = logits.shape[1], self.task.predict(logits)
            image = torch.arange(len(predicted), device=predicted.device).reshape(-1, 1, 1).expand_as(predicted)
            counted = batch.labels != IGNORED
            cells = ((image * classes + batch.labels) * classes + predicted)[counted]
            counts = torch.bincount(cells, minlength=len(predicted) * classes**2)
            return counts.reshape(-1, classes, classes).to(torch.int32).cpu()

        return np.asarray(self._swept(split, count))

    def _swept(self, split: Split, function: Callable[[Tensor, Batch], Tensor]) -> Tensor:
        device = self.accelerator.device
        place_model(self.model, device).eval()

        def run(batch: Batch) -> Tensor:
            with torch.no_grad() if self.learning else torch.inference_mode():
                with autocast(device, self.precision):
                    logits = run_model(self.model, batch.inputs).logits.float()
                return function(logits, batch)

        size, threads = self.task.batch_size, threads_for(self.model, device)
        return in_order(map_batches(split, run, self.accelerator, self.progress, size=size, threads=threads))


def score(split_name: str, arrays: Mapping[str, Array], metrics: Mapping[str, Metric]) -> Evaluation:
    """Score what was predicted, however it was made; metrics of what is not there are left out."""
    there = {name: metric for name, metric in metrics.items() if set(reads(metric)) <= arrays.keys()}
    scores = {name: Score(*measure(metric, arrays)) for name, metric in there.items()}
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
    function = getattr(metric, "measured_by", metric)
    return inspect.getsource(function) + arguments + "".join(map(inspect.getsource, _called(function)))


def _called(function: Any) -> list[Any]:
    """The functions of its own module that it calls, and that these call."""
    names, found = [*getattr(getattr(function, "__code__", None), "co_names", ())], list[Any]()
    for name in names:
        other = getattr(function, "__globals__", {}).get(name)
        if inspect.isfunction(other) and other.__module__ == function.__module__ and other not in [function, *found]:
            found.append(other)
            names += other.__code__.co_names
    return found


def _margins(logits: Tensor) -> Array:
    """The lead of the largest logit over the second: `(N, C)` to `(N,)`."""
    best = logits.topk(2, dim=-1).values
    return np.asarray(best[:, 0] - best[:, 1])
