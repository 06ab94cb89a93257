"""An entry's evaluation, repeated with one thing changed.

Nothing is recorded. A variant is first run on a canary, a fixed few rows, and of the split only those rows are computed
again that it can change.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from harness.diagnosis.explain.variant import AS_IT_IS, NUMERICS, Variant
from harness.evaluation.evaluate import RANKS, SplitRunner
from harness.evaluation.subset import subset
from harness.metrics import Array, reads
from harness.models.environment import deterministic, tf32
from harness.runs.experiment import Experiment
from zoo.errors import UsageError
from zoo.recipes.reader import Call
from zoo.recipes.schema import Precision
from zoo.tasks.base import Split, Task, TextSplit, content_hash

FIRST = LONGEST = 32
"""The rows of the canary: the first, and of texts the longest, where a cut shows."""
NOISE = 1e-6
"""How far a logit may move and count as unmoved; reordering a sum in fp32 moves it more."""
SAFETY = 4
"""How much farther a logit of the split may move than the farthest of the canary: a row whose lead is more than twice
that keeps its prediction."""


@dataclass(frozen=True, kw_only=True)
class CanaryRun:
    """What a variant predicts for the canary's rows, compared with the run as it is."""

    predictions: Array
    changed: int
    """Predictions that differ."""
    shift: float
    """The farthest that a logit moved."""


