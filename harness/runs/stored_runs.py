"""List the runs in a folder of runs, with their state and size. Never imports torch."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from harness.records.find_runs import FoundRun, find_runs
from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.record import FILE, Record, read_record
from harness.runs.run_files import files_of_run, written_files
from harness.runs.unfinished import UNFINISHED, entry_of_work_folder, work_folder
from zoo.errors import SourceError, ZooError

State = Literal["finished", "running", "stopped", "damaged"]
STATES: tuple[State, ...] = ("finished", "running", "stopped", "damaged")


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """One run on disk."""

    entry: str
    folder: Path
    state: State
    """`running` while a command holds the lock of the run, `stopped` if only its checkpoints exist."""
    size: int
    """The bytes of its files."""
    modified: float
    """When it was recorded, else when a file was last written, in seconds since 1970."""
    written: float
    """When a file of its folder was last written, in seconds since 1970."""
    work: Path | None = None
    """The folder of its checkpoints, beside which its lock lies; None if the record is damaged."""
    record: Record | None = None
    problem: str = ""
    """Why the run is damaged."""

    @property
    def kind(self) -> str:
        """`weights` or `training`; `-` if the run does not say."""
        mode = self.record.identity.mode if self.record else self.folder.name.partition("-")[0]
        if self.state in ("running", "stopped"):
            return "training" if any(self.folder.glob("checkpoint-*.pt")) else "-"
        return {"weights": "weights", "retrain": "training"}.get(mode, "-")

    @property
    def seed(self) -> int | None:
        """The seed of a training; None if there is none, or if the run does not say."""
        return self.record.identity.seed if self.record else None

    @property
    def suite(self) -> str:
        """The suite of the entry; empty if the run does not say."""
        return self.record.suite if self.record else ""

    @property
    def is_in_progress(self) -> bool:
        """Whether a command holds the lock of the run now."""
        return self.work is not None and is_locked(self.work)


def stored_runs(runs: Path) -> list[StoredRun]:
    """Return all runs of a folder of runs: finished, damaged, and those that are being made or were stopped.

    Args:
        runs: The folder of all runs. It need not exist.

    Raises:
        SourceError: The folder cannot be read.
    """
    try:
        entries = sorted(path.name for path in runs.iterdir() if path.is_dir()) if runs.exists() else []
    except OSError as error:
        raise SourceError(f"{runs}: cannot be read: {error.strerror or error}") from None
    visible = [name for name in entries if not name.startswith(".")]
    finished = [_finished(runs, entry, found) for entry in visible for found in find_runs(runs, entry)]
    return [*finished, *_unfinished(runs / UNFINISHED)]


def read_again(run: StoredRun, runs: Path) -> StoredRun | None:
    """Return a run that was listed before as it is now; None if it is gone. Its lock may be held by the caller."""
    if run.state not in ("running", "stopped"):
        record = run.folder / FILE
        return _finished(runs, run.entry, FoundRun(record, run.folder.name)) if record.exists() else None
    return _stopped(run.folder, locked=False) if run.folder.is_dir() else None


def has_locked_run(runs: Path, entry: str) -> bool:
    """Return whether a command holds the lock of a run of an entry, whichever run that is."""
    locks = (runs / UNFINISHED).glob("[!.]*.lock")
    works = [lock.with_suffix("") for lock in locks]
    return any(entry_of_work_folder(work) == entry and is_locked(work) for work in works)


def is_locked(work: Path) -> bool:
    """Return whether a command holds the lock beside a folder of checkpoints; also if that cannot be read."""
    try:
        return HeartbeatLock(Path(f"{work}.lock")).is_held
    except SourceError:
        return True


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder. Links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return _size_of_file(path)
    return sum(_size_of_file(Path(folder) / name) for folder, _, names in os.walk(path) for name in names)


def _size_of_file(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # deleted meanwhile
        return 0


def _finished(runs: Path, entry: str, found: FoundRun) -> StoredRun:
    folder = found.record.parent
    size, modified = size_of(folder), _modified(folder)
    try:
        record = read_record(found.record)
    except ZooError as error:
        return StoredRun(
            entry=entry,
            folder=folder,
            state="damaged",
            size=size,
            modified=modified,
            written=modified,
            problem=str(error),
        )
    work = work_folder(runs, record.entry, record.identity, record.recipe)
    missing = next((name for name in _predictions(record) if not (folder / name).is_file()), None)
    return StoredRun(
        entry=entry, folder=folder, state="damaged" if missing else "finished", size=size,
        modified=_time(record.created) or modified, written=modified, work=work, record=record,
        problem=f"{folder / missing} is missing" if missing else "",
    )  # fmt: skip


def _unfinished(folder: Path) -> Iterator[StoredRun]:
    """Yield the runs that have a folder for checkpoints or a lock that somebody holds, and no record yet.

    A folder with nothing but files of the user is left of a run that was removed.
    """
    try:
        names = sorted({path.name.removesuffix(".lock") for path in folder.iterdir() if not path.name.startswith(".")})
    except OSError:
        return
    for name in names:
        work = folder / name
        locked = is_locked(work)
        if locked or (work.is_dir() and (written_files(work, None) or not files_of_run(work))):
            yield _stopped(work, locked=locked)


def _stopped(work: Path, *, locked: bool) -> StoredRun:
    modified = _modified(work)
    return StoredRun(
        entry=entry_of_work_folder(work), folder=work, state="running" if locked else "stopped",
        size=size_of(work) if work.is_dir() else 0, modified=modified, written=modified, work=work,
    )  # fmt: skip


def _predictions(record: Record) -> list[str]:
    return [result.predictions["file"] for result in record.results]


def _modified(folder: Path) -> float:
    """Return when a file of a folder was last written; 0 if there is none."""
    times = [folder / FILE, *folder.glob("*"), folder]
    newest = 0.0
    for path in times:
        with suppress(OSError):
            newest = max(newest, path.lstat().st_mtime)
    return newest


def _time(created: str) -> float:
    with suppress(ValueError):
        return datetime.fromisoformat(created).timestamp()
    return 0.0
