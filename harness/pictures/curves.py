"""Read the curves of a training log: losses, learning rate and scores over the optimizer steps."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import SourceError, UsageError

TOTAL = "total"
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A quantity over the steps of a training. A value that is not finite is NaN."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def finite(self) -> tuple[Array, Array]:
        """The steps with a finite value, and their values, each `(N,)`."""
        steps, values = np.array(self.steps, float), np.array(self.values, float)
        is_finite = np.isfinite(values)
        return steps[is_finite], values[is_finite]

    @property
    def not_finite(self) -> Array:
        """The steps whose value is not finite, `(N,)`."""
        return np.array([step for step, value in zip(self.steps, self.values, strict=True) if math.isnan(value)])

    def averaged(self, most: int) -> tuple[Array, Array]:
        """Return the finite values as at most `most` points: each is the mean of neighboring steps."""
        steps, values = self.finite
        if len(steps) <= most:
            return steps, values
        parts = [np.array_split(array, most) for array in (steps, values)]
        means = [np.array([part.mean() for part in of_array]) for of_array in parts]
        return means[0], means[1]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The curves of one training.

    Attributes:
        losses: Loss term -> curve, the weighted sum `total` first. A single term that equals `total` is left out.
        rates: The learning rate.
        scores: `METRIC on SPLIT` -> curve over the epochs that were scored.
        stages: The last step of each stage but the last one.
        steps: The number of the last step.
    """

    losses: Mapping[str, Curve]
    rates: Curve
    scores: Mapping[str, Curve]
    stages: tuple[int, ...]
    steps: int


@dataclass
class _Points:
    """Points of a curve that is being read."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: int, value: float | None) -> None:
        self.steps.append(step)
        self.values.append(math.nan if value is None or not math.isfinite(value) else float(value))

    def curve(self) -> Curve:
        return Curve(steps=tuple(self.steps), values=tuple(self.values))


def read_curves(path: Path) -> Curves:
    """Return the curves of a training log. A last line that is cut off is ignored: the training may be writing it.

    Raises:
        SourceError: The file cannot be read.
        UsageError: A line is not one of a training log; the message has its number.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    losses, scores, rates, ends = dict[str, _Points](), dict[str, _Points](), _Points(), dict[int, int]()
    for number, line in enumerate(lines, 1):
        try:
            _add_line(json.loads(line), losses, scores, rates, ends)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            if number < len(lines):
                raise UsageError(
                    f"{path}:{number}: not a line of a training log; name the folder of a training of zoo"
                ) from None
    steps = max(ends.values(), default=0)
    return Curves(
        losses={name: points.curve() for name, points in _shown(losses).items()},
        rates=rates.curve(),
        scores={name: points.curve() for name, points in scores.items()},
        stages=tuple(end for end in ends.values() if end < steps),
        steps=steps,
    )


def _add_line(
    data: Mapping[str, Any],
    losses: dict[str, _Points],
    scores: dict[str, _Points],
    rates: _Points,
    ends: dict[int, int],
) -> None:
    """Add a line. Its values are all read before the first is added, so that half a line adds nothing."""
    step, stage = int(data["step"]), int(data["stage"])
    new_losses = [(str(term), _number(value)) for term, value in data.get("losses", {}).items()]
    new_scores = [
        (f"{metric} on {split}", _number(value))
        for split, of_split in data.get("scores", {}).items()
        for metric, value in of_split.items()
    ]
    rate = _number(data["rate"])
    ends[stage] = step
    for term, value in new_losses:
        losses.setdefault(term, _Points()).add(step, value)
    for name, value in new_scores:
        scores.setdefault(name, _Points()).add(step, value)
    if new_losses:
        rates.add(step, rate)


def _number(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]


def _shown(losses: Mapping[str, _Points]) -> dict[str, _Points]:
    """Return the curves with `total` first. A term with the values of `total` shows nothing new, and is left out."""
    total = losses.get(TOTAL)
    if total is None:
        return dict(losses)
    others = {name: points for name, points in losses.items() if name != TOTAL}
    is_same = len(others) == 1 and all(_equal(points.values, total.values) for points in others.values())
    return {TOTAL: total, **({} if is_same else others)}


def _equal(first: Sequence[float], second: Sequence[float]) -> bool:
    return len(first) == len(second) and bool(np.allclose(first, second, rtol=1e-6, equal_nan=True))
