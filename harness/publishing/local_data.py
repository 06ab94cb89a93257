"""Find the data of a trained model on this machine, and list the files that are published of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchvision.datasets.folder import IMG_EXTENSIONS

from harness.records.record import Record
from zoo.errors import UsageError
from zoo.fetch.checksum import sha256
from zoo.fetch.source_types import LocalFile
from zoo.files import files_below, is_hidden, is_inside
from zoo.tasks.tables import ENDINGS

MOST_FILES = 2_000
"""The most files of a folder; more are better published as a data set of parquet files."""
READ = (*ENDINGS, ".txt", "readme.md", *IMG_EXTENSIONS)
"""Ends of the names of files that tasks read in a folder, in small letters; others are not published."""
IMAGE_FOLDER = "image_folder"
"""The task that reads images only."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the files that a training has read are looked up."""

    record: Record
    """The training. It has the SHA-256 of single files, and none of folders."""
    folders: tuple[Path, ...]
    """Folders in which a single file is looked up: the one with the recorded SHA-256 is taken."""
    stated: Path | None
    """The folder of the recipe, if the user names it. Only there folders are looked up, since any other could have a
    folder of the same name."""

    def find(self, source: LocalFile) -> Path:
        """Return the file or folder that a training has read.

        Raises:
            UsageError: It is missing or has changed, or it is hidden.
        """
        known = self.record.identity.sources["files"].get(str(source))
        stated = [self.stated] if self.stated is not None else []
        folders = [*stated, *self.folders] if known is not None else stated
        places = [folder.absolute() / source.expanded for folder in dict.fromkeys(folders)]
        there = [place for place in places if place.exists()]
        found = next((place for place in there if known is None or (place.is_file() and sha256(place) == known)), None)
        if found is None and there:
            raise UsageError(f"{there[0]} has changed since the training, so the scores are of other rows; train again")
        if found is None:
            searched = f"is not in {', '.join(dict.fromkeys(str(place.parent) for place in places))}"
            reason = searched if places else "is looked up beside its recipe only"
            raise UsageError(f"{source}, which the recipe reads, {reason}; pass --recipe FILE, the recipe beside it")
        parts = [part for part in (*source.path.split("/"), found.resolve().name) if part not in (".", "..")]
        if any(map(is_hidden, parts)):
            raise UsageError(f"{source} is a hidden file, which is never published; move it, also in the recipe")
        return found


def data_files(data: Mapping[str, LocalFile], places: Places) -> dict[str, Path]:
    """Return the files to publish of the data of a training: name in the repository -> file.

    Args:
        data: Name in the repository -> the file or folder.
        places: Where they are looked up.

    Raises:
        UsageError: See `Places.find`, or a folder has too many files, or a link out of it.
    """
    found = {name: places.find(source) for name, source in data.items()}
    task = places.record.recipe["task"]
    return {name: file for top, path in found.items() for name, file in _files_of(top, path, task)}


def _files_of(name: str, path: Path, task: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder that the task reads, with their names in the repository, or a single file."""
    if not path.is_dir():
        yield name, path
        return
    files = sorted(_read_by(task, path))
    if not files or len(files) > MOST_FILES:
        problem = f"has {len(files):,} files" if files else "has no files that the task reads"
        raise UsageError(
            f"{path} {problem}; publish it as a data set of the Hub, name it in the recipe as"
            " hub:datasets/OWNER/NAME, and train again; or pass --without-data"
        )
    for file in files:
        if not is_inside(file, path):
            raise UsageError(f"{file} is a link out of {path}; replace it by the file, or pass --without-data")
        yield f"{name}/{file.relative_to(path).as_posix()}", file


def _read_by(task: Mapping[str, Any], path: Path) -> Iterator[Path]:
    """Yield the files of a folder that a task can read: images in the folders of its splits, or tables and images."""
    is_images = task["use"] == IMAGE_FOLDER
    splits = filter(None, (task.get(split, split) for split in ("train", "val")))
    folders = [path / split for split in splits if (path / split).is_dir()] if is_images else [path]
    for file in (file for folder in folders for file in files_below(folder, hidden=False)):
        if file.name.lower().endswith(IMG_EXTENSIONS if is_images else READ):
            yield file
