"""The result of comparing two records, as values and as JSON. This module does not import torch."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.diagnosis.diff.example_preview import ExamplePreview
from harness.diagnosis.diff.groups import Groups
from harness.diagnosis.diff.intervals import Interval
from harness.judging.paired import EDGES, Array, Drift, Flips
from harness.records.record import Record

ALPHA = 0.05
"""The level at which a difference of correct predictions counts."""
MCNEMAR, SIGN_TEST = "exact McNemar", "exact sign test of groups"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A field whose values differ between the two records; None where a record does not have the field."""

    field: str
    a: Any
    b: Any


@dataclass(frozen=True, kw_only=True)
class MetricChange:
    """The two recorded values of a metric, and the interval of `B - A` or the reason why there is none."""

    metric: str
    a: float | None
    b: float | None
    interval: Interval | None = None
    why: str = ""

    @property
    def difference(self) -> float | None:
        """B - A; None if a value is not defined."""
        return None if self.a is None or self.b is None else self.b - self.a

    def data(self) -> dict[str, Any]:
        """Return the change as plain data for JSON."""
        interval = self.interval
        return {
            "metric": self.metric, "a": self.a, "b": self.b, "difference": self.difference,
            "low": interval.low if interval else None, "high": interval.high if interval else None,
            "interval": interval.kind if interval else None,
            "standard_error": interval.standard_error if interval else None, "why": self.why or None,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FlippedExample:
    """An example with different predictions: its row, label and predictions, which are lists for several labels."""

    id: int
    label: Any
    a: Any
    b: Any
    margin_a: float | None
    margin_b: float | None
    preview: ExamplePreview | None = None

    def data(self) -> dict[str, Any]:
        """Return the example as plain data for JSON."""
        values = {name: value for name, value in vars(self).items() if name != "preview"}
        shown = {"texts": list(self.preview.texts) or None, "image": self.preview.uri} if self.preview else {}
        return {**values, **shown}


@dataclass(frozen=True, kw_only=True)
class SplitDiff:
    """A split that both records score. `examples` are the flipped ones, the one whose logits moved farthest first."""

    split: str
    selections: tuple[str, str]
    n: int
    metrics: tuple[MetricChange, ...]
    flips: Flips | None
    drift: Drift | None
    examples: tuple[FlippedExample, ...] = ()
    classes: tuple[str, ...] = ()
    note: str = ""
    """Why there are no flips."""
    labels: Array | None = field(default=None, repr=False, compare=False)
    groups: Groups | None = field(default=None, repr=False, compare=False)
    """The groups of examples that share a text; None if the examples are treated as independent."""
    p_of_groups: float | None = None
    """The p-value of `group_sign_test`; None without groups or flips."""

    @property
    def p(self) -> float | None:
        """The p-value that decides: that of groups, else of McNemar's test; None without flips."""
        return self.p_of_groups if self.p_of_groups is not None else self.flips.p if self.flips else None

    @property
    def better(self) -> Literal["A", "B"] | None:
        """The run with more correct predictions if `p` is below `ALPHA`, else None."""
        if self.flips is None or self.p is None or self.p >= ALPHA:
            return None
        return "B" if self.flips.gained > self.flips.lost else "A"

    def data(self) -> dict[str, Any]:
        """Return the split as plain data for JSON."""
        return {
            "split": self.split, "selection": dict(zip("ab", self.selections, strict=True)), "n": self.n,
            "metrics": [change.data() for change in self.metrics],
            "flips": self._flips(), "drift": self._drift(), "classes": list(self.classes), "note": self.note or None,
            "groups": self._groups(),
        }  # fmt: skip

    def _groups(self) -> dict[str, Any] | None:
        if self.groups is None:
            return None
        sizes = self.groups.sizes
        return {
            "shared": self.groups.shared, "count": len(sizes), "largest": int(sizes.max()),
            "effective": self.groups.effective,
        }  # fmt: skip

    def _flips(self) -> dict[str, Any] | None:
        if self.flips is None:
            return None
        numbers = {name: getattr(self.flips, name) for name in ("n", "flipped", "gained", "lost", "p")}
        ids = self.flips.rows.tolist()
        return {
            **numbers,
            "test": MCNEMAR,
            "p_of_groups": self.p_of_groups,
            "decided_by": MCNEMAR if self.p_of_groups is None else SIGN_TEST,
            "better": self.better,
            "ids": ids,
            "examples": [example.data() for example in self.examples],
        }

    def _drift(self) -> dict[str, Any] | None:
        if self.drift is None:
            return None
        bounds = zip((0.0, *EDGES), (*EDGES, None), self.drift.counts, strict=True)
        bins = [{"from": low, "to": high, "count": count} for low, high, count in bounds]
        return {**{k: v for k, v in asdict(self.drift).items() if k != "counts"}, "histogram": bins}


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Two records and everything that differs between them."""

    path_a: Path
    path_b: Path
    a: Record
    b: Record
    differences: tuple[Difference, ...]
    splits: tuple[SplitDiff, ...]
    why_no_examples: str = ""
    why_no_groups: str = ""
    """Why the texts that examples share are unknown; empty for images."""

    @property
    def flipped(self) -> int:
        """The number of predictions that differ, over all splits."""
        return sum(split.flips.flipped for split in self.splits if split.flips)

    def data(self) -> dict[str, Any]:
        """Return the comparison as plain data for JSON; values that are not numbers are null."""
        return {
            "a": _identity(self.path_a, self.a), "b": _identity(self.path_b, self.b),
            "differences": [asdict(difference) for difference in self.differences],
            "splits": [split.data() for split in self.splits], "why_no_examples": self.why_no_examples or None,
            "why_no_groups": self.why_no_groups or None,
        }  # fmt: skip


def _identity(path: Path, record: Record) -> dict[str, Any]:
    identity = record.identity
    return {
        "record": str(path), "entry": record.entry, "mode": identity.mode, "seed": identity.seed, "key": identity.key,
    }  # fmt: skip
