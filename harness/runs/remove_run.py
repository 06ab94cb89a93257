"""Remove runs from disk: never one that is being made, never committed evidence, never files of others."""

import re
import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from uuid import uuid4

from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.record import FILE
from harness.records.training_log import LOG, PICTURE
from harness.runs.stored_runs import StoredRun, has_locked_run, read_again
from harness.tracking.log_to import IDS
from zoo.errors import SourceError, UsageError
from zoo.files import is_inside

CARD = "README.md"
"""The model card, as in `harness.runs.model_card`, which imports torch."""
WAIT = 0.2
"""Seconds to wait for the lock of a run."""
WRITTEN = (
    FILE, CARD, "recipe.yaml", "claims.json", LOG, PICTURE, IDS, "model.safetensors", "predictions-*.npz",
    "checkpoint-*.pt", "checkpoint-*.damaged",
)  # fmt: skip
"""The files of a run whose record does not name them."""
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
    """Remove a run, and return the files in its folder that the run did not write, which stay.

    The lock of the run is held meanwhile. A folder without other files gets a hidden name first, so that nobody reads
    half a run. The leftovers of an interrupted removal are deleted too.

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
        if others := _others(run):
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
    _delete_leftovers({hidden})
    if hidden.exists():
        shutil.rmtree(hidden)


def _delete_leftovers(folders: set[Path]) -> None:
    """Delete hidden folders of removals. Other processes may delete them at the same time."""
    for folder in folders:
        if LEFTOVER.fullmatch(folder.name) and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def _is_written(run: StoredRun, name: str) -> bool:
    """Return whether a run wrote the file with this path in its folder."""
    if run.record is None or not run.record.files:
        return any(fnmatchcase(name, pattern) for pattern in WRITTEN)
    predictions = (result.predictions["file"] for result in run.record.results)
    return name in {FILE, CARD, *run.record.files, *predictions}


def _files(run: StoredRun) -> list[Path]:
    return [path for path in sorted(run.folder.rglob("*")) if path.is_symlink() or not path.is_dir()]


def _others(run: StoredRun) -> tuple[Path, ...]:
    """Return the files in the folder of a run that the run did not write."""
    return tuple(path for path in _files(run) if not _is_written(run, path.relative_to(run.folder).as_posix()))


def _delete_written(run: StoredRun) -> None:
    """Delete the files that a run wrote, its record first, so that no half of it is taken for a run."""
    names = [path.relative_to(run.folder).as_posix() for path in _files(run)]
    for name in sorted(names, key=lambda name: name != FILE):
        if _is_written(run, name):
            (run.folder / name).unlink(missing_ok=True)
