"""Where each part of a strip plot stands: one dot a run, beside the claimed value and its ranges. Pure; no drawing.

Places across are percentages of the plot's width, so that one drawing fits a phone and a desk; places down are pixels.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

Kind = Literal["reference", "judged", "set aside"]
ROWS: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    ("reference runs", ("reference",)),
    ("judged runs", ("judged", "set aside")),
)
"""The rows of dots from the top, and what is in them."""
LEFT, WIDTH = 3.0, 94.0
NEAR = 2.4
"""Dots nearer than this, in percent of the width, are stacked."""
STEP, HEAD, LABEL, PAD, FOOT = 10, 22, 18, 8, 26
"""Heights in pixels: of a dot in a stack, the claim's label, a row's label, the space below its dots, the axis."""
Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run's value of a metric; `set aside` is one that does not count, for it is degenerate."""

    seed: int
    value: float
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One run's place."""

    x: float
    y: int
    kind: Kind
    label: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of dots: its label's place, its height, and the place of the mean of the runs that count."""

    label: str
    top: int
    bottom: int
    mean: float | None


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot without its colours. `band` and `equivalent` are `(x, width)`."""

    title: str
    description: str
    height: int
    rows: tuple[Row, ...]
    dots: tuple[Dot, ...]
    ticks: tuple[tuple[float, str], ...]
    claimed: float | None
    claimed_label: str
    band: Span | None
    equivalent: Span | None

    @property
    def foot(self) -> int:
        """Where the axis is."""
        return self.height - FOOT

    @property
    def kinds(self) -> set[Kind]:
        """What a legend must tell apart."""
        return {dot.kind for dot in self.dots}


def strip_plot(
    metric: str, split: str, runs: Sequence[Run], claimed: float | None, band: Span | None, equivalent: Span | None
) -> Plot | None:
    """The plot of all runs that have a value; None where there are none."""
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
        if own := [run for run in runs if run.kind in kinds]:
            placed = _stacked([(across(run.value), run) for run in own])
            top, bottom = bottom, bottom + LABEL + STEP * (1 + max(level for _, level, _ in placed)) + PAD
            dots += [
                Dot(x=x, y=bottom - PAD - STEP * level - STEP // 2, kind=run.kind, label=_told(run))
                for x, level, run in placed
            ]
            mean = _mean(own, kinds[0])
            rows.append(Row(label=label, top=top, bottom=bottom, mean=None if mean is None else across(mean)))
    return Plot(
        title=f"Runs of {metric} on {split}" + ("" if claimed is None else f" against the claimed {claimed:.4f}"),
        description=describe(runs, claimed, band, equivalent),
        height=bottom + FOOT,
        rows=tuple(rows),
        dots=tuple(dots),
        ticks=tuple((across(tick), label) for tick, label in ticks(low, high)),
        claimed=None if claimed is None else across(claimed),
        claimed_label="" if claimed is None else f"claimed {claimed:.4f}",
        band=range_of(band),
        equivalent=range_of(equivalent),
    )


def describe(runs: Iterable[Run], claimed: float | None, band: Span | None, equivalent: Span | None) -> str:
    """What the plot shows, in words and numbers, for those who do not see it."""
    said, runs = [], [*runs]
    for label, kinds in (*ROWS[:1], ("judged runs", ("judged",)), ("runs set aside", ("set aside",))):
        if own := sorted(run.value for run in runs if run.kind in kinds):
            shown = label if len(own) > 1 else label.replace("runs", "run")
            reach = f"from {own[0]:.4f} to {own[-1]:.4f}, mean {fmean(own):.4f}" if len(own) > 1 else f"{own[0]:.4f}"
            said.append(f"{len(own)} {shown}: {reach}.")
    said += [f"Claimed: {claimed:.4f}."] if claimed is not None else []
    for name, span in (("Prediction band of the mean", band), ("The mean counts as equivalent", equivalent)):
        said += [f"{name}: {span[0]:.4f} to {span[1]:.4f}."] if span else []
    return " ".join(said)


def ticks(low: float, high: float, most: int = 5) -> list[tuple[float, str]]:
    """Round numbers from `low` to `high`, at most so many, with as many decimals as tell them apart."""
    rough = (high - low) / most
    power = math.floor(math.log10(rough))
    factor = next(factor for factor in (1, 2, 2.5, 5, 10) if factor * 10.0**power >= rough)
    step, decimals = factor * 10.0**power, max(0, (factor == 2.5) - power)
    numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [(number * step, f"{number * step:.{decimals}f}") for number in numbers]


def _limits(values: list[float]) -> Span:
    """The ends of the axis: a little beyond the values, also where all are equal."""
    low, high = min(values), max(values)
    margin = 0.03 * (high - low) or 0.005
    return low - margin, high + margin


def _stacked(points: list[tuple[float, Run]]) -> list[tuple[float, int, Run]]:
    """Each run's place and level: the lowest level where no other is near."""
    taken: list[float] = []
    placed = []
    for x, run in sorted(points, key=lambda point: (point[0], point[1].seed)):
        level = next((n for n, last in enumerate(taken) if x - last >= NEAR), len(taken))
        taken[level : level + 1] = [x]
        placed.append((x, level, run))
    return placed


def _mean(runs: list[Run], kind: Kind) -> float | None:
    """The mean of those of a kind, where they are several: that of one is its dot."""
    values = [run.value for run in runs if run.kind == kind]
    return fmean(values) if len(values) > 1 else None


def _told(run: Run) -> str:
    aside = ", set aside" if run.kind == "set aside" else ""
    return f"seed {run.seed}: {run.value:.4f}{aside}"
