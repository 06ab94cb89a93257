"""A variant of an evaluation: which settings differ from the recipe, in words and as values."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from harness.metrics import Metric
from zoo.fetch.fetched import Fetched
from zoo.recipes.claim import Precision
from zoo.recipes.values import Call

PairChange = Literal["swapped", "joined"]
NUMERICS = frozenset({"precision", "attention", "batch_size"})
"""The fields of a variant that change only how the same values are computed."""
MAPPINGS = frozenset({"tokenizer", "images", "encoder"})
"""The fields of a variant with several settings, of which two variants may change different ones."""


@dataclass(frozen=True)
class Change:
    """One changed setting in words; `setting` may be empty."""

    factor: str
    setting: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.before} -> {self.after}" if self.setting else f"{self.before} -> {self.after}"

    @property
    def description(self) -> str:
        """The change in words, such as `max_length 128 instead of 64`."""
        return f"{self.setting} {self.after} instead of {self.before}".strip()


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The settings that differ from the recipe; None leaves a setting as the recipe says."""

    changes: tuple[Change, ...] = ()
    order: tuple[int, ...] | None = None
    """Output j of the model is used as class `order[j]`."""
    metric: tuple[str, Metric] | None = None
    """The name of a metric in the claims, and the function that computes it."""
    tokenizer: Mapping[str, Any] | None = None
    """Arguments of the recipe's tokenizer."""
    max_length: int | None = None
    pair: PairChange | None = None
    """Whether the two texts of a row change places, or are passed as one text."""
    split: tuple[str, str] | None = None
    """The split of claims, and the one to evaluate them on instead."""
    left: bool | None = None
    """Whether texts are padded on the left, where padding moves their positions."""
    batch_size: int | None = None
    attention: str | None = None
    precision: Precision | None = None
    task: Call | None = None
    """The recipe's task with other data sources."""
    weights: Fetched | None = None
    """Other weights, or another state dict in the same file."""
    images: Mapping[str, Any] | None = None
    """How images are prepared; see `changed_images`."""
    train: bool | None = None
    """Whether dropout and the statistics of batches are active, as in a training."""
    encoder: Mapping[str, Any] | None = None
    """Attributes of a sentence encoder: its pooling and its similarity."""

    @property
    def factor(self) -> str:
        """The names of the factors that this variant changes."""
        return " and ".join(change.factor for change in self.changes)

    @property
    def changed(self) -> frozenset[str]:
        """The names of the fields that differ from the recipe."""
        names = (f.name for f in fields(self) if f.name != "changes")
        return frozenset(name for name in names if getattr(self, name) is not None)

    @property
    def only_rescores(self) -> bool:
        """Whether the logits stay the same."""
        return self.changed <= {"order", "metric"}

    @property
    def only_tokenizes(self) -> bool:
        """Whether rows with unchanged tokens keep their results."""
        return self.changed <= {"tokenizer", "max_length", "pair"}

    def split_for(self, claimed: str) -> str:
        """Return the split on which claims about a split are evaluated."""
        return self.split[1] if self.split is not None and self.split[0] == claimed else claimed

    def conflicts_with(self, other: "Variant") -> bool:
        """Return whether both variants change the same setting, so that one would undo the other."""
        both = self.changed & other.changed
        return bool(both - MAPPINGS) or any(getattr(self, name).keys() & getattr(other, name) for name in both)

    def combined_with(self, other: "Variant") -> "Variant":
        """Return the variant with the changes of both, which must not conflict."""
        values = {name: getattr(other, name) for name in other.changed}
        for name in MAPPINGS & self.changed & other.changed:
            values[name] = {**getattr(self, name), **getattr(other, name)}
        return replace(self, changes=(*self.changes, *other.changes), **values)


UNCHANGED = Variant()
