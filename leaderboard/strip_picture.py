"""Draw a strip plot with matplotlib, for notebooks and `zoo plot`; `leaderboard.strip_plot` lays it out."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.pictures.picture import INK, MUTED, Handle, Panel, short_name
from leaderboard.strip_plot import LABEL, PAD, Kind, Plot

SEEDS = "seeds"
"""The name by which a user selects the panel."""
CLAIM, JUDGED, BAND, EQUIVALENT = "#b0230f", "#0072b2", "#cfe0ee", "#009e73"
_TOP = 18
"""The upper end of the ranges in the layout, in pixels, below the label of the claim."""
_MARKERS: dict[Kind, dict[str, Any]] = {
    "reference": {"marker": "o", "markerfacecolor": "white", "markeredgecolor": MUTED, "markersize": 6},
    "judged": {"marker": "D", "markerfacecolor": JUDGED, "markeredgecolor": "white", "markersize": 6},
    "set aside": {"marker": "x", "markeredgecolor": CLAIM, "markersize": 6, "markeredgewidth": 2},
}
_LABELS: dict[Kind, str] = {
    "reference": "reference run", "judged": "judged run", "set aside": "left out",
}  # fmt: skip


def strip_panel(entry: str, figure: Mapping[str, Any]) -> Panel:
    """Return the panel with the runs of an entry against the claimed score.

    Args:
        entry: The name of the entry.
        figure: The result of `leaderboard.entry_page.runs_plot`.
    """
    plot: Plot = figure["drawn"]
    return Panel(
        title=f"{short_name(entry)}: {figure['verdict']}",
        draw=partial(_draw, plot),
        keys=frozenset({SEEDS}),
        legend=_legend(plot),
        xlabel=f"{figure['metric']} on {figure['split']}",
        height=plot.foot / 80,
    )


def _draw(plot: Plot, axes: Axes) -> str:
    axes.set_xlim(0, 100)
    axes.set_ylim(plot.foot, 0)
    axes.spines["left"].set_visible(False)
    _label_rows(plot, axes)
    axes.set_xticks([x for x, _ in plot.ticks], [label for _, label in plot.ticks])
    _draw_ranges(plot, axes)
    for row in plot.rows:
        if row.mean is not None:
            axes.plot([row.mean] * 2, [row.top + 16, row.bottom - 3], color=INK, linewidth=2, zorder=3)
    for dot in plot.dots:
        axes.plot([dot.x], [dot.y], linestyle="", zorder=4, clip_on=False, **_MARKERS[dot.kind])
    return ""


def _label_rows(plot: Plot, axes: Axes) -> None:
    """Write the label of each row into the left margin, a word a line, where no range is drawn."""
    middles = [(row.top + LABEL + row.bottom - PAD) / 2 for row in plot.rows]
    axes.set_yticks(middles, [row.label.replace(" ", "\n") for row in plot.rows], fontsize=8, color=MUTED)
    axes.tick_params(axis="y", length=0, pad=2)


def _draw_ranges(plot: Plot, axes: Axes) -> None:
    """Draw the ranges that judge the mean, and the claimed value."""
    bottom = 1 - _TOP / plot.foot
    if plot.band is not None:
        axes.axvspan(plot.band[0], sum(plot.band), ymax=bottom, color=BAND, linewidth=0, zorder=0)
    if plot.equivalent is not None:
        for x in (plot.equivalent[0], sum(plot.equivalent)):
            axes.axvline(x, ymax=bottom, color=EQUIVALENT, linewidth=1.2, linestyle=(0, (3, 2)), zorder=1)
    if plot.claimed is not None:
        axes.axvline(plot.claimed, ymax=bottom, color=CLAIM, linewidth=1.6, zorder=2)
        side = "left" if plot.claimed < 20 else "right" if plot.claimed > 80 else "center"
        axes.text(plot.claimed, 14, plot.claimed_label, color=CLAIM, fontsize=9, ha=side)


def _legend(plot: Plot) -> list[tuple[str, Handle]]:
    legend: list[tuple[str, Handle]] = [
        (_LABELS[kind], Line2D([], [], linestyle="", **look)) for kind, look in _MARKERS.items() if kind in plot.kinds
    ]
    if any(row.mean is not None for row in plot.rows):
        legend.append(("mean", Line2D([], [], color=INK, linewidth=2)))
    if plot.claimed is not None:
        legend.append(("claimed", Line2D([], [], color=CLAIM, linewidth=1.6)))
    if plot.band is not None:
        legend.append(("expected range", Patch(color=BAND, linewidth=0)))
    if plot.equivalent is not None:
        edge = Line2D([], [], color=EQUIVALENT, linewidth=1.2, linestyle=(0, (3, 2)))
        legend.append(("equivalent", edge))
    return legend
