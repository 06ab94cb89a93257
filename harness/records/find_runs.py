"""Find the runs of an entry: in the folder of all runs, and in the folders that users chose with `--out`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.records.record import FILE, Identity, Record, read_record
from zoo.errors import SourceError, ZooError
from zoo.files import write_atomically

ELSEWHERE = ".elsewhere"
"""The folder, in that of an entry's runs, with a file for each run that lies elsewhere: its path."""


@dataclass(frozen=True)
class FoundRun:
    """A run that was found on disk. Its record may be damaged."""

    record: Path
    """The record file."""
    name: str
    """The name of the run; see `Identity.folder`."""


def find_runs(runs: Path, entry: str) -> list[FoundRun]:
    """Return the runs of an entry, each once: those in the folder of all runs first.

    Args:
        runs: The folder of all runs, or of the committed records.
        entry: The entry's name.
    """
    files = sorted((runs / entry).glob(f"[!.]*/{FILE}"))
    found = {file.parent.name: FoundRun(file, file.parent.name) for file in files}
    for run in _runs_elsewhere(runs / entry / ELSEWHERE):
        found.setdefault(run.name, run)
    return list(found.values())


def record_times(runs: Path, entries: Iterable[str], *others: Path) -> dict[Path, int]:
    """Return the record files that exist, with their times, to tell later which of them have been written since.

    Such times are compared only with each other: the clocks of this machine and of the file server may differ, or jump.

    Args:
        runs: The folder of all runs.
        entries: The names of entries, whose records are meant.
        *others: Further record files; those that do not exist are left out.
    """
    files = [*(run.record for entry in entries for run in find_runs(runs, entry)), *others]
    return {file.absolute(): file.stat().st_mtime_ns for file in files if file.exists()}


def is_among(record: Path, earlier: Mapping[Path, int]) -> bool:
    """Return whether `record_times` returned a record file, and it has not been written since."""
    time = earlier.get(record.absolute())
    return time is not None and record.exists() and record.stat().st_mtime_ns == time


def read_all(runs: Path) -> list[tuple[Path, Record]]:
    """Return every record of a folder of runs with the path of its file, sorted by entry and run."""
    entries = sorted(folder.name for folder in runs.iterdir() if folder.is_dir()) if runs.is_dir() else []
    records = [(run.record, read_record(run.record)) for entry in entries for run in find_runs(runs, entry)]
    return sorted(records, key=lambda pair: (pair[1].entry, pair[1].identity.folder))


def remember_elsewhere(runs: Path, entry: str, identity: Identity, folder: Path) -> None:
    """Remember that a run of an entry lies in a folder that the user chose.

    Args:
        runs: The folder of all runs.
        entry: The entry's name.
        identity: The identity of the run.
        folder: The folder of the run.
    """
    write_atomically(_pointer(runs, entry, identity), str(folder.absolute()))


def find_elsewhere(runs: Path, entry: str, identity: Identity) -> Path | None:
    """Return the folder of a run that was remembered; None if there is none, or if it holds another run by now."""
    folder = _read(_pointer(runs, entry, identity))
    try:
        return folder if folder and read_record(folder / FILE).identity == identity else None
    except ZooError:
        return None


def _runs_elsewhere(pointers: Path) -> Iterator[FoundRun]:
    """Yield the runs that were remembered, except those whose folder is gone or holds another run by now."""
    for pointer in sorted(pointers.glob("*.txt")):
        folder = _read(pointer)
        if folder is None:
            continue
        try:
            identity = read_record(folder / FILE).identity
        except SourceError:
            continue
        except ZooError:  # raised again where the record is read
            yield FoundRun(folder / FILE, folder.name)
            continue
        if _name(identity) == pointer.name:
            yield FoundRun(folder / FILE, identity.folder)


def _pointer(runs: Path, entry: str, identity: Identity) -> Path:
    return runs / entry / ELSEWHERE / _name(identity)


def _name(identity: Identity) -> str:
    return f"{identity.key[:32]}.txt"


def _read(pointer: Path) -> Path | None:
    try:
        return Path(pointer.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
