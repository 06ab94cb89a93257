"""Which files of this machine are uploaded as data."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from harness.publishing.local_data import Places, data_files
from harness.records.record import Record, read_record
from tests.helpers.project import ROOT
from zoo.errors import UsageError
from zoo.fetch.source_types import LocalFile


@pytest.fixture(scope="module")
def record() -> Record:
    (file,) = (ROOT / "leaderboard" / "records" / "minilm-l6-mrpc").glob("retrain-seed1000-*/record.json")
    return read_record(file)


def files_of(folder: Path, record: Record, path: str) -> list[str]:
    """Return the names of the files that are uploaded of a file or folder beside the recipe that the user names."""
    return sorted(data_files({"top": LocalFile(path)}, Places(record=record, folders=(), stated=folder)))


def test_of_a_folder_the_tables_and_images_are_uploaded(record: Record, tmp_path: Path) -> None:
    flowers = tmp_path / "flowers"
    for name in (
        "train/rose/1.png",
        "train/rose/2.JPG",
        "rows.csv",
        "passwords.txt.gpg",
        ".hidden/3.png",
        "notes.docx",
    ):
        (flowers / name).parent.mkdir(parents=True, exist_ok=True)
        (flowers / name).write_text(name)
    (flowers / "val.txt").write_text("1")
    assert files_of(tmp_path, record, "flowers") == [
        "top/rows.csv",
        "top/train/rose/1.png",
        "top/train/rose/2.JPG",
        "top/val.txt",
    ]


def test_a_link_out_of_a_folder_is_refused(record: Record, tmp_path: Path) -> None:
    (tmp_path / "flowers").mkdir()
    (tmp_path / "secret.csv").write_text("secret")
    (tmp_path / "flowers" / "rows.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(UsageError, match="is a link out of"):
        files_of(tmp_path, record, "flowers")


def test_of_a_folder_of_images_nothing_else_is_uploaded(record: Record, tmp_path: Path) -> None:
    images = replace(record, recipe={**record.recipe, "task": {"use": "image_folder"}})
    for name in ("train/1.png", "val/2.png", "val/client_secret.json", "private/3.png", "rows.csv"):
        (tmp_path / "flowers" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "flowers" / name).write_text(name)
    assert files_of(tmp_path, images, "flowers") == ["top/train/1.png", "top/val/2.png"]
    only = replace(images, recipe={**record.recipe, "task": {"use": "image_folder", "train": "private", "val": None}})
    assert files_of(tmp_path / "flowers", only, ".") == ["top/private/3.png"]


def test_a_folder_without_files_that_the_task_reads_is_refused(record: Record, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no files that the task reads"):
        files_of(tmp_path, record, "empty")


def test_a_folder_is_looked_up_beside_the_stated_recipe_only(record: Record, tmp_path: Path) -> None:
    """Another folder of this name may hold private files, and no checksum tells them apart."""
    (tmp_path / "flowers").mkdir()
    places = Places(record=record, folders=(tmp_path,), stated=None)
    with pytest.raises(UsageError, match=r"is looked up beside its recipe only; pass --recipe FILE"):
        data_files({"flowers": LocalFile("flowers")}, places)


def test_of_several_files_the_one_of_the_training_is_uploaded(record: Record, tmp_path: Path) -> None:
    for folder in ("other", "own"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rows.csv").write_text(folder)
    sources = {"files": {"file:rows.csv": hashlib.sha256(b"own").hexdigest()}, "data": {}}
    known = replace(record, identity=replace(record.identity, sources=sources))
    places = Places(record=known, folders=(tmp_path / "other", tmp_path / "own"), stated=None)
    assert data_files({"rows.csv": LocalFile("rows.csv")}, places) == {"rows.csv": tmp_path / "own" / "rows.csv"}


@pytest.mark.parametrize("path", [".netrc", ".ssh/key.csv", "../.x/rows.csv"])
def test_hidden_files_are_never_uploaded(record: Record, tmp_path: Path, path: str) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text("secret")
    with pytest.raises(UsageError, match="is a hidden file, which is never published"):
        files_of(folder, record, path)


def test_a_link_to_a_hidden_file_is_one_too(record: Record, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("secret")
    (tmp_path / "rows.csv").symlink_to(tmp_path / ".netrc")
    with pytest.raises(UsageError, match="is a hidden file"):
        files_of(tmp_path, record, "rows.csv")


def test_a_file_that_changed_since_the_training_is_refused(record: Record, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("new")
    sources = {"files": {"file:rows.csv": "0" * 64}, "data": {}}
    changed = replace(record, identity=replace(record.identity, sources=sources))
    with pytest.raises(UsageError, match=r"rows\.csv has changed since the training"):
        files_of(tmp_path, changed, "rows.csv")


def test_a_missing_file_is_an_error_with_the_folders_that_were_searched(record: Record, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"file:gone\.csv, which the recipe reads, is not in .*--recipe FILE"):
        files_of(tmp_path, record, "gone.csv")


def test_a_folder_of_very_many_files_is_better_a_data_set(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.publishing.local_data.MOST_FILES", 3)
    (tmp_path / "many").mkdir()
    for number in range(4):
        (tmp_path / "many" / f"{number}.png").touch()
    with pytest.raises(UsageError, match=r"has 4 files; publish it as a data set of the Hub"):
        files_of(tmp_path, record, "many")
