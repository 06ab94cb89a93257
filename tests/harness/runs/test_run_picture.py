"""The picture of a training in the folder of its run."""

from pathlib import Path

import pytest

from harness.pictures.curve_panels import curves_picture
from harness.pictures.curves import read_curves
from harness.runs.record_runs import train_and_record
from harness.runs.run_picture import draw_curves, drawn_when_stopped
from tests.helpers.curves import write_log
from tests.helpers.project import TINY, Write
from tests.helpers.training import experiment_of
from zoo.errors import TimeIsUp


def test_a_training_writes_its_curves_and_its_card_shows_them(recipe_file: Write) -> None:
    ((record, _),) = train_and_record(experiment_of(recipe_file(TINY)), [0])
    drawn = (record.parent / "curves.svg").read_bytes()
    assert drawn == curves_picture(read_curves(record.parent / "log.jsonl")).data("svg")
    assert "](curves.svg)" in (record.parent / "README.md").read_text()


def test_a_stopped_training_has_a_picture_beside_its_checkpoints(tmp_path: Path) -> None:
    write_log(tmp_path)
    with pytest.raises(KeyboardInterrupt), drawn_when_stopped(tmp_path, "a", print, check_lock=lambda: None):
        raise KeyboardInterrupt
    assert (tmp_path / "curves.svg").read_bytes().startswith(b"<?xml")


def test_a_time_limit_ends_a_training_without_a_picture(tmp_path: Path) -> None:
    write_log(tmp_path)
    with pytest.raises(TimeIsUp), drawn_when_stopped(tmp_path, "a", print, check_lock=lambda: None):
        raise TimeIsUp("1 min")
    assert not (tmp_path / "curves.svg").exists()


def test_a_picture_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    write_log(tmp_path)
    (tmp_path / "curves.svg").mkdir()
    warnings: list[str] = []
    draw_curves(tmp_path, "mine", warnings.append)
    assert len(warnings) == 1
    assert warnings[0].startswith("mine: warning: the training curves were not drawn: ")


def test_a_damaged_log_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("[]\n[]\n")
    warnings: list[str] = []
    draw_curves(tmp_path, "mine", warnings.append)
    assert "not a line of a training log" in warnings[0]
