"""The panels of training curves: losses, learning rate and scores, of one run or of several."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.pictures.axes import finish_axes
from harness.pictures.curves import TOTAL, Array, Curve, Curves
from harness.pictures.picture import (
    COLORS,
    INK,
    MOST_STYLES,
    MUTED,
    Handle,
    Panel,
    Picture,
    compose,
    line_style,
    short_name,
)
from zoo.errors import UsageError, did_you_mean
from zoo.text_tables import counted

MOST_POINTS = 200
"""A curve of more steps is drawn as the means of this many groups of neighboring steps."""
MOST_LINES = len(COLORS)
"""More runs than colors are drawn as one group for each entry."""
XLABEL = "optimizer step"


@dataclass(frozen=True, kw_only=True)
class NamedCurves:
    """The curves of a run, its name in legends, and its entry."""

    name: str
    entry: str
    curves: Curves


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve in a panel and its look. Curves of a group are thin, and share a color."""

    curve: Curve
    group: str
    style: Mapping[str, Any]
    is_thin: bool = False


def curves_picture(curves: Curves) -> Picture:
    """Return the picture of one training."""
    return compose(curve_panels([NamedCurves(name="", entry="", curves=curves)])[0])


def curve_panels(runs: Sequence[NamedCurves]) -> tuple[list[Panel], list[tuple[str, Handle]]]:
    """Return the panels of runs, and the legend of all panels, which is empty for a single run.

    Raises:
        UsageError: There are more entries than lines that can be told apart.
    """
    panels, styles = list[Panel](), _styles(runs)
    last = max((run.curves.steps for run in runs), default=0)
    stages = runs[0].curves.stages if len({run.curves.stages for run in runs}) == 1 else ()
    if len(runs) == 1:
        panels += _losses_of_one(runs[0].curves, stages, last)
    else:
        for term in _names(run.curves.losses for run in runs):
            lines = [_line(run, run.curves.losses[term], styles) for run in runs if term in run.curves.losses]
            title = "loss" if term == TOTAL else f"loss {short_name(term)}"
            panels.append(_panel(title, lines, {"loss", term}, stages, last))
    lines = [_line(run, run.curves.rates, styles) for run in runs if run.curves.rates.steps]
    if lines:
        panels.append(_panel("learning rate", lines, {"lr"}, stages, last))
    for name in _names(run.curves.scores for run in runs):
        lines = [_line(run, run.curves.scores[name], styles) for run in runs if name in run.curves.scores]
        metric, _, split = name.partition(" on ")
        panels.append(_panel(short_name(name), lines, {name, metric, split}, stages, last))
    if not panels:
        panels.append(_panel("loss", [], {"loss"}, stages, last))
    panels[-1] = replace(panels[-1], xlabel=XLABEL)
    return panels, _legend(runs, styles)


def select_panels(panels: Sequence[Panel], only: Sequence[str]) -> list[Panel]:
    """Return the panels with these names; all if there are no names.

    Raises:
        UsageError: No panel has one of the names.
    """
    known = sorted({key for panel in panels for key in panel.keys})
    for name in only:
        if name not in known:
            raise UsageError(f"--only {name}: these runs have no such curve{did_you_mean(name, known)}")
    chosen = [panel for panel in panels if not only or panel.keys & set(only)]
    curves = [panel for panel in chosen if panel.xlabel in ("", XLABEL)]
    return [replace(panel, xlabel=XLABEL) if curves and panel is curves[-1] else panel for panel in chosen]


def _losses_of_one(curves: Curves, stages: Sequence[int], last: int) -> list[Panel]:
    """Return the panel with all loss terms of a training; none without steps."""
    names = list(curves.losses)
    if not names:
        return []
    looks: list[dict[str, Any]] = [{"color": INK}] if names[0] == TOTAL and len(names) > 1 else []
    looks += [line_style(number) for number in range(len(names))]
    lines = [Line(curve=curves.losses[name], group=name, style=looks[n]) for n, name in enumerate(names)]
    legend = [(short_name(line.group), _handle(line.style)) for line in lines] if len(lines) > 1 else []
    return [replace(_panel("loss", lines, {"loss", *names}, stages, last), legend=legend)]


