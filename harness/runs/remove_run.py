"""Remove runs from disk: never one that is being made, never committed evidence, never files of others."""

import shutil
from pathlib import Path
from uuid import uuid4

from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.record import FILE
from harness.runs.stored_runs import StoredRun
from zoo.errors import SourceError, UsageError
from zoo.files import is_inside

CARD = "README.md"
"""The model card, as in `harness.runs.model_card`, which imports torch."""
WAIT = 0.2
"""Seconds to wait for the lock of a run."""


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
    return ""


def remove_run(run: StoredRun, runs: Path, evidence: Path) -> tuple[Path, ...]:
    """Remove a run, and return the files in its folder that the run did not write, which stay.

    The lock of the run is held meanwhile. A folder below `runs` gets a hidden name first, so that nobody reads half a
    run.

    Raises:
        UsageError: The run must not be removed.
        SourceError: A file cannot be deleted.
    """
    if reason := reason_to_keep(run, runs, evidence):
        raise UsageError(f"{run.folder}: not removed: {reason}")
    lock = HeartbeatLock(Path(f"{run.work}.lock")) if run.work is not None else None
    if lock is not None and not lock.acquire(WAIT):
        raise UsageError(f"{run.folder}: not removed: it is in progress: {lock.owner} holds its lock")
    try:
        others = () if is_inside(run.folder, runs) else _others(run)
        if others:
            _delete_written(run)
        else:
            _delete_folder(run.folder)
    except OSError as error:
        raise SourceError(f"{error.filename or run.folder}: cannot be deleted: {error.strerror or error}") from None
    finally:
        if lock is not None:
            lock.release()
    return others


def _delete_folder(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
        return
    hidden = folder.with_name(f".{folder.name}-{uuid4().hex}.removed")
    folder.rename(hidden)
    shutil.rmtree(hidden)


def _written(run: StoredRun) -> set[str]:
    if run.record is None:
        return set()
    predictions = (result.predictions["file"] for result in run.record.results)
    return {FILE, CARD, *run.record.files, *predictions}


def _others(run: StoredRun) -> tuple[Path, ...]:
    """Return the files in the folder of a run that the run did not write."""
    written = _written(run)
    files = [path for path in sorted(run.folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    return tuple(path for path in files if path.relative_to(run.folder).as_posix() not in written)


def _delete_written(run: StoredRun) -> None:
    """Delete the files that a run wrote, its record first, so that no half of it is taken for a run."""
    for name in sorted(_written(run), key=lambda name: name != FILE):
        (run.folder / name).unlink(missing_ok=True)
