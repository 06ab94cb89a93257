"""Lay out a strip plot: one dot per run, the claimed value, and the ranges that judge the mean. It draws nothing.

Horizontal positions are percentages of the plot's width, so that one plot fits a phone and a desktop. Vertical
positions are pixels.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from zoo.text_tables import number

Kind = Literal["reference", "judged", "set aside"]
ROWS: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    ("reference runs", ("reference",)),
    ("judged runs", ("judged", "set aside")),
)
"""The rows of dots from top to bottom, and the kinds of runs in them."""
LEFT, WIDTH = 3.0, 94.0
NEAR = 2.4
"""Dots closer than this percentage of the width are stacked."""
STEP, HEAD, LABEL, PAD, FOOT = 10, 22, 18, 8, 26
"""Heights in pixels: a dot in a stack, the label of the claim, the label of a row, the space below dots, the axis."""
Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class PlottedRun:
    """The score of one run. A degenerate run is `set aside`: it is left out of the mean."""

    seed: int
    value: float
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Dot:
    """The position of one run."""

    x: float
    y: int
    kind: Kind
    label: str


@dataclass(frozen=True, kw_only=True)
class DotRow:
    """One row of dots: its label, vertical extent, and the position of the mean of the runs that count."""

    label: str
    top: int
    bottom: int
    mean: float | None


@dataclass(frozen=True, kw_only=True)
class Plot:
    """The layout of a plot. `band` and `equivalent` are `(x, width)`."""

    title: str
    description: str
    height: int
    rows: tuple[DotRow, ...]
    dots: tuple[Dot, ...]
    ticks: tuple[tuple[float, str], ...]
    claimed: float | None
    claimed_label: str
    band: Span | None
    equivalent: Span | None

    @property
    def foot(self) -> int:
        """The vertical position of the axis."""
        return self.height - FOOT

    @property
    def kinds(self) -> set[Kind]:
        """The kinds of runs that the legend must explain."""
        return {dot.kind for dot in self.dots}


def strip_plot(
    metric: str,
    split: str,
    runs: Sequence[PlottedRun],
    claimed: float | None,
    band: Span | None,
    equivalent: Span | None,
    decimals: int | None = None,
) -> Plot | None:
    """Lay out the plot of all runs with a defined score.

    Args:
        metric: The metric's name.
        split: The split's name.
        runs: The runs.
        claimed: The claimed value.
        band: The prediction band of the mean.
        equivalent: The range in which the mean counts as equivalent.
        decimals: The decimals of the claim.

    Returns:
        The layout, or None if no run has a defined score.
    """
    runs = [run for run in runs if math.isfinite(run.value)]
    if not runs:
        return None
    marks = [*(run.value for run in runs), *([] if claimed is None else [claimed]), *(band or ()), *(equivalent or ())]
    low, high = _limits(marks)

    def across(value: float) -> float:
        return round(LEFT + WIDTH * (value - low) / (high - low), 3)

    def range_of(span: Span | None) -> Span | None:
        return None if span is None else (across(span[0]), round(across(span[1]) - across(span[0]), 3))

    rows, dots, bottom = [], [], HEAD
    for label, kinds in ROWS:
        if in_row := [run for run in runs if run.kind in kinds]:
            placed = _stack([(across(run.value), run) for run in in_row])
            top, bottom = bottom, bottom + LABEL + STEP * (1 + max(level for _, level, _ in placed)) + PAD
            dots += [
                Dot(x=x, y=bottom - PAD - STEP * level - STEP // 2, kind=run.kind, label=_label(run, decimals))
                for x, level, run in placed
            ]
            mean = _mean(in_row, kinds[0])
            rows.append(DotRow(label=label, top=top, bottom=bottom, mean=None if mean is None else across(mean)))
    claim = "" if claimed is None else f"claimed {number(claimed, decimals)}"
    return Plot(
        title=f"Runs of {metric} on {split}" + (f" against the {claim}" if claim else ""),
        description=describe(runs, claimed, band, equivalent, decimals),
        height=bottom + FOOT,
        rows=tuple(rows),
        dots=tuple(dots),
        ticks=tuple((across(tick), label) for tick, label in ticks(low, high)),
        claimed=None if claimed is None else across(claimed),
        claimed_label=claim,
        band=range_of(band),
        equivalent=range_of(equivalent),
    )


def describe(
    runs: Iterable[PlottedRun],
    claimed: float | None,
    band: Span | None,
    equivalent: Span | None,
    decimals: int | None = None,
) -> str:
    """Describe the plot in words and numbers, for readers who cannot see it."""
    sentences, runs = [], [*runs]
    for label, kinds in (*ROWS[:1], ("judged runs", ("judged",)), ("runs set aside", ("set aside",))):
        if values := sorted(run.value for run in runs if run.kind in kinds):
            low, high, mean = (number(v, decimals) for v in (values[0], values[-1], fmean(values)))
            if len(values) == 1:
                sentences.append(f"1 {label.replace('runs', 'run')}: {mean}.")
            else:
                sentences.append(f"{len(values)} {label}: from {low} to {high}, mean {mean}.")
    sentences += [f"Claimed: {number(claimed, decimals)}."] if claimed is not None else []
    for name, span in (("Prediction band of the mean", band), ("The mean counts as equivalent", equivalent)):
        sentences += [f"{name}: {number(span[0], decimals)} to {number(span[1], decimals)}."] if span else []
    return " ".join(sentences)


def ticks(low: float, high: float, most: int = 5) -> list[tuple[float, str]]:
    """Return about `most` round numbers from `low` to `high`, with labels of enough decimals to differ."""
    rough = (high - low) / most
    power = math.floor(math.log10(rough))
    factor = next(factor for factor in (1, 2, 2.5, 5, 10) if factor * 10.0**power >= rough)
    step, decimals = factor * 10.0**power, max(0, (factor == 2.5) - power)
    numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [(number * step, f"{number * step:.{decimals}f}") for number in numbers]


def _limits(values: list[float]) -> Span:
    """Return the ends of the axis, a little beyond the values even if all are equal."""
    low, high = min(values), max(values)
    margin = 0.03 * (high - low) or 0.005
    return low - margin, high + margin


def _stack(points: list[tuple[float, PlottedRun]]) -> list[tuple[float, int, PlottedRun]]:
    """Return the position, level and run of each dot; the level is the lowest one without a dot nearby."""
    taken: list[float] = []
    placed = []
    for x, run in sorted(points, key=lambda point: (point[0], point[1].seed)):
        level = next((n for n, last in enumerate(taken) if x - last >= NEAR), len(taken))
        taken[level : level + 1] = [x]
        placed.append((x, level, run))
    return placed


def _mean(runs: list[PlottedRun], kind: Kind) -> float | None:
    """Return the mean of the runs of a kind, or None for a single run, whose dot shows it."""
    values = [run.value for run in runs if run.kind == kind]
    return fmean(values) if len(values) > 1 else None


def _label(run: PlottedRun, decimals: int | None) -> str:
    aside = ", set aside" if run.kind == "set aside" else ""
    return f"seed {run.seed}: {number(run.value, decimals)}{aside}"
