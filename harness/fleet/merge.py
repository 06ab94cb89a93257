"""Copy collected runs into a folder of runs, each in one step."""

import shutil
from pathlib import Path

from harness.fleet.collect import Collection
from harness.fleet.run_folders import CollectedRun, files_of
from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.run_folder import new_folder
from harness.runs.unfinished import work_folder
from zoo.errors import IntegrityError, SourceError
from zoo.text_tables import counted

WAIT = 2.0
"""Seconds to wait for a process that makes the same run."""


def reason_not_to_merge(collection: Collection, *, skip_damaged: bool = False) -> str | None:
    """Return why nothing of a collection may be copied and what to do about it; None if it may be copied.

    Args:
        collection: The runs.
        skip_damaged: Whether damaged runs are left out.
    """
    damaged, conflicts = collection.damaged if not skip_damaged else (), collection.open_conflicts
    problems = [f"{counted(len(damaged), 'run is', 'runs are')} damaged"] * bool(damaged)
    problems += [f"{counted(len(conflicts), 'run has', 'runs have')} different scores"] * bool(conflicts)
    if not problems:
        return None
    advice = ["repair or leave out damaged runs, with --skip-damaged, or make them again"] * bool(damaged)
    advice += ["take the runs of one folder with --prefer DIR"] * bool(conflicts)
    return f"nothing was copied: {' and '.join(problems)}; {'; '.join(advice)}"


def merge(collection: Collection, target: Path, *, skip_damaged: bool = False) -> list[Path]:
    """Copy the runs that a folder lacks into it, each in one step, and return their new folders.

    A run of the folder is replaced if another one was taken in a conflict.

    Args:
        collection: The runs.
        target: The folder of runs that `read_collection` was told to copy into.
        skip_damaged: Whether damaged runs are left out.

    Raises:
        IntegrityError: Some runs are damaged, or have different scores and none was taken. Nothing is copied.
        SourceError: The folder cannot be written, or a run cannot be put there; the others are copied.
    """
    if reason := reason_not_to_merge(collection, skip_damaged=skip_damaged):
        raise IntegrityError(reason)
    replaced = {conflict.runs[0].key for conflict in collection.conflicts if _is_in(conflict.runs[0], target)}
    damaged = {run.path.parent for run in collection.damaged}
    copied, problems = list[Path](), list[str]()
    for run in collection.runs:
        folder = target / run.record.entry / run.record.identity.folder
        if _is_in(run, target) or (folder.exists() and not (run.key in replaced or folder.resolve() in damaged)):
            continue
        if folder.resolve() in damaged:
            problems.append(f"{folder} is damaged: delete it")
            continue
        lock = _lock_of(run, target)
        if not lock.acquire(WAIT):
            problems.append(f"{folder} is being made by {lock.owner or 'another process'}: wait for its end")
            continue
        try:
            copied += _copied(run, folder, lock, replaces=run.key in replaced)
        finally:
            lock.release()
    if problems:
        done = f"{counted(len(copied), 'run was', 'runs were')} copied"
        raise SourceError(f"{done}, but {'; '.join(problems)}. Then run the same command again")
    return copied


def _is_in(run: CollectedRun, target: Path) -> bool:
    return run.folder == target.resolve()


def _lock_of(run: CollectedRun, target: Path) -> HeartbeatLock:
    folder = work_folder(target, run.record.entry, run.record.identity, run.record.recipe)
    return HeartbeatLock(Path(f"{folder}.lock"))


def _copied(run: CollectedRun, folder: Path, lock: HeartbeatLock, *, replaces: bool) -> list[Path]:
    """Copy a run under its lock, and return its new folder; nothing if it appeared meanwhile."""
    if folder.exists() and not replaces:
        return []
    key = run.record.identity.key
    with new_folder(folder, key, replaces=replaces, confirmed=lock.confirmed) as partial:
        for name in files_of(run.path, run.record):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(run.path.parent / name, partial / name)
    return [folder]
