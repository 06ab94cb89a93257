"""`zoo train`: the files that it writes, and the recipes and folders that it refuses."""

import json
from pathlib import Path

from tests.helpers.project import TINY, Write, Zoo


def test_an_edited_copy_of_a_recipe_trains_from_the_working_directory(zoo: Zoo, recipe_file: Write) -> None:
    shown = zoo("show", "digits-resnet8").out
    assert "epochs: 20" in shown
    recipe_file(
        shown.replace("epochs: 20", "epochs: 1").replace("name: digits-resnet8", "name: mine"), name="mine.yaml"
    )
    completed = zoo("train", "mine.yaml")
    assert completed.code == 0, completed.err
    assert "home/runs/mine/retrain-seed0-" in completed.out


def test_an_output_folder_with_files_in_it_is_an_error(zoo: Zoo, recipe_file: Write) -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("keep")
    completed = zoo("train", recipe_file(), "--out", "out")
    assert (completed.code, completed.lines) == (2, ["out exists and is not empty; --out needs a new folder"])
    assert [file.name for file in Path("out").iterdir()] == ["mine.txt"]


def test_a_diverging_run_is_an_error_and_is_recorded_as_failed(zoo: Zoo, recipe_file: Write) -> None:
    completed = zoo(
        "train", recipe_file(TINY, ("lr: 0.1", "lr: 1e30"), ("clip_norm: 1.0", "clip_norm: 1e30")), "--out", "out"
    )
    assert completed.code == 2
    assert "the loss is" in completed.err
    assert "Traceback" not in completed.err
    assert "the loss is not finite" in json.loads(Path("out/record.json").read_text())["failure"]
