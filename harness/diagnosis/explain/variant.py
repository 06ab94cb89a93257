"""What is done otherwise than a recipe says, in words and in values."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from harness.metrics import Metric
from zoo.recipes.reader import Call
from zoo.recipes.schema import Precision

NUMERICS = frozenset({"precision", "attention", "tf32", "batch_size"})
"""The values that change how the same numbers are computed."""


@dataclass(frozen=True)
class Change:
    """One thing that is done otherwise, in words; `what` may be empty."""

    factor: str
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {self.before} -> {self.after}" if self.what else f"{self.before} -> {self.after}"

    @property
    def said(self) -> str:
        """Such as `max_length 128 instead of 64`."""
        return f"{self.what} {self.after} instead of {self.before}".strip()


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What is done otherwise than the recipe says, in words and in values; what is None is left as it is."""

    changes: tuple[Change, ...] = ()
    order: tuple[int, ...] | None = None
    """Output j of the model is taken for class `order[j]`."""
    metric: tuple[str, Metric] | None = None
    """The function that a claim's metric is computed by."""
    tokenizer: Mapping[str, Any] | None = None
    """Arguments of the recipe's tokenizer."""
    max_length: int | None = None
    batch_size: int | None = None
    attention: str | None = None
    precision: Precision | None = None
    tf32: bool | None = None
    task: Call | None = None
    """The recipe's task, with other sources."""
    weights: str | None = None
    """The source of other weights."""

    @property
    def factor(self) -> str:
        """Its factors' names."""
        return " and ".join(change.factor for change in self.changes)

    @property
    def changed(self) -> frozenset[str]:
        """The names of the values that it changes."""
        names = (f.name for f in fields(self) if f.name != "changes")
        return frozenset(name for name in names if getattr(self, name) is not None)

    @property
    def only_rescores(self) -> bool:
        """Whether the logits stay as they are."""
        return self.changed <= {"order", "metric"}

    @property
    def only_tokenises(self) -> bool:
        """Whether a row of which the tokens stay is read as it is."""
        return self.changed <= {"tokenizer", "max_length"} and "padding_side" not in (self.tokenizer or {})

    def also(self, other: "Variant") -> "Variant":
        """Both at once; of a value that both change it is the other's."""
        more = {name: getattr(other, name) for name in other.changed}
        if self.tokenizer is not None and other.tokenizer is not None:
            more["tokenizer"] = {**self.tokenizer, **other.tokenizer}
        return replace(self, changes=(*self.changes, *other.changes), **more)


AS_IT_IS = Variant()
