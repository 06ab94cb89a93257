"""Remove runs from disk: never one that is being made, never committed evidence, never files of others."""

import re
import shutil
from itertools import count
from pathlib import Path
from uuid import uuid4

from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.record import FILE
from harness.runs.run_files import files_of_others, written_files
from harness.runs.stored_runs import StoredRun, has_locked_run, read_again
from zoo.errors import SourceError, UsageError
from zoo.files import is_inside

WAIT = 0.2
"""Seconds to wait for the lock of a run."""
KEPT = ".kept"
"""The end of the name of a folder with the files that a removed run did not write. No run is looked for there."""
LEFTOVER = re.compile(r"\..+-[0-9a-f]{32}\.removed")
"""The name of a folder whose removal was interrupted."""


def reason_to_keep(run: StoredRun, runs: Path, evidence: Path) -> str:
    """Return why a run must not be removed; empty if it may be.

    Args:
        run: The run.
        runs: The folder of all runs.
        evidence: The folder of the committed records.
    """
    if is_inside(run.folder, evidence):
        return "it is committed evidence"
    if run.is_in_progress:
        return "it is in progress: a command holds its lock"
    if run.record is None and not is_inside(run.folder, runs):
        return f"its record is damaged and it lies outside {runs}; delete the folder yourself"
    if run.work is None and has_locked_run(runs, run.entry):
        return "its record is damaged, and a command makes a run of this entry, which may be this one"
    return ""


def remove_run(run: StoredRun, runs: Path, evidence: Path) -> tuple[Path, ...]:
    """Remove a run, and return the files in its folder that the run did not write, as they are called afterwards.

    The lock of the run is held meanwhile. A folder without other files gets a hidden name first, so that nobody reads
    half a run. Other files move to a folder `NAME.kept` beside it, so that the run can be made again; outside the
    folder of all runs they stay where the user put them. The leftovers of an interrupted removal are deleted too.

    Raises:
        UsageError: The run must not be removed, or it has changed since it was listed.
        SourceError: A file cannot be deleted.
    """
    if reason := reason_to_keep(run, runs, evidence):
        raise UsageError(f"{run.folder}: not removed: {reason}")
    lock = HeartbeatLock(Path(f"{run.work}.lock")) if run.work is not None else None
    if lock is not None and not lock.acquire(WAIT):
        raise UsageError(f"{run.folder}: not removed: it is in progress: {lock.owner} holds its lock")
    try:
        if read_again(run, runs) != run:
            raise UsageError(f"{run.folder}: not removed: it has changed since it was listed; look at it again")
        _delete_leftovers({*runs.glob("*/.*.removed"), *run.folder.parent.glob(".*.removed")})
        others = files_of_others(run.folder, run.record)
        if not others:
            _delete_folder(run.folder)
            return ()
        _delete_written(run)
        kept = _set_aside(run.folder) if is_inside(run.folder.parent, runs) else run.folder
    except OSError as error:
        raise SourceError(f"{error.filename or run.folder}: cannot be deleted: {error.strerror or error}") from None
    finally:
        if lock is not None:
            lock.release()
    return tuple(kept / path.relative_to(run.folder) for path in others)


def _delete_folder(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
        return
    hidden = folder.with_name(f".{folder.name}-{uuid4().hex}.removed")
    folder.rename(hidden)
    _delete_leftovers({hidden})
    if hidden.exists():
        shutil.rmtree(hidden)


def _delete_leftovers(folders: set[Path]) -> None:
    """Delete hidden folders of removals. Other processes may delete them at the same time."""
    for folder in folders:
        if LEFTOVER.fullmatch(folder.name) and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def _delete_written(run: StoredRun) -> None:
    """Delete the files that a run wrote, its record first, so that no half of it is taken for a run."""
    for path in sorted(written_files(run.folder, run.record), key=lambda path: path != run.folder / FILE):
        path.unlink(missing_ok=True)


def _set_aside(folder: Path) -> Path:
    """Rename a folder that holds no run any more, so that its run can be made again, and return the new path."""
    names = (f"{folder.name}{KEPT}{f'-{number}' if number > 1 else ''}" for number in count(1))
    free = next(path for name in names if not (path := folder.with_name(name)).exists())
    return folder.rename(free)
