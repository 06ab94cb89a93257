"""Read the runs of a folder, and list those that are damaged."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.records.check import faults
from harness.records.find_runs import FoundRun, find_runs
from harness.records.record import FILE, Record, read_record
from zoo.errors import IntegrityError, SourceError, ZooError
from zoo.files import is_hidden

CARD = "README.md"
"""The model card of a training, the one file of a run that its record does not list."""


@dataclass(frozen=True, kw_only=True)
class CollectedRun:
    """A run in a folder of runs.

    Attributes:
        folder: The folder of runs.
        path: The record file.
        record: The record.
    """

    folder: Path
    path: Path
    record: Record

    @property
    def key(self) -> str:
        """What makes it the same run as one in another folder."""
        return f"{self.record.entry} {self.record.identity.key}"


@dataclass(frozen=True, kw_only=True)
class DamagedRun:
    """A run that is not as it was recorded, or that cannot be read.

    Attributes:
        path: The record file.
        why: What is wrong, with the file.
    """

    path: Path
    why: str


def check_has_runs(folder: Path) -> None:
    """Raise SourceError if a folder has no runs."""
    if _has_runs(folder):
        return
    if (folder / FILE).is_file():
        raise SourceError(f"{folder} is one run; name the folder of all runs, {folder.absolute().parents[1]}")
    if any(folder.glob(f"[!.]*/{FILE}")):
        raise SourceError(
            f"{folder} has the runs of one entry; name the folder of all runs, {folder.absolute().parent}"
        )
    below = next((path for path in sorted(folder.iterdir()) if path.is_dir() and _has_runs(path)), None)
    raise SourceError(f"{folder}: no runs there{f'; did you mean {below}?' if below else ''}")


def _has_runs(folder: Path) -> bool:
    return any(folder.glob(f"[!.]*/[!.]*/{FILE}"))


def read_folders(folders: list[Path]) -> tuple[list[CollectedRun], list[DamagedRun]]:
    """Return the sound runs of folders by folder, entry and run, and the damaged ones.

    Raises:
        SourceError: A folder cannot be read.
    """
    found, damaged = list[CollectedRun](), list[DamagedRun]()
    for folder in folders:
        for run in _listed_runs(folder):
            try:
                found.append(_read(folder, *run))
            except ZooError as error:
                damaged.append(DamagedRun(path=run[1].record, why=str(error)))
    reasons = {path: str(error) for path, error in faults((run.path, run.record) for run in found)}
    damaged += [DamagedRun(path=path, why=why) for path, why in reasons.items()]
    return [run for run in found if run.path not in reasons], damaged


def files_of(path: Path, record: Record) -> list[str]:
    """Return the files of a run that are there: its record, those that it lists, and the model card.

    Raises:
        IntegrityError: One of them is a link, or lies elsewhere.
    """
    folder, names = path.parent, [FILE, CARD, *record.files, *(each.predictions["file"] for each in record.results)]
    there = [name for name in dict.fromkeys(names) if os.path.lexists(folder / name)]
    for name in there:
        file = folder / name
        if file.resolve() != folder.resolve() / name or not file.is_file():
            raise IntegrityError(
                f"{file}: not a file that a run has written into its folder; replace the link by the file, or leave out"
                " this run"
            )
    return there


def _listed_runs(folder: Path) -> Iterator[tuple[str, FoundRun]]:
    """Yield the runs of a folder with the names of their entries. Raise SourceError if it cannot be read."""
    for entry in sorted(each for each in _listed(folder) if each.is_dir() and not is_hidden(each.name)):
        for each in _listed(entry):
            if each.is_dir():
                _listed(each)
        yield from ((entry.name, run) for run in sorted(find_runs(folder, entry.name), key=lambda run: run.name))


def _read(folder: Path, entry: str, run: FoundRun) -> CollectedRun:
    """Return a run. Raise IntegrityError for one that zoo did not write there."""
    record = read_record(run.record)
    if record.entry != entry:
        raise IntegrityError(
            f"{run.record}: a run of {record.entry!r} lies in the folder of {entry!r}; leave out this folder, or"
            " move the run to where it belongs"
        )
    files_of(run.record, record)
    return CollectedRun(folder=folder, path=run.record, record=record)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise SourceError(
            f"{folder}: cannot be read: {error.strerror or error}; make it readable, or leave it out"
        ) from None
