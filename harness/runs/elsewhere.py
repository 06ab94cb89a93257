"""Remember the runs that a user has written to a folder of their choice, so that other commands find them again."""

from collections.abc import Iterator
from pathlib import Path

from harness.records.record import FILE, Identity, read_record
from zoo.errors import ZooError
from zoo.files import write_atomically

FOLDER = ".elsewhere"
"""The folder, in that of an entry's runs, with a file for each run that lies elsewhere: its path."""


def remember_elsewhere(runs: Path, entry: str, identity: Identity, folder: Path) -> None:
    """Remember that a run of an entry lies in a folder.

    Args:
        runs: The folder of all runs.
        entry: The entry's name.
        identity: The identity of the run.
        folder: The folder of the run.
    """
    write_atomically(_file(runs, entry, identity), str(folder.absolute()))


def find_elsewhere(runs: Path, entry: str, identity: Identity) -> Path | None:
    """Return the folder of a run that was remembered; None if there is none, or if it holds another run by now."""
    folder = _read(_file(runs, entry, identity))
    try:
        return folder if folder and read_record(folder / FILE).identity == identity else None
    except ZooError:
        return None


def files_elsewhere(runs: Path, entry: str) -> Iterator[Path]:
    """Yield the record files of all runs of an entry that were remembered."""
    yield from (folder / FILE for folder in map(_read, sorted((runs / entry / FOLDER).glob("*.txt"))) if folder)


def _file(runs: Path, entry: str, identity: Identity) -> Path:
    return runs / entry / FOLDER / f"{identity.key[:32]}.txt"


def _read(file: Path) -> Path | None:
    try:
        return Path(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
