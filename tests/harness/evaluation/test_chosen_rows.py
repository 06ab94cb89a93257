"""Rows that a recipe chooses are read, scored, recorded and judged as a part of their split."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.evaluation.chosen_rows import with_chosen_rows
from harness.evaluation.holdout import held_out_rows
from harness.records.record import read_record
from tests.helpers.project import ROOT, TINY, Write, Zoo
from tests.helpers.vision_data import image_folders
from zoo.errors import UsageError
from zoo.fetch.sources import Source, Sources
from zoo.recipes.schema import Recipe, load_recipe
from zoo.tasks import digits, image_folder

DIGITS = (ROOT / "configs" / "starter" / "digits-resnet8.yaml").read_text(encoding="utf-8").partition("claims:")[0]
CLAIM = "claims: [{of: weights, split: test, metric: accuracy, value: 0.95, source: s, %s}]\n"


def recipe_of(path: Path) -> Recipe:
    return load_recipe(path)


def test_rows_are_chosen_before_a_hold_out(recipe_file: Write) -> None:
    chosen = "rows: {train: [0-99, 200-299], test: 5-7}\nholdout: {of: train, share: 0.1, seed: 3}\n"
    recipe = recipe_of(recipe_file(TINY + chosen))
    whole, task = digits(), with_chosen_rows(digits(), recipe, Sources())
    assert recipe.holdout is not None
    stay, held = held_out_rows(200, recipe.holdout)
    rows = [*range(100), *range(200, 300)]
    expected = {"train": [rows[row] for row in stay], "validation": [rows[row] for row in held], "test": [5, 6, 7]}
    for split, numbers in expected.items():
        part, source = task.load(split), whole.load("test" if split == "test" else "train")
        assert torch.equal(part.labels, source.labels[numbers])
        assert torch.equal(part.batch([0, 2]).inputs, source.batch([numbers[0], numbers[2]]).inputs)
        assert part.batch([2]).ids.tolist() == [2]
    assert task.scoring("test") == {"rows": "5-7", "of": 898}
    assert (task.content("test")["rows"], task.scoring("validation")) == (3, {})


def test_a_row_that_does_not_exist_is_reported_at_the_recipe(recipe_file: Write) -> None:
    path = recipe_file(f"{TINY}rows: {{test: 0-898}}\n")
    task = with_chosen_rows(digits(), recipe_of(path), Sources())
    with pytest.raises(UsageError, match="rows: test: there is no row 898; the split has 898 rows") as caught:
        task.load("test")
    assert str(caught.value.mark) == f"{path}:12:1"


def verified(zoo: Zoo, path: Path) -> dict[str, Any]:
    completed = zoo("verify", path, "--json")
    assert completed.code in (0, 3), completed.err
    entry: dict[str, Any] = json.loads(completed.out)["entries"][0]
    return entry


def test_a_claim_is_compared_if_it_states_the_rows_of_the_recipe(zoo: Zoo, recipe_file: Write) -> None:
    entries = [
        verified(zoo, recipe_file(f"{DIGITS}rows: {{test: [0-99]}}\n{CLAIM % stated}"))
        for stated in ("rows: 0-99", "rows: [50-99, 0-49]", "n: 100")
    ]
    assert [entry["verdict"] for entry in entries] == ["reproduced", "reproduced", "not-compared"]
    assert "Scored: 100 of 898 rows (0-99)." in entries[0]["claims"][0]["why"]
    assert "write `rows: 0-99` in the claim" in entries[2]["claims"][0]["why"]
    assert "test: 100 of 898 rows (0-99) are scored" in entries[0]["findings"]
    record = read_record(Path(entries[0]["records"][0]))
    assert record.result("test").scoring == {"rows": "0-99", "of": 898}  # type: ignore[union-attr]
    assert record.identity.sources["data"]["test"]["rows"] == 100


def test_a_changed_file_of_row_numbers_is_another_run(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    path = recipe_file(f"{DIGITS}rows: {{test: 'file:ids.txt'}}\n{CLAIM % 'rows: file:ids.txt'}")
    runs = []
    for text in ("3\n1\n2\n", "3\n1\n2\n", "3\n1\n0\n"):
        ids.write_text(text)
        runs.append(verified(zoo, path)["records"])
    assert runs[0] == runs[1] != runs[2]
    ids.unlink()
    completed = zoo("check", path)
    assert (completed.code, "file:ids.txt: there is no such file" in completed.err) == (4, True), completed


def test_the_model_card_and_the_table_of_a_training_name_the_rows(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    path = recipe_file(f"{TINY}rows: {{train: 0-127, test: 0-49}}\n")
    completed = zoo("train", path, "--out", tmp_path / "run")
    assert "50 of 898 rows (0-49)" in completed.out
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "Of the split `train`, only the rows `0-127` are read; rows count from 0." in card
    assert "50 of 898 rows (0-49)" in card
    assert "num_examples: 50" in card


def test_an_explanation_reads_the_same_rows(zoo: Zoo, recipe_file: Write) -> None:
    claim = CLAIM.replace("0.95", "0.93") % "rows: 0-99"
    completed = zoo("explain", recipe_file(f"{DIGITS}rows: {{test: 0-99}}\n{claim}"), "--json")
    (explained,) = json.loads(completed.out)["claims"]
    assert (explained["verdict"], explained["rows"], explained["as_run"]) == ("not-reproduced", 100, 0.95), completed


def test_only_the_files_of_the_chosen_images_are_hashed(
    recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    root = image_folders(tmp_path / "in")
    data = Source(Sources(), f"file:{root}")
    recipe = recipe_of(recipe_file(f"{TINY}rows: {{val: [0, 3]}}\n"))
    whole = [*image_folder(data=data, size=16).load("val").rows()]
    for number in (1, 2, 4, 5):  # a missing file cannot be hashed
        split: Any = image_folder(data=data, size=16).load("val")
        split.samples[number][0].rename(tmp_path / f"{number}.JPEG")
        (split.samples[number][0]).symlink_to(tmp_path / "gone")
    assert [*with_chosen_rows(image_folder(data=data, size=16), recipe, Sources()).load("val").rows()] == [
        whole[0],
        whole[3],
    ]
