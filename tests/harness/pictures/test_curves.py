"""Reading the curves of a training log."""

import json
import math
from pathlib import Path

import pytest

from harness.pictures.curves import read_curves
from tests.helpers.curves import write_log
from zoo.errors import SourceError, UsageError


def test_losses_rates_and_scores_are_read_with_their_steps(tmp_path: Path) -> None:
    curves = read_curves(write_log(tmp_path, steps=4, per_epoch=2, terms=("ce", "kd")))
    assert [*curves.losses] == ["total", "ce", "kd"]
    assert curves.losses["ce"].steps == curves.rates.steps == (1, 2, 3, 4)
    assert curves.scores["accuracy on test"].steps == (2, 4)
    assert curves.steps == 4


def test_a_single_term_that_equals_the_total_is_shown_once(tmp_path: Path) -> None:
    assert [*read_curves(write_log(tmp_path, steps=3)).losses] == ["total"]


def test_the_ends_of_all_stages_but_the_last_are_known(tmp_path: Path) -> None:
    assert read_curves(write_log(tmp_path, steps=5, stages=3)).stages == (5, 10)


def test_an_empty_log_has_no_curves(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("")
    curves = read_curves(tmp_path / "log.jsonl")
    assert (curves.losses, curves.scores, curves.rates.steps, curves.steps) == ({}, {}, (), 0)


def test_losses_that_are_not_finite_are_gaps(tmp_path: Path) -> None:
    curve = read_curves(write_log(tmp_path, steps=4, not_finite=(2, 3))).losses["total"]
    assert [math.isnan(value) for value in curve.values] == [False, True, True, False]
    assert curve.not_finite.tolist() == [2, 3]
    assert curve.finite[0].tolist() == [1, 4]


@pytest.mark.parametrize("end", ['{"step": 5, "sta', '{"step": 5, "stage": 1, "losses": {"total": 1', "7", "\x00\x00"])
def test_a_last_line_that_is_cut_off_is_ignored(tmp_path: Path, end: str) -> None:
    log = write_log(tmp_path, steps=4)
    whole = read_curves(log)
    with log.open("a") as file:
        file.write(end)
    assert read_curves(log) == whole


def test_a_wrong_line_is_reported_with_its_number(tmp_path: Path) -> None:
    log = write_log(tmp_path, steps=3)
    lines = log.read_text().splitlines()
    log.write_text("\n".join([lines[0], json.dumps({"step": "one"}), *lines[1:]]))
    with pytest.raises(UsageError, match=r"log\.jsonl:2: not a line of a training log"):
        read_curves(log)


def test_a_missing_log_is_an_error_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read_curves(tmp_path / "log.jsonl")


def test_a_long_curve_is_averaged_over_neighboring_steps(tmp_path: Path) -> None:
    curve = read_curves(write_log(tmp_path, steps=1000)).rates
    steps, values = curve.averaged(100)
    assert len(steps) == 100
    assert steps[0] == pytest.approx(5.5)
    assert values.mean() == pytest.approx(sum(curve.values) / 1000)
