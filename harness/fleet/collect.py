"""Merge the folders of runs of several machines, and list the runs of a plan that are missing or there twice."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.fleet.existing_units import missing_units
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.units import unit_options
from harness.records.check import verify_together
from harness.records.find_runs import find_runs
from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.record import FILE, Mode, Record, read_record
from harness.records.run_folder import new_folder
from harness.runs.existing_runs import is_run_of
from harness.runs.trusted_modules import code_folders
from harness.runs.unfinished import work_folder
from zoo.errors import IntegrityError, SourceError
from zoo.files import is_hidden

Cell = tuple[str, Mode, int | None, str]
"""Entry, mode, seed and digest of the recipe: what a claim needs one run of."""
Found = tuple[Path, Record]
CARD = "README.md"
"""The model card of a training, the one file of a run that its record does not list."""
WAIT = 2.0
"""Seconds to wait for a process that makes the same run."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """The runs of some folders.

    Attributes:
        runs: One record file for each run, that of the first folder that has it.
        copies: Record files of runs that another folder has too, with the same scores.
        conflicts: Pairs of record files of one run with different scores.
        twice: Record files that fill the same cell with runs under different conditions, such as other devices.
        missing: The units of the plan without a run.
    """

    runs: tuple[Found, ...]
    copies: tuple[Path, ...]
    conflicts: tuple[tuple[Path, Path], ...]
    twice: tuple[tuple[Path, ...], ...]
    missing: tuple[Unit, ...] = ()


def check_has_runs(folder: Path) -> None:
    """Raise SourceError if a folder has no runs."""
    if not _has_runs(folder):
        below = next((path for path in sorted(folder.iterdir()) if path.is_dir() and _has_runs(path)), None)
        raise SourceError(f"{folder}: no runs there{f'; did you mean {below}?' if below else ''}")


def _has_runs(folder: Path) -> bool:
    return any(folder.glob(f"[!.]*/[!.]*/{FILE}"))


def read_collection(folders: Sequence[Path], plan: Plan | None = None) -> Collection:
    """Read and check all runs in folders.

    Args:
        folders: Folders of runs, such as those of `--records` on several machines.
        plan: The plan whose missing runs are listed; None to list none.

    Raises:
        SourceError: A folder does not exist, or cannot be read.
        IntegrityError: A record or one of its files was changed, or lies where its run cannot have written it.
        UsageError: A file is no record.
    """
    for folder in folders:
        if not folder.is_dir():
            raise SourceError(f"{folder}: no such folder of runs")
    found = [run for folder in dict.fromkeys(folder.resolve() for folder in folders) for run in _runs_in(folder)]
    verify_together(found)
    first: dict[str, Found] = {}
    copies, conflicts = list[Path](), list[tuple[Path, Path]]()
    for path, record in found:
        key = f"{record.entry} {record.identity.key}"
        other = first.setdefault(key, (path, record))
        if other[0] == path:
            continue
        if _scores(other[1]) == _scores(record):
            copies.append(path)
        else:
            conflicts.append((other[0], path))
    return Collection(
        runs=tuple(first.values()), copies=tuple(copies), conflicts=tuple(conflicts), twice=_twice(first.values()),
        missing=_missing(plan, [record for _, record in first.values()]) if plan else (),
    )  # fmt: skip


def merge(collection: Collection, target: Path) -> list[Path]:
    """Copy the runs that a folder lacks into it, each in one step, and return their new folders.

    Raises:
        IntegrityError: Two records of one run have different scores, or the folder has the run with other scores.
        SourceError: The folder cannot be written, or a process makes some of the runs there; the others are copied.
    """
    if collection.conflicts:
        pairs = "; ".join(f"{first} and {second}" for first, second in collection.conflicts)
        raise IntegrityError(
            f"nothing was merged: the same run has different scores in {pairs}; leave out the folder that is wrong"
        )
    copied, busy = list[Path](), list[str]()
    for path, record in collection.runs:
        folder = target / record.entry / record.identity.folder
        work = work_folder(target, record.entry, record.identity, record.recipe)
        lock = HeartbeatLock(Path(f"{work}.lock"), option="--to")
        if folder.exists():
            continue
        if not lock.acquire(WAIT):
            busy.append(f"{folder} is being made by {lock.owner or 'another process'}")
            continue
        try:
            copied += _copied(path, record, folder, lock)
        finally:
            lock.release()
    if busy:
        raise SourceError(
            f"{len(copied)} runs were copied, but {'; '.join(busy)}. Run the same command again when that has ended"
        )
    return copied


def _copied(path: Path, record: Record, folder: Path, lock: HeartbeatLock) -> list[Path]:
    """Copy a run under its lock, and return its new folder; nothing if it appeared meanwhile."""
    if folder.exists():
        return []
    with new_folder(folder, record.identity.key, confirmed=lock.confirmed) as partial:
        for name in _files_of(path, record):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path.parent / name, partial / name)
    return [folder]


def _runs_in(folder: Path) -> Iterator[Found]:
    """Yield the runs in a folder, by entry and run. Raise IntegrityError for one that zoo did not write there."""
    for entry in sorted(each for each in _listed(folder) if each.is_dir() and not is_hidden(each.name)):
        for each in _listed(entry):
            if each.is_dir():
                _listed(each)
        runs = [(run.record, read_record(run.record)) for run in find_runs(folder, entry.name)]
        for path, record in sorted(runs, key=lambda pair: pair[1].identity.folder):
            if record.entry != entry.name:
                raise IntegrityError(
                    f"{path}: a run of {record.entry!r} lies in the folder of {entry.name!r}; leave out this folder, or"
                    " move the run to where it belongs"
                )
            _files_of(path, record)
            yield path, record


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise SourceError(
            f"{folder}: cannot be read: {error.strerror or error}; make it readable, or leave it out"
        ) from None


def _files_of(path: Path, record: Record) -> list[str]:
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


def _scores(record: Record) -> list[tuple[str, str, int, dict[str, float | None]]]:
    return [
        (result.split, result.selection, result.n, {name: score["value"] for name, score in result.metrics.items()})
        for result in record.results
    ]


def _cell(record: Record) -> Cell:
    identity = record.identity
    return record.entry, identity.mode, identity.seed, identity.digest


def _twice(found: Iterable[Found]) -> tuple[tuple[Path, ...], ...]:
    cells: dict[Cell, list[Path]] = {}
    for path, record in found:
        cells.setdefault(_cell(record), []).append(path)
    return tuple(tuple(paths) for paths in cells.values() if len(paths) > 1)


def _missing(plan: Plan, records: Sequence[Record]) -> tuple[Unit, ...]:
    by_cell: dict[Cell, list[Record]] = {}
    for record in records:
        by_cell.setdefault(_cell(record), []).append(record)

    def exists(unit: Unit) -> bool:
        options, folders = unit_options(unit, plan.options), code_folders(unit.entry, plan.folder)
        found = by_cell.get((unit.entry.name, unit.mode, unit.seed, unit.recipe), ())
        return any(is_run_of(record, unit.recipe, unit.mode, unit.seed, options, folders) for record in found)

    return tuple(plan.units[index] for index in missing_units(plan, exists))
