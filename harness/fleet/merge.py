"""Copy collected runs into a folder of runs, each in one step."""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.fleet.collect import Collection
from harness.fleet.run_folders import CollectedRun, files_of
from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.run_folder import new_folder
from harness.runs.unfinished import UNFINISHED, work_folder
from zoo.error_translation import translate_errors
from zoo.errors import IntegrityError, SourceError
from zoo.text_tables import counted

WAIT = 2.0
"""Seconds to wait for a process that makes the same run."""
AGAIN = "then run the same command again"


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What was copied into a folder of runs.

    Attributes:
        copied: The new folders.
        problems: Why other runs could not be copied, and what to do about it.
    """

    copied: tuple[Path, ...]
    problems: tuple[str, ...]


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
    advice = ["pass --skip-damaged to leave damaged runs out, or make them again"] * bool(damaged)
    advice += ["take the runs of one folder with --prefer DIR"] * bool(conflicts)
    return f"nothing was copied: {' and '.join(problems)}; {'; '.join(advice)}"


def damaged_targets(collection: Collection, target: Path) -> list[str]:
    """Return the runs that cannot be copied because the folder has a damaged one in their place, with what to do."""
    return [_is_damaged(run, target) for run in collection.runs if _is_blocked(run, collection, target)]


def folders_to_copy(collection: Collection, target: Path) -> list[Path]:
    """Return the folders of the runs that `merge` would copy into a folder of runs."""
    replaced = _replaced(collection, target)
    return [run.path.parent for run in collection.runs if _is_new(run, collection, target, replaced)]


def merge(collection: Collection, target: Path, *, skip_damaged: bool = False) -> Merged:
    """Copy the runs that a folder lacks into it, each in one step.

    A run of the folder is replaced if another one was taken in a conflict.

    Args:
        collection: The runs.
        target: The folder of runs that `read_collection` was called with.
        skip_damaged: Whether damaged runs are left out.

    Raises:
        IntegrityError: Some runs are damaged, or have different scores and none was taken. Nothing is copied.
    """
    if reason := reason_not_to_merge(collection, skip_damaged=skip_damaged):
        raise IntegrityError(reason)
    replaced, had_unfinished = _replaced(collection, target), (target / UNFINISHED).exists()
    new = [run for run in collection.runs if _is_new(run, collection, target, replaced)]
    copied, problems = list[Path](), damaged_targets(collection, target)
    for number, run in enumerate(new):
        try:
            with translate_errors(str(_folder_of(run, target))):
                copied += _copied_under_lock(run, target, replaces=run.key in replaced)
        except _BeingMadeError as error:
            problems.append(str(error))
        except SourceError as error:  # the other runs cannot be written either
            problems.append(f"{error}. {counted(len(new) - number, 'run was', 'runs were')} not copied")
            break
    if not had_unfinished:
        with suppress(OSError):  # it is not there, or no longer empty
            (target / UNFINISHED).rmdir()
    return Merged(copied=tuple(copied), problems=tuple(problems))


class _BeingMadeError(SourceError):
    """Another process makes the same run."""


def _replaced(collection: Collection, target: Path) -> set[str]:
    """Return the keys of the runs in a folder whose scores differ from those of another run."""
    return {conflict.runs[0].key for conflict in collection.conflicts if _is_in(conflict.runs[0], target)}


def _is_new(run: CollectedRun, collection: Collection, target: Path, replaced: set[str]) -> bool:
    """Return whether a run is to be copied: the folder lacks it, or it replaces the one with other scores there."""
    if _is_in(run, target) or _is_blocked(run, collection, target):
        return False
    return run.key in replaced or not _folder_of(run, target).exists()


def _folder_of(run: CollectedRun, target: Path) -> Path:
    return target / run.record.entry / run.record.identity.folder


def _is_blocked(run: CollectedRun, collection: Collection, target: Path) -> bool:
    """Return whether the target has a damaged run in the place of this one."""
    folder = _folder_of(run, target).resolve()
    return not _is_in(run, target) and any(folder == damaged.path.parent for damaged in collection.damaged)


def _is_damaged(run: CollectedRun, target: Path) -> str:
    return f"{_folder_of(run, target)} is damaged: delete it, {AGAIN}"


def _copied_under_lock(run: CollectedRun, target: Path, *, replaces: bool) -> list[Path]:
    """Copy a run, and return its new folder. Raise _BeingMadeError, or SourceError if it cannot be written."""
    folder, lock = _folder_of(run, target), _lock_of(run, target)
    if not lock.acquire(WAIT):
        raise _BeingMadeError(f"{folder} is being made by {lock.owner or 'another process'}: wait for its end, {AGAIN}")
    try:
        return _copied(run, folder, lock, replaces=replaces)
    finally:
        lock.release()


def _is_in(run: CollectedRun, target: Path) -> bool:
    return run.folder == target.resolve()


def _lock_of(run: CollectedRun, target: Path) -> HeartbeatLock:
    folder = work_folder(target, run.record.entry, run.record.identity, run.record.recipe)
    return HeartbeatLock(Path(f"{folder}.lock"), option="--to")


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
