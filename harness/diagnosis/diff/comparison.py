"""Two records side by side: what differs in what was computed, in the scores, and in single examples.

Everything is read from the records and the predictions beside them; what an example looks like needs its data, and is
added by `harness.diagnosis.diff.example_data`. Nothing here imports torch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from harness import metrics
from harness.diagnosis.diff.example_preview import ExamplePreview
from harness.diagnosis.diff.intervals import Interval, paired
from harness.judging.judge_runs import read_predictions
from harness.judging.paired import EDGES, Array, Drift, Flips, find_flips, measure_drift
from harness.metrics import Metric, reads
from harness.records.record import Record, Result, read_record, verify_files
from zoo.errors import UsageError
from zoo.text_tables import finite

ORDER = ("mode", "seed", "digest", "recipe", "sources", "metric_code", "numerics", "weights", "environment")
"""In which the parts that differ are told."""
SAME = 1e-9
"""How far a score that is computed again may be from the recorded one."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A part of what was computed, or where, that is not the same in both; None where one has none."""

    part: str
    a: Any
    b: Any


@dataclass(frozen=True, kw_only=True)
class MetricChange:
    """A metric's two values, as they were recorded, and the interval of `B - A`, or why there is none."""

    metric: str
    a: float | None
    b: float | None
    interval: Interval | None = None
    why: str = ""

    @property
    def difference(self) -> float | None:
        """B - A; None where either is not defined."""
        return None if self.a is None or self.b is None else self.b - self.a

    def data(self) -> dict[str, Any]:
        """As JSON can hold it."""
        found = self.interval
        return {
            "metric": self.metric, "a": self.a, "b": self.b, "difference": self.difference,
            "low": found.low if found else None, "high": found.high if found else None,
            "interval": found.kind if found else None, "why": self.why or None,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FlippedExample:
    """An example that is predicted differently: its position, label and predictions (lists of several labels)."""

    id: int
    label: Any
    a: Any
    b: Any
    margin_a: float | None
    margin_b: float | None
    look: ExamplePreview | None = None

    def data(self) -> dict[str, Any]:
        """As JSON can hold it."""
        plain = {name: value for name, value in vars(self).items() if name != "look"}
        seen = {"texts": list(self.look.texts) or None, "image": self.look.uri} if self.look else {}
        return {**plain, **seen}


@dataclass(frozen=True, kw_only=True)
class SplitDiff:
    """A split that both were scored on; `examples` are the flipped ones, those whose logits moved farthest first."""

    split: str
    selections: tuple[str, str]
    n: int
    metrics: tuple[MetricChange, ...]
    flips: Flips | None
    drift: Drift | None
    examples: tuple[FlippedExample, ...] = ()
    classes: tuple[str, ...] = ()
    said: str = ""
    """Why nothing flips."""
    labels: Array | None = field(default=None, repr=False, compare=False)

    def data(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "split": self.split, "selection": dict(zip("ab", self.selections, strict=True)), "n": self.n,
            "metrics": [change.data() for change in self.metrics],
            "flips": self._flips(), "drift": self._drift(), "classes": list(self.classes), "note": self.said or None,
        }  # fmt: skip

    def _flips(self) -> dict[str, Any] | None:
        if self.flips is None:
            return None
        numbers = {name: getattr(self.flips, name) for name in ("n", "flipped", "gained", "lost", "p")}
        ids = self.flips.rows.tolist()
        return {**numbers, "test": "exact McNemar", "ids": ids, "examples": [one.data() for one in self.examples]}

    def _drift(self) -> dict[str, Any] | None:
        if self.drift is None:
            return None
        bounds = zip((0.0, *EDGES), (*EDGES, None), self.drift.counts, strict=True)
        bins = [{"from": low, "to": high, "count": count} for low, high, count in bounds]
        return {**{k: v for k, v in asdict(self.drift).items() if k != "counts"}, "histogram": bins}


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Two records and all that differs between them; `why` says why no example is shown."""

    path_a: Path
    path_b: Path
    a: Record
    b: Record
    unlike: tuple[Difference, ...]
    parts: tuple[SplitDiff, ...]
    why: str = ""

    @property
    def flipped(self) -> int:
        """How many predictions differ, on all splits."""
        return sum(part.flips.flipped for part in self.parts if part.flips)

    def data(self) -> dict[str, Any]:
        """As JSON can hold it: what is not a number is null."""
        return {
            "a": _told(self.path_a, self.a), "b": _told(self.path_b, self.b),
            "unlike": [asdict(one) for one in self.unlike],
            "splits": [part.data() for part in self.parts], "why_no_examples": self.why or None,
        }  # fmt: skip


def diff(path_a: Path, path_b: Path) -> Diff:
    """Compare two records.

    Raises UsageError where they have no split in common, and IntegrityError where predictions are not the recorded
    ones.
    """
    a, b = read_record(path_a), read_record(path_b)
    verify_files(path_a, a)
    verify_files(path_b, b)
    pairs = list(_pairs(a, b))
    if not pairs:
        has = [f"{record.entry} has {', '.join(dict.fromkeys(r.split for r in record.results))}" for record in (a, b)]
        raise UsageError(f"these records have no split in common: {' and '.join(has)}")
    parts = tuple(_part((path_a, a, mine), (path_b, b, theirs)) for mine, theirs in pairs)
    return Diff(path_a=path_a, path_b=path_b, a=a, b=b, unlike=tuple(_unlike(a, b)), parts=parts)


def _pairs(a: Record, b: Record) -> Iterator[tuple[Result, Result]]:
    """The results of the same split and selection; of a split without such a pair the only ones, if there is one."""
    for split in dict.fromkeys(result.split for result in a.results):
        mine, theirs = ([result for result in record.results if result.split == split] for record in (a, b))
        same = [(x, y) for x in mine for y in theirs if x.selection == y.selection]
        yield from same or ([(mine[0], theirs[0])] if len(mine) == len(theirs) == 1 else [])


Side = tuple[Path, Record, Result]
"""A record, where it is, and one of its results."""


def _part(a: Side, b: Side) -> SplitDiff:
    before, after = read_predictions(a[0], a[2]), read_predictions(b[0], b[2])
    flipped, drifted, said = None, None, ""
    try:
        drifted = measure_drift(before, after)
        flipped = find_flips(before, after)
    except UsageError as error:
        said = str(error)
    comparable = bool(drifted or flipped) or _same_shapes(before, after)
    return SplitDiff(
        split=a[2].split, selections=(a[2].selection, b[2].selection), n=a[2].n, flips=flipped, drift=drifted,
        metrics=tuple(_changes(a, b, before, after, said="" if comparable else said)), said=said,
        examples=tuple(_flipped(flipped, before, after)) if flipped else (), labels=before.get("labels"),
    )  # fmt: skip


def _same_shapes(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    """Whether the counts of a segmentation are of the same images, as far as their true pixels tell."""
    if "confusion" not in a or "confusion" not in b or a["confusion"].shape != b["confusion"].shape:
        return False
    return np.array_equal(*(arrays["confusion"].sum(axis=2) for arrays in (a, b)))


def _flipped(found: Flips, a: Mapping[str, Array], b: Mapping[str, Array]) -> Iterator[FlippedExample]:
    moved = np.nan_to_num(found.margins_a) + np.nan_to_num(found.margins_b)
    for at in np.argsort(-moved, kind="stable"):
        row = int(found.rows[at])
        yield FlippedExample(
            id=row, label=a["labels"][row].tolist(), a=a["predictions"][row].tolist(), b=b["predictions"][row].tolist(),
            margin_a=finite(found.margins_a[at]), margin_b=finite(found.margins_b[at]),
        )  # fmt: skip


def _changes(
    a: Side, b: Side, before: Mapping[str, Array], after: Mapping[str, Array], *, said: str
) -> Iterator[MetricChange]:
    for name in a[2].metrics:
        if name in b[2].metrics:
            values = [side[2].metrics[name]["value"] for side in (a, b)]
            interval, why = None, said
            if not why:
                interval, why = _interval(name, (a, b), (before, after))
            yield MetricChange(metric=name, a=values[0], b=values[1], interval=interval, why=why)


def _interval(
    name: str, sides: tuple[Side, Side], arrays: tuple[Mapping[str, Array], Mapping[str, Array]]
) -> tuple[Interval | None, str]:
    """The interval of a metric's difference, or why there is none."""
    metric = _metric(sides[0][1], name)
    if metric is None:
        return None, f"{name} is none of this project's metrics, and is not computed again"
    for side, kept in zip(sides, arrays, strict=True):
        if lacking := [array for array in reads(metric) if array not in kept]:
            return None, f"no {lacking[0]} were kept of each example"
        value, again = side[2].metrics[name]["value"], float(metric(*(kept[array] for array in reads(metric))))
        if value is None or not isfinite(again):
            return None, "it is not defined"
        if abs(value - again) > SAME:
            return None, f"its code is not that of the record: {again:.6f} now, {value:.6f} recorded"
    found = paired(metric, *arrays)
    return found, "" if found else "it is not defined in many resamples"


def _metric(record: Record, name: str) -> Metric | None:
    """The metric of that name in a record's recipe, with its arguments; None for one that is not of `harness.metrics`.

    A recipe that names none has the task's, which are all of `harness.metrics`.
    """
    named = [call for call in record.recipe.get("metrics", ()) if call["use"].split(".")[-1] == name]
    call = dict(named[0]) if named else {"use": name}
    function = getattr(metrics, call.pop("use").removeprefix("harness.metrics."), None)
    if function is None or getattr(function, "__module__", "") != metrics.__name__:
        return None
    return partial(function, **call) if call else function


def _unlike(a: Record, b: Record) -> Iterator[Difference]:
    """What differs of what was computed and where, by paths into the record."""
    mine, theirs = (dict(_flat(_compared(record))) for record in (a, b))
    for part in sorted(mine.keys() | theirs.keys(), key=lambda path: (ORDER.index(path.split(".")[0]), path)):
        if mine.get(part) != theirs.get(part):
            yield Difference(part=part, a=mine.get(part), b=theirs.get(part))


def _compared(record: Record) -> dict[str, Any]:
    environment = {name: value for name, value in record.environment.items() if name != "earlier"}
    found = {"recipe": record.recipe, "weights": record.weights, "environment": environment}
    return {**asdict(record.identity), **found}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Plain data as paths and scalars."""
    if isinstance(value, Mapping | list | tuple):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _told(path: Path, record: Record) -> dict[str, Any]:
    identity = record.identity
    return {
        "record": str(path), "entry": record.entry, "mode": identity.mode, "seed": identity.seed, "key": identity.key,
    }  # fmt: skip
