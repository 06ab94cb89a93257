"""Repeat the evaluation of an entry with one setting changed. Nothing is recorded.

Each variant is first run on a small sample of rows. Of the whole split, only the rows whose predictions the variant can
change are computed again.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from harness.diagnosis.explain.image_settings import ImageSettings, changed_images, settings_of
from harness.diagnosis.explain.model_changes import attention, attributes, train_mode
from harness.diagnosis.explain.variant import NUMERICS, UNCHANGED, PairChange, Variant
from harness.evaluation.batch_limits import BatchLimits
from harness.evaluation.chosen_rows import with_chosen_rows
from harness.evaluation.metric_trial import ranked_classes
from harness.evaluation.split_runner import SplitRunner
from harness.evaluation.subset import subset
from harness.evaluation.threshold import thresholds_of
from harness.metrics import Array, reads
from harness.models.environment import deterministic
from harness.runs.experiment import Experiment, RunContext
from zoo.progress import Step, ignore_step
from zoo.recipes.claim import Precision
from zoo.recipes.values import Call
from zoo.tasks.base import Split, Task, content_hash
from zoo.tasks.splits import TextSplit

FIRST = LONGEST = 32
"""The size of the sample: the first rows, and for texts also the longest rows, which truncation affects."""
NOISE = 1e-6
"""A logit that moves by at most this counts as unchanged. Adding fp32 values in another order moves it farther."""
SAFETY = 4
"""A logit of the split is assumed to move at most this many times as far as any logit of the sample. A row is not
computed again if its largest logit leads by more than twice that."""


@dataclass(frozen=True, kw_only=True)
class SampleResult:
    """The predictions of a variant for the sample, compared with the evaluation as the recipe says."""

    predictions: Array
    changed: int
    """The number of predictions that differ."""
    shift: float
    """The largest change of a logit."""


@dataclass(frozen=True)
class VariantRunner:
    """Evaluates an entry under one variant after the other. The model is loaded once."""

    experiment: Experiment
    progress: Step = ignore_step
    cache: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """Models, tasks and logits that were built or computed before."""

    @property
    def context(self) -> RunContext:
        """The device, precision and progress display of the experiment."""
        return self.experiment.context

    @property
    def model(self) -> nn.Module:
        """The model with its published weights."""
        model: nn.Module = self._cached("model", lambda: self.experiment.published_model()[0])
        return model

    @property
    def task(self) -> Task:
        """The task of the recipe, with the threshold that the weights without changes give it."""
        task: Task = self._cached("task", self._with_threshold)
        return task

    def _with_threshold(self) -> Task:
        task = self.experiment.task
        with deterministic(self.precision, model := self.model):
            runner = SplitRunner(model, task, self.context.accelerator, self.precision, self.progress)
            return thresholds_of(task, lambda split: runner.outputs(task.load(split)))("any other split")

    @property
    def precision(self) -> Precision:
        """The precision of the evaluation without changes."""
        return self.context.options.precision

    def split(self, name: str, variant: Variant = UNCHANGED) -> Split:
        """Return a split as a variant reads it. If only the tokenizer changes, the same texts are tokenized again."""
        tokenizer = self.tokenizer(variant)
        task = self.task if variant.task is None else self._task(variant.task, tokenizer)
        split = self._without_augmentation(task, variant.split_for(name))
        settings = None if variant.images is None else self.image_settings(split)
        if variant.images is not None and settings is not None:
            return changed_images(split, settings, variant.images)
        if isinstance(split, TextSplit) and variant.changed & {"tokenizer", "max_length", "pair", "left"}:
            length = variant.max_length or split.max_length
            texts = _paired(split.texts, variant.pair)
            return split.with_changes(texts=texts, tokenizer=tokenizer, max_length=length, left=bool(variant.left))
        return split

    def image_settings(self, split: Split) -> ImageSettings | None:
        """Return how the images of a split are prepared; see `settings_of`."""
        settings: tuple[Split, ImageSettings | None]  # with the split, so that its id stays in use
        settings = self._cached(("images", id(split)), lambda: (split, settings_of(split)))
        return settings[1]

    def tokenizer(self, variant: Variant = UNCHANGED) -> Any:
        """Return the tokenizer of the recipe with the arguments of a variant; None if the recipe has none."""
        call = self.experiment.recipe.tokenizer
        if call is None or variant.tokenizer is None:
            return self.experiment.tokenizer
        changed = replace(call, args={**call.args, **variant.tokenizer})
        return self._cached(changed, lambda: self.experiment.builder.build(changed, "tokenizer"))

    def sample_rows(self, name: str) -> tuple[int, ...]:
        """Return the rows of the sample: the first ones, and for texts also the longest ones."""
        rows: tuple[int, ...] = self._cached(("rows", name), lambda: _first_and_longest(self.split(name)))
        return rows

    def run_sample(self, name: str, variant: Variant) -> SampleResult:
        """Run a variant on the sample. Rows that a shorter split of the variant does not have are left out."""
        rows, split = self.sample_rows(name), self.split(name, variant)
        before = self._cached(("sample", name), lambda: self._outputs(UNCHANGED, subset(self.split(name), rows)))
        present = [row for row in rows if row < len(split)]
        before = before[: len(present)]
        after = before if variant.only_rescores else self._outputs(variant, subset(split, present))
        predicted_before, predicted = self.task.predict(before), self.task.predict(_reordered(after, variant))
        moved = (after - before).abs().nan_to_num(nan=torch.inf)
        changed = int((predicted_before != predicted).sum())
        return SampleResult(predictions=predicted.numpy(), changed=changed, shift=float(moved.max()))

    def logits(self, name: str, variant: Variant, rows: Sequence[int] | None = None) -> Tensor:
        """Return the logits `(N, C)` of a variant for a split.

        Args:
            name: The split.
            variant: The variant.
            rows: The rows to compute; the logits of all others are those without changes. None computes all rows.
        """
        if variant.only_rescores or rows is not None:
            logits: Tensor = self._cached(("logits", name), lambda: self._outputs(UNCHANGED, self.split(name)))
            if rows:
                logits = logits.clone()
                logits[list(rows)] = self._outputs(variant, subset(self.split(name, variant), rows))
            return logits
        return self._outputs(variant, self.split(name, variant))

    def arrays(self, name: str, variant: Variant, rows: Sequence[int] | None = None) -> dict[str, Array]:
        """Return the predictions and labels of a split under a variant, as metrics read them; see `logits`."""
        return self._arrays(self.logits(name, variant, rows), self.split(name, variant).labels, variant)

    def arrays_of_rows(self, name: str, variant: Variant, rows: Sequence[int]) -> dict[str, Array]:
        """Return the same as `arrays` for some rows alone, all of which are computed under the variant."""
        split = subset(self.split(name, variant), rows)
        return self._arrays(self._outputs(variant, split), split.labels, variant)

    def _arrays(self, logits: Tensor, labels: Tensor, variant: Variant) -> dict[str, Array]:
        outputs = _reordered(logits, variant)
        arrays = {"predictions": self.task.predict(outputs), "labels": labels, "logits": outputs - self.task.cut}
        if self._reads_ranks:
            arrays["ranked"] = ranked_classes(outputs)
        return {key: value.numpy() for key, value in arrays.items()}

    def rows_to_compute(self, name: str, variant: Variant, sample: SampleResult) -> tuple[int, ...] | None:
        """Return the rows of a split whose predictions a variant can change; None if it can change any row."""
        split = self.split(name)
        if variant.only_tokenizes:
            return _tokenized_differently(split, self.split(name, variant))
        if variant.split is not None:
            return None if variant.split[0] == name else ()
        if variant.task is not None:
            is_same = variant.changed == {"task"} and content_hash(split) == content_hash(self.split(name, variant))
            return () if is_same else None
        shift = sample.shift
        if variant.batch_size is not None:  # no batch size changes more than 1, which removes all padding
            shift = max(shift, self.run_sample(name, Variant(batch_size=1)).shift)
        if shift <= NOISE:
            return ()
        if not variant.changed <= set(NUMERICS) or self.task.kind != "classification" or self._reads_ranks:
            return None
        top = self.logits(name, UNCHANGED, ()).topk(2, dim=-1).values
        close = tuple((top[:, 0] - top[:, 1] <= 2 * SAFETY * shift).nonzero().flatten().tolist())
        return close if variant.batch_size is None or not close else None  # the other rows of a batch may matter

    @property
    def _reads_ranks(self) -> bool:
        return any("ranked" in reads(metric) for metric in self.experiment.metrics.values())

    def _outputs(self, variant: Variant, split: Split) -> Tensor:
        model = self._model(variant)
        limits = None if variant.batch_size is None else BatchLimits(rows=variant.batch_size)
        precision, trains = variant.precision or self.precision, bool(variant.train)
        with (
            deterministic(precision, model),
            attention(model, variant.attention),
            attributes(model, variant.encoder or {}),
            train_mode(model) if trains else nullcontext(),
        ):
            runner = SplitRunner(
                model, self.task, self.context.accelerator, precision, self.progress, limits=limits, train_mode=trains
            )
            return runner.outputs(split)

    def _without_augmentation(self, task: Task, name: str) -> Split:
        """Return a split of a task; one with random transforms is read as for a hold-out."""
        if name not in task.plain or name in task.scored:
            return task.load(name)
        item: tuple[Task, Split] = self._cached(("plain", id(task), name), lambda: (task, task.plain[name]()))
        return item[1]

    def _model(self, variant: Variant) -> nn.Module:
        if variant.weights is None:
            return self.model
        if self.cache.get("other", ("", None))[0] != variant.weights:  # only the last one stays in memory
            self.cache["other"] = variant.weights, self.experiment.model_with(variant.weights)
        model: nn.Module = self.cache["other"][1]
        return model

    def _task(self, call: Call, tokenizer: Any) -> Task:
        arguments = {} if tokenizer is None else {"tokenizer": tokenizer}
        builder, recipe = self.experiment.builder, self.experiment.recipe
        task: Task = self._cached(
            (call, id(tokenizer)),
            lambda: with_chosen_rows(builder.instance(call, "task", Task, **arguments), recipe, builder.sources),
        )
        return task

    def _cached(self, key: Any, make: Callable[[], Any]) -> Any:
        key = repr(key)  # the arguments of a call are not hashable
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]


def _first_and_longest(split: Split) -> tuple[int, ...]:
    rows = set(range(min(FIRST, len(split))))
    if isinstance(split, TextSplit):
        lengths = split.lengths
        rows |= set(sorted(range(len(split)), key=lambda row: -lengths[row])[:LONGEST])
    return tuple(sorted(rows))


def _paired(texts: Sequence[tuple[str, ...]], change: PairChange | None) -> Sequence[tuple[str, ...]]:
    """Return rows with their two texts in the other order, or joined to one."""
    if change is None:
        return texts
    return [row[::-1] if change == "swapped" else (" ".join(row),) for row in texts]


def _reordered(logits: Tensor, variant: Variant) -> Tensor:
    """Move output j to the column of class `order[j]`."""
    if variant.order is None:
        return logits
    reordered = torch.empty_like(logits)
    reordered[:, list(variant.order)] = logits
    return reordered


def _tokenized_differently(before: Split, after: Split) -> tuple[int, ...] | None:
    """Return the rows whose tokens differ; None if a split has no texts."""
    if not isinstance(before, TextSplit) or not isinstance(after, TextSplit):
        return None
    return tuple(row for row in range(len(before)) if before.row_tokens(row) != after.row_tokens(row))
