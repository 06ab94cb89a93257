"""Find the data of a trained model on this machine, and list the files that are published of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from harness.records.record import Record
from zoo.errors import UsageError
from zoo.fetch.checksum import sha256
from zoo.fetch.source_types import LocalFile
from zoo.files import files_below, is_hidden, is_inside
from zoo.tasks.tables import ENDINGS

MOST_FILES = 2_000
"""The most files of a folder; more are better published as a data set of parquet files."""
READ = (*ENDINGS, "readme.md", *IMG_EXTENSIONS)
"""Ends of the names of files that tasks read in a folder, in small letters; others are not published."""


def find_file(source: LocalFile, folders: Sequence[Path]) -> Path:
    """Return a file or folder that a recipe names, in the first of these folders that has it.

    Raises:
        UsageError: None of them has it, or it is hidden.
    """
    places = [folder.absolute() / source.expanded for folder in folders]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        searched = ", ".join(dict.fromkeys(str(place.parent) for place in places))
        raise UsageError(
            f"{source}, which the recipe reads, is not in {searched}; pass --recipe FILE, the recipe in the folder that"
            " has it"
        )
    parts = [part for part in (*source.path.split("/"), found.resolve().name) if part not in (".", "..")]
    if any(map(is_hidden, parts)):
        raise UsageError(f"{source} is a hidden file, which is never published; move it, also in the recipe")
    return found


def data_files(data: Mapping[str, LocalFile], folders: Sequence[Path], record: Record) -> dict[str, Path]:
    """Return the files to publish of the data of a training: name in the repository -> file.

    Args:
        data: Name in the repository -> the file or folder.
        folders: Where relative paths are looked up, in this order.
        record: The training. It has the SHA-256 of single files.

    Raises:
        UsageError: A file is missing, has changed since the training, or is a link out of its folder, or a folder has
            too many files.
    """
    found = {name: (source, find_file(source, folders)) for name, source in data.items()}
    for source, path in found.values():
        known = record.identity.sources["files"].get(str(source))
        if known is not None and path.is_file() and sha256(path) != known:
            raise UsageError(f"{path} has changed since the training, so the scores are of other rows; train again")
    return {name: file for top, (_, path) in found.items() for name, file in _files_of(top, path)}


def _files_of(name: str, path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the tables and images of a folder with their names in the repository, or a single file."""
    if not path.is_dir():
        yield name, path
        return
    files = [file for file in files_below(path, hidden=False) if file.name.lower().endswith(READ)]
    if len(files) > MOST_FILES:
        raise UsageError(
            f"{path} has {len(files):,} files; publish it as a data set of the Hub, name it in the recipe as"
            " hub:datasets/OWNER/NAME, and train again; or pass --without-data"
        )
    for file in sorted(files):
        if not is_inside(file, path):
            raise UsageError(f"{file} is a link out of {path}; replace it by the file, or pass --without-data")
        yield f"{name}/{file.relative_to(path).as_posix()}", file