@dataclass(frozen=True)
class VariantRunner:
    """An entry made ready to be evaluated again and again; its model is loaded once."""

    study: Experiment
    progress: Callable[[int, int], None] = lambda done, total: None
    made: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was built or computed before."""

    @property
    def model(self) -> nn.Module:
        """The published model, loaded once."""
        found: nn.Module = self._once("model", lambda: self.study.published_model()[0])
        return found

    @property
    def task(self) -> Task:
        """The recipe's task."""
        return self.study.task

    @property
    def precision(self) -> Precision:
        """What the run as it is computes in."""
        return self.study.context.options.precision

    def split(self, name: str, variant: Variant = AS_IT_IS) -> Split:
        """A split as a variant reads it; other tokens are made of the same texts."""
        tokenizer = self.tokenizer(variant)
        task = self.task if variant.task is None else self._task(variant.task, tokenizer)
        found = task.load(name)
        if isinstance(found, TextSplit) and (variant.tokenizer is not None or variant.max_length is not None):
            length = variant.max_length or found.max_length
            return TextSplit(found.texts, found.labels, tokenizer=tokenizer, max_length=length, classes=found.classes)
        return found

    def tokenizer(self, variant: Variant = AS_IT_IS) -> Any:
        """The recipe's tokenizer, with the arguments of a variant."""
        call = self.study.recipe.tokenizer
        if call is None or variant.tokenizer is None:
            return self.study.tokenizer
        changed = replace(call, args={**call.args, **variant.tokenizer})
        return self._once(changed, lambda: self.study.builder.build(changed, "tokenizer"))

    def canary_rows(self, name: str) -> tuple[int, ...]:
        """The first rows, and of texts the longest as they are read."""
        found: tuple[int, ...] = self._once(("rows", name), lambda: _first_and_longest(self.split(name)))
        return found

    def canary(self, name: str, variant: Variant) -> CanaryRun:
        """The variant on the canary's rows, as far as it has them, which are compared with themselves as they are."""
        rows, split = self.canary_rows(name), self.split(name, variant)
        before = self._once(("canary", name), lambda: self._outputs(AS_IT_IS, subset(self.split(name), rows)))
        there = [row for row in rows if row < len(split)]
        before = before[: len(there)]
        after = before if variant.only_rescores else self._outputs(variant, subset(split, there))
        was, now = self.task.predict(before), self.task.predict(_reordered(after, variant))
        moved = (after - before).abs().nan_to_num(nan=torch.inf)
        return CanaryRun(predictions=now.numpy(), changed=int((was != now).sum()), shift=float(moved.max()))

    def logits(self, name: str, variant: Variant, rows: Sequence[int] | None = None) -> Tensor:
        """What the variant's model puts out for a split, `(N, C)`; only these rows are computed, the others as they
        are."""
        if variant.only_rescores or rows is not None:
            found: Tensor = self._once(("logits", name), lambda: self._outputs(AS_IT_IS, self.split(name)))
            if rows:
                found = found.clone()
                found[list(rows)] = self._outputs(variant, subset(self.split(name, variant), rows))
            return found
        return self._outputs(variant, self.split(name, variant))

    def arrays(self, name: str, variant: Variant, rows: Sequence[int] | None = None) -> dict[str, Array]:
        """Predictions and labels of a split under a variant, as metrics read them."""
        outputs = _reordered(self.logits(name, variant, rows), variant)
        labels = self.split(name, variant).labels
        found = {"predictions": self.task.predict(outputs), "labels": labels, "logits": outputs}
        if any("ranked" in reads(metric) for metric in self.study.metrics.values()):
            found["ranked"] = outputs.topk(min(RANKS, outputs.shape[1]), dim=-1).indices
        return {key: value.numpy() for key, value in found.items()}

    def rows_to_compute(self, name: str, variant: Variant, canary: CanaryRun) -> tuple[int, ...] | None:
        """The rows of a split whose predictions the variant can change; None where they may be all of them."""
        split = self.split(name)
        if variant.only_tokenises:
            return _read_otherwise(split, self.split(name, variant))
        if variant.task is not None:
            same = variant.changed == {"task"} and content_hash(split) == content_hash(self.split(name, variant))
            return () if same else None
        shift = canary.shift
        if variant.batch_size is not None:  # where a row alone is as in a batch, it is in any; else the canary is weak
            shift = max(shift, self.canary(name, Variant(batch_size=1)).shift)
        if shift <= NOISE:
            return ()
        ranked = any("ranked" in reads(metric) for metric in self.study.metrics.values())
        if not variant.changed <= set(NUMERICS) or self.task.kind != "classification" or ranked:
            return None
        best = self.logits(name, AS_IT_IS, ()).topk(2, dim=-1).values
        close = tuple((best[:, 0] - best[:, 1] <= 2 * SAFETY * shift).nonzero().flatten().tolist())
        return close if variant.batch_size is None or not close else None  # what else is in a batch may count

    def _outputs(self, variant: Variant, split: Split) -> Tensor:
        study, model = self.study, self._model(variant)
        size = self.task.batch_size if variant.batch_size is None else variant.batch_size
        self._check_positions(model, split)
        with deterministic(), _attention(model, variant.attention), tf32(bool(variant.tf32)):
            precision = variant.precision or self.precision
            running = SplitRunner(model, replace(self.task, batch_size=size), study.context.accelerator, precision)
            return replace(running, progress=self.progress).outputs(split)

    def _model(self, variant: Variant) -> nn.Module:
        if variant.weights is None:
            return self.model
        if self.made.get("other", ("", None))[0] != variant.weights:  # of many only the last is kept in memory
            self.made["other"] = variant.weights, self.study.model_with(self.study.sources.fetch(variant.weights))
        found: nn.Module = self.made["other"][1]
        return found

    def _task(self, call: Call, tokenizer: Any) -> Task:
        given = {} if tokenizer is None else {"tokenizer": tokenizer}
        found: Task = self._once((call, id(tokenizer)), lambda: self.study.builder.build(call, "task", **given))
        return found

    def _check_positions(self, model: nn.Module, split: Split) -> None:
        """Raise UsageError for rows that have more tokens than the model has places for."""
        most = getattr(getattr(model, "config", None), "max_position_embeddings", None)
        if isinstance(split, TextSplit) and isinstance(most, int):
            longest = max(split.lengths, default=0)
            if longest > most:
                raise UsageError(f"rows of {longest} tokens, and the model has {most} positions")

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        key = repr(key)  # a call's arguments cannot be hashed
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]


def _first_and_longest(split: Split) -> tuple[int, ...]:
    rows = set(range(min(FIRST, len(split))))
    if isinstance(split, TextSplit):
        lengths = split.lengths
        rows |= set(sorted(range(len(split)), key=lambda row: -lengths[row])[:LONGEST])
    return tuple(sorted(rows))


def _reordered(logits: Tensor, variant: Variant) -> Tensor:
    """With output j in the place of class `order[j]`."""
    if variant.order is None:
        return logits
    found = torch.empty_like(logits)
    found[:, list(variant.order)] = logits
    return found


def _read_otherwise(before: Split, after: Split) -> tuple[int, ...] | None:
    """The rows that have other tokens."""
    if not isinstance(before, TextSplit) or not isinstance(after, TextSplit):
        return None
    old, new = before.tokens, after.tokens
    return tuple(row for row in range(len(before)) if old.row(row) != new.row(row))


@contextmanager
def _attention(model: nn.Module, kernel: str | None) -> Iterator[None]:
    """A model of transformers with another kernel of attention, inside the `with`."""
    if kernel is None or not isinstance(model, PreTrainedModel):
        yield
        return
    before = model.config._attn_implementation
    model.set_attn_implementation(kernel)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
