"""The axes of a panel: limits, round ticks, and labels of at most two decimals."""

import math
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from harness.pictures.curves import Array
from harness.pictures.picture import GRID

LEAST_SPAN = 0.1
"""The least height of a linear axis as a share of its largest value, so that noise does not look like a trend."""
LOG_RATIO = 100.0
"""Positive values that differ by a larger factor have a logarithmic axis."""
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def finish_axes(axes: Axes, values: Iterable[Array], last_step: int, *, may_be_logarithmic: bool) -> str:
    """Set limits, ticks and grid of a panel for these values over the steps of a training.

    Returns:
        The power of ten that the tick labels leave out, such as `(10⁻³)`; empty if there is none.
    """
    arrays = [array for array in values if len(array)]
    shown = np.concatenate(arrays) if arrays else np.array([])
    axes.set_xlim(*_step_limits(last_step))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    if not len(shown):
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center", va="center")
        if not last_step:
            axes.set_xticks([])
        return ""
    if may_be_logarithmic and is_logarithmic(shown):
        _set_log(axes, shown)
        return ""
    return set_linear(axes, shown)


def is_logarithmic(values: Array) -> bool:
    """Return whether values need a logarithmic axis: all are positive, and most of them differ by a large factor."""
    if not (values > 0).all():
        return False
    low, high = np.quantile(values, [0.02, 0.98])
    return bool(high / low > LOG_RATIO)


def tick_scale(step: float, largest: float) -> tuple[int, int]:
    """Return the power of ten that tick labels leave out, and their decimals: at most two.

    Args:
        step: The distance of two ticks.
        largest: The largest number on the axis, by magnitude.
    """
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if decimals <= 2 and largest < 1e6:
        return 0, decimals
    power = math.floor(math.log10(largest) + 1e-9)
    return power, min(2, max(0, power - math.floor(math.log10(step) + 1e-9)))


def power_label(value: float) -> str:
    """Return a tick of a logarithmic axis."""
    if 0.01 <= value < 1e5:
        return f"{value:,.{max(0, -math.floor(math.log10(value) + 1e-9))}f}"
    power = math.floor(math.log10(value) + 1e-9)
    mantissa = round(value / 10.0**power)
    return f"{'' if mantissa == 1 else f'{mantissa}·'}10{str(power).translate(_SUPERSCRIPTS)}"


def _step_limits(last_step: int) -> tuple[float, float]:
    margin = max(0.5, 0.015 * last_step)
    return (1 - margin if last_step > 1 else 0.5), max(last_step, 1) + margin


def set_linear(axes: Axes, values: Array) -> str:
    """Set a linear vertical axis around values, and return the power of ten that its labels leave out."""
    low, high = float(values.min()), float(values.max())
    largest = max(abs(low), abs(high))
    middle, span = (low + high) / 2, max(1.12 * (high - low), LEAST_SPAN * largest) or 1.0
    bottom, top = middle - span / 2, middle + span / 2
    axes.set_ylim(bottom, top)
    locator = MaxNLocator(4, steps=[1, 2, 5, 10])
    axes.yaxis.set_major_locator(locator)
    ticks = locator.tick_values(bottom, top)
    power, decimals = tick_scale(ticks[1] - ticks[0], max(abs(bottom), abs(top)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _decimal(value / 10.0**power, decimals)))
    return f"(10{str(power).translate(_SUPERSCRIPTS)})" if power else ""


def _decimal(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    return text if float(text.replace(",", "")) else "0"


def _set_log(axes: Axes, values: Array) -> None:
    low, high = float(values.min()), float(values.max())
    axes.set_yscale("log")
    axes.set_ylim(low / 1.3, high * 1.3)
    few = math.log10(high / low) < 2.5
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if few else (1.0,), numticks=6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power_label(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
