"""Add runs of a user to the committed records."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.records.check import verify_together
from harness.records.find_runs import find_runs, read_all
from harness.records.record import FILE, Record, RecordedRun, read_record
from harness.records.run_folder import new_folder
from zoo.errors import SourceError, UsageError, did_you_mean
from zoo.recipes.catalogue import Entry, entries


@dataclass(frozen=True)
class Promoted:
    """A run that `promote` has copied, or that was not copied because a record of the same inputs is committed."""

    run: Path
    folder: Path
    """The folder of the committed record."""
    is_new: bool
    is_equal: bool
    """Whether the committed record has the same predictions."""
    lacks_digests: bool = False
    """Whether the record is of version 0.1, which wrote no digest of the whole record."""


def promote(chosen: Iterable[str], runs: Path, evidence: Path) -> Iterator[Promoted]:
    """Copy runs with their predictions into the committed records, and yield each.

    Args:
        chosen: Run folders, record files, or names of entries, whose runs are all copied.
        runs: The folder of the user's runs.
        evidence: The folder of committed records.

    Raises:
        SourceError: There is no such run.
        UsageError: The recipe of a run is not the shipped one, or the run was made from a checkout with uncommitted
            changes, whose code nobody else can see.
        IntegrityError: A run was edited, or its labels differ from those of committed records.
    """
    shipped = {entry.name: entry for entry in entries()}
    committed = read_all(evidence)
    for path in [file for run in chosen for file in _record_files(run, runs)]:
        yield _promote(path, evidence, committed, shipped)
        committed.append((path, read_record(path)))


def _promote(path: Path, evidence: Path, committed: Sequence[RecordedRun], shipped: Mapping[str, Entry]) -> Promoted:
    record = read_record(path)
    others = [other for other in committed if _has_same_rows(other[1], record)]
    verify_together([*others[:1], (path, record)])
    if record.entry not in shipped:
        raise UsageError(
            f"{path}: the entry {record.entry!r} is not shipped with zoo; `zoo leaderboard RECIPE --records DIR` shows"
            " runs of your own recipes"
        )
    if record.environment["dirty"]:
        raise UsageError(f"{path}: made from a checkout with uncommitted changes; commit them and run it again")
    if record.identity.digest != shipped[record.entry].recipe.digest:
        raise UsageError(f"{path}: made with another recipe than the shipped one of {record.entry}; run it again")
    final = evidence / record.entry / record.identity.folder
    if (final / FILE).exists():
        return Promoted(path.parent, final, is_new=False, is_equal=read_record(final / FILE).results == record.results)
    with new_folder(final, record.identity.key) as folder:
        for name in [FILE, *(result.predictions["file"] for result in record.results)]:
            shutil.copyfile(path.parent / name, folder / name)
    return Promoted(path.parent, final, is_new=True, is_equal=True, lacks_digests=not record.record_sha256)


def _has_same_rows(other: Record, record: Record) -> bool:
    """Return whether two records scored the same rows for the same task."""
    rows, of_other = (
        [of.identity.sources["data"].get(result.split) for result in of.results] for of in (record, other)
    )
    return other.recipe.get("task") == record.recipe.get("task") and rows == of_other


def _record_files(run: str, runs: Path) -> list[Path]:
    path = Path(run)
    if path.name == FILE or (path / FILE).is_file():
        return [path if path.name == FILE else path / FILE]
    files = [found.record for found in find_runs(runs, run)]
    if not files:
        names = [folder.name for folder in runs.glob("[!.]*")] if runs.is_dir() else []
        raise SourceError(f"no run {run!r} in {runs}{did_you_mean(run, names)}")
    return files
