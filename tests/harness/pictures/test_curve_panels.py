"""Pictures of training curves: panels, legends, axes, and files that are equal for equal logs."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.pictures.axes import is_logarithmic, tick_scale
from harness.pictures.curve_panels import NamedCurves, curve_panels, curves_picture, select_panels
from harness.pictures.curves import read_curves
from harness.pictures.picture import MOST_STYLES, Picture, compose
from tests.helpers.curves import write_log
from zoo.errors import SourceError, UsageError


def run(folder: Path, name: str, entry: str = "", **log: Any) -> NamedCurves:
    return NamedCurves(name=name, entry=entry or name, curves=read_curves(write_log(folder / "run", **log)))


def picture(runs: list[NamedCurves]) -> Picture:
    panels, legend = curve_panels(runs)
    return compose(panels, legend)


def titles(figure: Picture) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def labels(figure: Picture) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_one_run_has_a_panel_for_losses_rate_and_each_score(tmp_path: Path) -> None:
    figure = curves_picture(read_curves(write_log(tmp_path, terms=("ce", "kd"))))
    assert titles(figure) == ["loss", "learning rate", "accuracy on test"]
    assert labels(figure) == ["total", "ce", "kd"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "optimizer step"]


def test_equal_logs_give_equal_bytes_without_a_date_and_with_text_as_text(tmp_path: Path) -> None:
    log = write_log(tmp_path)
    first, second = (curves_picture(read_curves(log)).data("svg").decode() for _ in range(2))
    assert first == second
    assert "<dc:date>" not in first
    assert re.search(r"<text [^>]*>learning rate</text>", first)


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_a_picture_is_written_in_the_format_of_its_name(tmp_path: Path, kind: str) -> None:
    curves_picture(read_curves(write_log(tmp_path))).write(tmp_path / f"a.{kind}")
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[kind]
    assert (tmp_path / f"a.{kind}").read_bytes().startswith(start)


def test_a_picture_with_another_ending_or_in_no_folder_is_refused(tmp_path: Path) -> None:
    figure = curves_picture(read_curves(write_log(tmp_path)))
    with pytest.raises(UsageError, match=r"ends in \.svg, \.png or \.pdf"):
        figure.write(tmp_path / "a.jpg")
    with pytest.raises(SourceError, match="cannot write the picture"):
        figure.write(tmp_path / "log.jsonl" / "a.svg")


@pytest.mark.parametrize(
    "log",
    [
        {"steps": 1, "per_epoch": 1},
        {"steps": 3, "not_finite": (1, 2, 3)},
        {"steps": 10, "not_finite": (4,)},
        {"steps": 10, "scale": 1e-9},
        {"steps": 10, "scale": 1e12},
        {"steps": 10, "scale": -1.0},
        {"steps": 10, "scale": 0.0},
        {"steps": 12, "stages": 4, "terms": ("a", "b", "c", "d", "e", "f", "g", "h")},
        {"steps": 10, "metric": "F1 (macro) $x^2$ 模型"},
    ],
    ids=str,
)
def test_unusual_logs_are_drawn_without_a_warning(tmp_path: Path, log: dict[str, Any]) -> None:
    figure = curves_picture(read_curves(write_log(tmp_path, **log)))
    assert figure.data("svg").endswith(b"</svg>\n")
    assert titles(figure)[0].startswith("loss")


def test_an_empty_log_says_that_there_is_no_value(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("")
    figure = curves_picture(read_curves(tmp_path / "log.jsonl"))
    assert b"no finite value" in figure.data("svg")


def test_steps_that_are_not_finite_are_counted_in_the_picture(tmp_path: Path) -> None:
    figure = curves_picture(read_curves(write_log(tmp_path, not_finite=(2, 3))))
    assert b"x: not finite (2 steps)" in figure.data("svg")


def test_runs_with_different_terms_share_a_panel_for_each_term(tmp_path: Path) -> None:
    runs = [run(tmp_path, "a"), run(tmp_path, "b", terms=("ce", "kd"), steps=7)]
    figure = picture(runs)
    assert titles(figure) == ["loss", "loss ce", "loss kd", "learning rate", "accuracy on test"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 1, 1, 2, 2]
    assert labels(figure) == ["a", "b"]


def test_many_seeds_of_an_entry_are_thin_lines_of_one_color_with_their_mean(tmp_path: Path) -> None:
    runs = [run(tmp_path, f"a:{seed}", "a") for seed in range(20)] + [run(tmp_path, "b:0", "b")]
    figure = picture(runs)
    assert labels(figure) == ["a (20 runs, thick: mean)", "b"]
    lines = figure.axes[0].lines
    assert len({line.get_color() for line in lines}) == 2
    assert sorted({line.get_linewidth() for line in lines}) == [0.7, 2.2]


def test_thirty_entries_differ_in_color_or_dashes_and_too_many_are_refused(tmp_path: Path) -> None:
    runs = [run(tmp_path, f"entry {n}") for n in range(MOST_STYLES)]
    lines = picture(runs[:30]).axes[0].lines
    assert len({(line.get_color(), str(line.get_linestyle()), str(line._dash_pattern)) for line in lines}) == 30
    with pytest.raises(UsageError, match="36 runs of different entries: at most 35 lines"):
        curve_panels([*runs, run(tmp_path, "one more")])


def test_no_legend_covers_data(tmp_path: Path) -> None:
    figure = picture([run(tmp_path, f"a rather long name of the run with the number {n}") for n in range(12)])
    figure.canvas.draw()
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
        assert box.x1 <= figure.bbox.x1


def test_only_selects_panels_and_an_unknown_name_is_reported(tmp_path: Path) -> None:
    panels, _ = curve_panels([run(tmp_path, "a")])
    assert [panel.title for panel in select_panels(panels, ["lr", "loss"])] == ["loss", "learning rate"]
    assert select_panels(panels, ["lr"])[0].xlabel == "optimizer step"
    with pytest.raises(UsageError, match="--only accurcy: these runs have no such curve; did you mean accuracy"):
        select_panels(panels, ["accurcy"])


@pytest.mark.parametrize(
    ("step", "largest", "expected"),
    [(0.5, 2.0, (0, 1)), (0.05, 1.0, (0, 2)), (20.0, 90.0, (0, 0)), (2e-5, 1e-4, (-4, 1)), (5e5, 2e6, (6, 1)),
     (0.002, 0.1, (-1, 2))],
)  # fmt: skip
def test_tick_labels_have_at_most_two_decimals(step: float, largest: float, expected: tuple[int, int]) -> None:
    assert tick_scale(step, largest) == expected


def test_an_axis_is_logarithmic_if_positive_values_differ_by_much() -> None:
    assert is_logarithmic(np.geomspace(1e-4, 1, 50))
    assert not is_logarithmic(np.linspace(0.1, 1, 50))
    assert not is_logarithmic(np.array([-1.0, *np.geomspace(1e-4, 1, 50)]))


def test_notebooks_show_a_picture(tmp_path: Path) -> None:
    figure = curves_picture(read_curves(write_log(tmp_path)))
    assert math.isclose(figure.get_figwidth(), 5.4)
    assert figure._repr_svg_() == figure.data("svg").decode()
