"""Relative paths in a user's recipe refer to its folder first, then to the working directory."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.runs.shared_tasks import SharedTasks
from tests.helpers.device import device
from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo.errors import NoFileError, UsageError
from zoo.fetch.sources import Sources
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import local
from zoo.recipes.stage import Teacher
from zoo.recipes.values import Call

STARTER = ROOT / "configs" / "starter" / "digits-resnet8.yaml"
WEIGHTS = ROOT / "zoo" / "starter" / "digits-resnet8.safetensors"
OPTIONS = ("--device", device(), "--records", "runs", "--json")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe in a folder of its own that names `file:weights/own.safetensors`."""
    folder = tmp_path / "project" / "recipes"
    folder.mkdir(parents=True)
    text = STARTER.read_text(encoding="utf-8").replace("name: digits-resnet8", "name: ours")
    path = folder / "ours.yaml"
    path.write_text(text.replace("embedded:digits-resnet8.safetensors", "file:weights/own.safetensors"))
    return path


@pytest.mark.parametrize("base", ["project/recipes", "."])
def test_a_file_is_found_beside_the_recipe_or_in_the_working_directory(
    zoo: Zoo, recipe: Path, tmp_path: Path, base: str
) -> None:
    (tmp_path / base / "weights").mkdir()
    shutil.copy(WEIGHTS, tmp_path / base / "weights" / "own.safetensors")
    for command in ("verify", "fetch"):
        assert zoo(command, recipe, *(OPTIONS if command == "verify" else ())).code == 0
    (entry,) = json.loads(zoo("list", recipe, "--here", "--json").out)["entries"]
    assert entry["needs"] == []


def test_the_folder_of_the_recipe_wins_and_a_changed_file_is_another_run(
    zoo: Zoo, recipe: Path, tmp_path: Path
) -> None:
    for folder in (recipe.parent, tmp_path):
        (folder / "weights").mkdir()
    (tmp_path / "weights" / "own.safetensors").write_bytes(b"other")
    shutil.copy(WEIGHTS, recipe.parent / "weights" / "own.safetensors")
    assert zoo("verify", recipe, *OPTIONS).code == 0
    (recipe.parent / "weights" / "own.safetensors").write_bytes(b"damaged")
    assert zoo("verify", recipe, *OPTIONS).code == 2


def test_the_error_names_the_folders_that_were_searched(zoo: Zoo, recipe: Path, tmp_path: Path) -> None:
    message = f"file:weights/own.safetensors: there is no such file in {recipe.parent} or in {tmp_path}"
    line = next(i for i, line in enumerate(recipe.read_text().splitlines(), 1) if line.startswith("weights:"))
    for command in ("verify", "fetch"):
        completed = zoo(command, recipe, *(OPTIONS if command == "verify" else ()))
        assert (completed.code, f"{recipe}:{line}:1: {message}\n" in completed.err) == (4, True)


def test_a_folder_is_searched_once_and_a_similar_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").touch()
    with pytest.raises(NoFileError, match=rf"file:tain.csv: there is no such file in {tmp_path}; did you mean train"):
        Sources(recipe_folder=Path()).fetch("file:tain.csv")
    with pytest.raises(NoFileError, match=r"tain.csv: there is no such file; did you mean /.*/train.csv\?$"):
        Sources(recipe_folder=Path()).fetch(f"file:{tmp_path}/tain.csv")
    with pytest.raises(NoFileError, match=r"there is no such file in"):
        Sources(recipe_folder=Path()).fetch(f"file:{'a' * 300}/tain.csv")


def test_recipes_in_two_folders_read_their_own_data_under_the_same_name(tmp_path: Path) -> None:
    call = Call(use="text_classification", args={"data": {"test": "file:a.csv"}, "text": "text"})
    shared, texts = SharedTasks(), []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text(f"text,label\n{name},0\n")
        builder = Builder().at(None, tmp_path / name)
        tokenizer = shared.tokenizer(Call(use="wordpiece", args={"vocab": "embedded:entail-vocab.txt"}), builder)
        texts += shared.task(call, tokenizer, builder).load("test").texts  # type: ignore[attr-defined]
    assert texts == [("first",), ("second",)]


def test_a_published_recipe_names_only_shipped_entries_as_teachers(recipe_file: Write) -> None:
    file = recipe_file()
    published = replace(local(file), recipe_repo="hub:someone/thing")
    assert published.teacher_entry(Teacher(entry="digits-resnet14")).name == "digits-resnet14"
    with pytest.raises(UsageError, match="is not a shipped entry; a published recipe may name no other"):
        published.teacher_entry(Teacher(run=str(file)))


def test_teachers_that_teach_each_other_are_an_error_everywhere(zoo: Zoo, recipe_file: Write) -> None:
    teacher = "    teacher: {run: %s.yaml}\n    criterion"
    recipe_file(TINY, ("    criterion", teacher % "second"), name="first.yaml")
    recipe_file(TINY, ("name: tiny", "name: second"), ("    criterion", teacher % "first"), name="second.yaml")
    for command in ("check first.yaml", "fetch --train first.yaml", "lock --check first.yaml", "train first.yaml"):
        refused = zoo(*command.split())
        assert (refused.code, "tiny <- second <- tiny" in refused.err) == (2, True), (command, refused.err)
    assert "0 runs to make" in zoo("verify", "first.yaml", "--train", "--dry-run").out
