"""Layout of the strip plot: positions, stacking, description and tick labels."""

import math

import pytest

from leaderboard import strip_plot
from leaderboard.strip_plot import PlottedRun

RUNS = [
    *(
        PlottedRun(seed=seed, value=value, kind="reference")
        for seed, value in ((1000, 0.90), (1001, 0.92), (1002, 0.9201))
    ),
    PlottedRun(seed=0, value=0.91, kind="judged"),
    PlottedRun(seed=1, value=0.5, kind="set aside"),
    PlottedRun(seed=2, value=math.nan, kind="judged"),
]


def laid_out() -> strip_plot.Plot:
    plot = strip_plot.strip_plot("accuracy", "test", RUNS, 0.91, (0.89, 0.93), (0.90, 0.92))
    assert plot is not None
    return plot


def test_runs_are_placed_by_their_values_and_stacked_where_they_are_close() -> None:
    plot = laid_out()
    dots = {dot.label: dot for dot in plot.dots}
    assert [*dots] == [
        "seed 1000: 0.9000", "seed 1001: 0.9200", "seed 1002: 0.9201", "seed 1: 0.5000, set aside", "seed 0: 0.9100",
    ]  # fmt: skip
    assert dots["seed 1001: 0.9200"].y - dots["seed 1002: 0.9201"].y == strip_plot.STEP
    assert dots["seed 0: 0.9100"].x == plot.claimed
    assert all(0 <= x <= 100 for x, _ in plot.ticks)


def test_the_ranges_enclose_the_claimed_value_in_their_order() -> None:
    plot = laid_out()
    assert plot.band is not None and plot.equivalent is not None and plot.claimed is not None
    assert plot.band[0] < plot.equivalent[0] < plot.claimed < sum(plot.equivalent) < sum(plot.band)


def test_the_description_gives_the_numbers_in_words() -> None:
    description = laid_out().description
    assert "3 reference runs: from 0.9000 to 0.9201, mean 0.9134." in description
    assert "1 run set aside: 0.5000." in description
    assert "Prediction band of the mean: 0.8900 to 0.9300." in description


def test_runs_without_a_defined_score_give_no_plot() -> None:
    assert strip_plot.strip_plot("accuracy", "test", RUNS[-1:], 0.91, None, None) is None


@pytest.mark.parametrize("span", [(0.9, 0.9), (0.0, 1.0), (0.97011, 0.97012), (-0.4, 0.3), (0.123, 0.456)])
def test_ticks_are_few_round_and_distinct(span: tuple[float, float]) -> None:
    runs = [PlottedRun(seed=seed, value=value, kind="judged") for seed, value in enumerate(span)]
    plot = strip_plot.strip_plot("accuracy", "test", runs, None, None, None)
    assert plot is not None
    positions, labels = zip(*plot.ticks, strict=True)
    assert 2 <= len(labels) <= 6
    assert len(set(labels)) == len(labels)
    assert all(0 <= x <= 100 for x in positions)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.97011, 0.97012), (-0.4, 0.3), (0.123, 0.456)])
def test_tick_labels_are_the_values_of_the_ticks(low: float, high: float) -> None:
    for value, label in strip_plot.ticks(low, high):
        assert low - 1e-9 <= value <= high + 1e-9
        assert float(label) == pytest.approx(value, abs=1e-9)
