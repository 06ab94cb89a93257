"""Lay out a reliability diagram: the accuracy of predictions by their confidence. It draws nothing.

Guo et al., On Calibration of Modern Neural Networks (ICML 2017). Horizontal positions are percentages of the width,
vertical positions are pixels, as in `leaderboard.strip_plot`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""The number of bins of equal width, as in the paper."""
LEFT, WIDTH = 8.0, 89.0
TOP, HEIGHT, GAP, COUNTS, FOOT = 8, 200, 14, 44, 40
"""Heights in pixels: above the diagram, the diagram, the space below it, the counts, the axis with its label."""
Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Bin:
    """A bin of confidences from `low` to `high`, with its predictions. An empty bin has no means."""

    low: float
    high: float
    count: int
    accuracy: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The bar of a bin: its position, that of the mean confidence, and that of the count below the diagram."""

    x: float
    width: float
    y: float
    height: float
    confidence: float
    count_y: float
    count_height: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Diagram:
    """The layout of a reliability diagram. The diagonal is where confidence and accuracy are equal."""

    ece: float
    n: int
    bins: tuple[Bin, ...]
    bars: tuple[Bar, ...]
    description: str
    ticks: tuple[tuple[float, float, str], ...]
    """For each tick the horizontal position, the vertical position, and the label of both axes."""
    left: float = LEFT
    right: float = LEFT + WIDTH
    top: int = TOP
    bottom: int = TOP + HEIGHT
    count_bottom: int = TOP + HEIGHT + GAP + COUNTS
    height: int = TOP + HEIGHT + GAP + COUNTS + FOOT


def confidences(logits: Array) -> Array:
    """Return the largest softmax probability of each row of logits `(N, C)`, as `(N,)`."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    largest: Array = 1 / shifted.sum(axis=1)
    return largest


def bins_of(confidence: Array, is_right: Array) -> tuple[Bin, ...]:
    """Return the bins of equal width that predictions fall into; a bin includes its upper end."""
    numbers = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    found = []
    for number in range(BINS):
        inside = numbers == number
        count = int(inside.sum())
        means = (float(is_right[inside].mean()), float(confidence[inside].mean())) if count else (0.0, 0.0)
        low, high = number / BINS, (number + 1) / BINS
        found.append(Bin(low=low, high=high, count=count, accuracy=means[0], confidence=means[1]))
    return tuple(found)


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the expected calibration error (ECE), equation 3 of the paper."""
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.accuracy - each.confidence) for each in bins) / total


def diagram_of(logits: Array, predictions: Array, labels: Array) -> Diagram:
    """Lay out the diagram of finite logits `(N, C)` with their predictions and labels `(N,)`."""
    bins = bins_of(confidences(logits), predictions == labels)
    filled, most = [each for each in bins if each.count], max(each.count for each in bins)
    ece, n = calibration_error(bins), len(labels)
    return Diagram(
        ece=ece,
        n=n,
        bins=tuple(filled),
        bars=tuple(_bar(each, most) for each in filled),
        description=f"Expected calibration error {ece:.4f} in {BINS} bins of {n:,} predictions. "
        + " ".join(f"{_range(each)}: accuracy {each.accuracy:.2f}, {each.count:,} predictions." for each in filled),
        ticks=tuple((_across(tick), TOP + HEIGHT * (1 - tick), f"{tick:g}") for tick in (0, 0.2, 0.4, 0.6, 0.8, 1)),
    )


def _bar(each: Bin, most: int) -> Bar:
    height, counted = HEIGHT * each.accuracy, max(1.0, COUNTS * each.count / most)
    return Bar(
        x=round(_across(each.low) + 0.3, 3),
        width=round(WIDTH / BINS - 0.6, 3),
        y=round(TOP + HEIGHT - height, 2),
        height=round(height, 2),
        confidence=round(TOP + HEIGHT * (1 - each.confidence), 2),
        count_y=round(TOP + HEIGHT + GAP + COUNTS - counted, 2),
        count_height=round(counted, 2),
        label=f"confidence {_range(each)}: accuracy {each.accuracy:.3f}, mean confidence {each.confidence:.3f},"
        f" {each.count:,} predictions",
    )


def _across(value: float) -> float:
    return LEFT + WIDTH * value


def _range(each: Bin) -> str:
    return f"{each.low:.2f} to {each.high:.2f}"