def _panel(title: str, lines: Sequence[Line], keys: Iterable[str], stages: Sequence[int], last: int) -> Panel:
    keys = frozenset(keys)
    most = max((len(line.curve.steps) for line in lines), default=0)
    per_point, is_loss = -(-most // _most_points(lines)), "loss" in keys
    note = f", mean of up to {per_point} steps" if per_point > 1 and is_loss else ""
    return Panel(title=f"{title}{note}", draw=partial(_draw, lines, stages, last, is_loss), keys=keys)


def _most_points(lines: Sequence[Line]) -> int:
    return MOST_POINTS if len(lines) <= MOST_LINES else MOST_POINTS // 2


def _draw(lines: Sequence[Line], stages: Sequence[int], last: int, is_loss: bool, axes: Axes) -> str:
    shown = list[Array]()
    for line in lines:
        steps, values = line.curve.averaged(_most_points(lines))
        marker = "o" if len(steps) <= 30 and not line.is_thin else "" if len(steps) > 1 else "o"
        look: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.4} if line.is_thin else {}
        axes.plot(steps, values, marker=marker, **line.style, **look)
        shown.append(values)
    for group, mean in _group_means(lines).items():
        style = next(line.style for line in lines if line.group == group)
        axes.plot(*mean, linewidth=2.2, **style)
    power = finish_axes(axes, shown, last, may_be_logarithmic=is_loss)
    _mark_stages(axes, stages, last)
    _mark_not_finite(axes, lines)
    return power


def _group_means(lines: Sequence[Line]) -> dict[str, tuple[Array, Array]]:
    """Return the mean curve of each group of thin lines, where its runs took the same steps."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        if line.is_thin:
            groups.setdefault(line.group, []).append(line)
    points = {
        group: [line.curve.averaged(_most_points(lines)) for line in members] for group, members in groups.items()
    }
    return {
        group: (curves[0][0], np.mean([values for _, values in curves], axis=0))
        for group, curves in points.items()
        if len(curves) > 1 and len(curves[0][0]) and all(np.array_equal(curves[0][0], steps) for steps, _ in curves)
    }


def _mark_stages(axes: Axes, stages: Sequence[int], last: int) -> None:
    """Draw a line between two stages, with the number of the second one."""
    for number, end in enumerate(stages, 2):
        axes.axvline(end + 0.5, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.text(
            end + 0.5 + 0.01 * last, 1.0, f"stage {number}", transform=axes.get_xaxis_transform(), va="top",
            color=MUTED, fontsize=8.5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
        )  # fmt: skip


def _mark_not_finite(axes: Axes, lines: Sequence[Line]) -> None:
    """Mark the steps whose value is not finite with crosses at the top of the axes."""
    steps = np.unique(np.concatenate([np.array([]), *(line.curve.not_finite for line in lines)]))
    if not len(steps):
        return
    axes.plot(
        steps, np.full(len(steps), 0.97), "x", color="#b0230f", markersize=4, clip_on=False,
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    axes.text(
        1.0, 1.09, f"x: not finite ({counted(len(steps), 'step')})", transform=axes.transAxes, ha="right", fontsize=8.5,
        color="#b0230f",
    )  # fmt: skip


def _is_grouped(runs: Sequence[NamedCurves]) -> bool:
    return len(runs) > MOST_LINES and len({run.entry for run in runs}) < len(runs)


def _styles(runs: Sequence[NamedCurves]) -> dict[str, dict[str, Any]]:
    """Return the look of each run by its name, or of each entry if there are too many runs."""
    groups = dict.fromkeys(run.entry if _is_grouped(runs) else run.name for run in runs)
    if len(groups) > MOST_STYLES:
        raise UsageError(
            f"{len(groups)} runs of different entries: at most {MOST_STYLES} lines can be told apart; name fewer runs"
        )
    return {group: line_style(number) for number, group in enumerate(groups)}


def _line(run: NamedCurves, curve: Curve, styles: Mapping[str, dict[str, Any]]) -> Line:
    is_thin = run.name not in styles
    group = run.entry if is_thin else run.name
    return Line(curve=curve, group=group, style=styles[group], is_thin=is_thin)


def _legend(runs: Sequence[NamedCurves], styles: Mapping[str, dict[str, Any]]) -> list[tuple[str, Handle]]:
    if len(runs) == 1:
        return []
    counts = {group: sum(run.entry == group for run in runs) for group in styles}
    more = {
        group: f" ({count} runs, thick: mean)" if _is_grouped(runs) and count > 1 else ""
        for group, count in counts.items()
    }
    return [(short_name(group) + more[group], _handle(style)) for group, style in styles.items()]


def _handle(style: Mapping[str, Any]) -> Line2D:
    return Line2D([], [], **style)


def _names(mappings: Iterable[Mapping[str, Curve]]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))
