"""Compare the folders of runs of several machines: copies, conflicts, damaged runs, and the missing runs of a plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.fleet.existing_units import missing_units
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.run_differences import Difference, conditions_of, differences, environment_of, scores_of
from harness.fleet.run_folders import CollectedRun, DamagedRun, read_folders
from harness.fleet.units import unit_options
from harness.records.record import Mode, Record
from harness.runs.existing_runs import is_run_of
from harness.runs.trusted_modules import code_folders
from zoo.errors import SourceError, UsageError

Cell = tuple[str, Mode, int | None, str]
"""Entry, mode, seed and digest of the recipe: what a claim needs one run of."""


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """One run that folders have with different scores.

    Attributes:
        runs: A run for each of the different scores.
        taken: The run of the preferred folder; None if no folder is preferred, or if it lacks the run.
    """

    runs: tuple[CollectedRun, ...]
    taken: CollectedRun | None

    @property
    def scores(self) -> tuple[Difference, ...]:
        """The scores that differ."""
        return differences([run.record for run in self.runs], scores_of)

    @property
    def environment(self) -> tuple[Difference, ...]:
        """What differs between the environments in which the runs were made."""
        return differences([run.record for run in self.runs], environment_of)


@dataclass(frozen=True, kw_only=True)
class SharedCell:
    """Several runs of one entry, recipe and seed, made under different conditions."""

    runs: tuple[CollectedRun, ...]

    @property
    def conditions(self) -> tuple[Difference, ...]:
        """What differs: precision, device, the digest of data or code, and the like."""
        return differences([run.record for run in self.runs], conditions_of)


@dataclass(frozen=True, kw_only=True)
class Collection:
    """The runs of some folders.

    Attributes:
        given: The number of different sound runs in the given folders.
        runs: Each sound run once: that of the target, else of the first folder that has it. Of a conflict, the run that
            is taken.
        already_there: Record files of runs that the target has too, with the same scores.
        copies: Record files of runs that another given folder has too, with the same scores.
        conflicts: The runs with different scores.
        damaged: The runs that are not as they were recorded.
        twice: The runs that fill the same cell under different conditions, such as other devices.
        missing: The units of the plan without a run.
    """

    given: int
    runs: tuple[CollectedRun, ...]
    already_there: tuple[Path, ...]
    copies: tuple[Path, ...]
    conflicts: tuple[Conflict, ...]
    damaged: tuple[DamagedRun, ...]
    twice: tuple[SharedCell, ...]
    missing: tuple[Unit, ...] = ()

    @property
    def open_conflicts(self) -> tuple[Conflict, ...]:
        """The conflicts that no preferred folder decides."""
        return tuple(conflict for conflict in self.conflicts if conflict.taken is None)


def read_collection(
    folders: Sequence[Path], plan: Plan | None = None, *, target: Path | None = None, prefer: Path | None = None
) -> Collection:
    """Read and check all runs in folders.

    Args:
        folders: Folders of runs, such as those of `--records` on several machines.
        plan: The plan whose missing runs are listed; None to list none.
        target: The folder that they will be copied into, whose runs are read first; it need not exist.
        prefer: The folder whose run is taken where folders have different scores.

    Raises:
        SourceError: A folder does not exist, or cannot be read.
        UsageError: The preferred folder is none of these.
    """
    for folder in folders:
        if not folder.is_dir():
            raise SourceError(f"{folder}: no such folder of runs")
    places = {folder.resolve(): None for folder in ([target] if target and target.is_dir() else [])}
    places |= {folder.resolve(): None for folder in folders}
    if prefer is not None and prefer.resolve() not in places:
        known = ", ".join(map(str, folders))
        raise UsageError(f"--prefer {prefer}: not one of the folders that are collected; name one of {known}")
    found, damaged = read_folders(list(places))
    groups: dict[str, list[CollectedRun]] = {}
    for run in found:
        groups.setdefault(run.key, []).append(run)
    conflicts = [_conflict(group, prefer) for group in groups.values() if len(_different(group)) > 1]
    taken = {each.runs[0].key: each.taken for each in conflicts}
    chosen = [taken.get(key, group[0]) for key, group in groups.items()]
    runs = [run for run in chosen if run is not None]
    copies = [run for group in groups.values() for run in _copies(group)]
    there = {run.path for run in copies if target is not None and groups[run.key][0].folder == target.resolve()}
    given = {folder.resolve() for folder in folders}
    return Collection(
        given=sum(any(run.folder in given for run in group) for group in groups.values()),
        runs=tuple(runs), already_there=tuple(run.path for run in copies if run.path in there),
        copies=tuple(run.path for run in copies if run.path not in there), conflicts=tuple(conflicts),
        damaged=tuple(damaged), twice=_twice(runs),
        missing=_missing(plan, [run.record for run in found]) if plan else (),
    )  # fmt: skip


def _different(group: Sequence[CollectedRun]) -> list[CollectedRun]:
    """Return the first run with each of the different scores."""
    scores = [scores_of(run.record) for run in group]
    return [run for number, run in enumerate(group) if scores.index(scores[number]) == number]


def _copies(group: Sequence[CollectedRun]) -> list[CollectedRun]:
    """Return the runs with the scores of an earlier one."""
    first = {run.path for run in _different(group)}
    return [run for run in group if run.path not in first]


def _conflict(group: Sequence[CollectedRun], prefer: Path | None) -> Conflict:
    runs = _different(group)
    scores = [scores_of(run.record) for run in runs]
    preferred = [run for run in group if prefer is not None and run.folder == prefer.resolve()]
    taken = runs[scores.index(scores_of(preferred[0].record))] if preferred else None
    return Conflict(runs=tuple(runs), taken=taken)


def _cell(record: Record) -> Cell:
    identity = record.identity
    return record.entry, identity.mode, identity.seed, identity.digest


def _twice(runs: Sequence[CollectedRun]) -> tuple[SharedCell, ...]:
    cells: dict[Cell, list[CollectedRun]] = {}
    for run in runs:
        cells.setdefault(_cell(run.record), []).append(run)
    return tuple(SharedCell(runs=tuple(found)) for found in cells.values() if len(found) > 1)


def _missing(plan: Plan, records: Sequence[Record]) -> tuple[Unit, ...]:
    by_cell: dict[Cell, list[Record]] = {}
    for record in records:
        by_cell.setdefault(_cell(record), []).append(record)

    def exists(unit: Unit) -> bool:
        options, folders = unit_options(unit, plan.options), code_folders(unit.entry, plan.folder)
        found = by_cell.get((unit.entry.name, unit.mode, unit.seed, unit.recipe), ())
        return any(is_run_of(record, unit.recipe, unit.mode, unit.seed, options, folders) for record in found)

    return tuple(plan.units[index] for index in missing_units(plan, exists))
