"""Compare the folders of runs of several machines: copies, conflicts, damaged runs, and the missing runs of a plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from harness.fleet.existing_units import missing_units, unit_exists
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.run_differences import Difference, conditions_of, differences, environment_of, scores_of
from harness.fleet.run_folders import CollectedRun, DamagedRun, read_folders
from harness.records.find_runs import FoundRun
from harness.records.record import Mode, Record
from harness.runs.existing_runs import ExistingRuns
from zoo.errors import SourceError, UsageError

SeedKey = tuple[str, Mode, int | None, str]
"""Entry, mode, seed and digest of the recipe. A claim needs one run of each seed."""


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """One run that folders have with different scores.

    Attributes:
        runs: A run for each of the different scores.
        taken: The run of the preferred folder, or that of the target if it has the same scores. None if no folder is
            preferred, or if it lacks the run.
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
class SameSeed:
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
        same_seed: The runs of one entry, recipe and seed, made under different conditions, such as on other devices.
        missing: The units of the plan without a run.
    """

    given: int
    runs: tuple[CollectedRun, ...]
    already_there: tuple[Path, ...]
    copies: tuple[Path, ...]
    conflicts: tuple[Conflict, ...]
    damaged: tuple[DamagedRun, ...]
    same_seed: tuple[SameSeed, ...]
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
    all_folders = _all_folders(folders, target, prefer)
    found, damaged = read_folders(all_folders)
    groups = [_SameRun(runs=tuple(runs), target=target, prefer=prefer) for runs in _by_key(found).values()]
    runs = [group.taken for group in groups if group.taken is not None]
    given = {folder.resolve() for folder in folders}
    return Collection(
        given=sum(any(run.folder in given for run in group.runs) for group in groups),
        runs=tuple(runs),
        already_there=tuple(run.path for group in groups for run in group.copies if group.is_in_target(run)),
        copies=tuple(run.path for group in groups for run in group.copies if not group.is_in_target(run)),
        conflicts=tuple(
            Conflict(runs=group.different, taken=group.taken) for group in groups if len(group.different) > 1
        ),
        damaged=tuple(damaged),
        same_seed=_same_seeds(runs),
        missing=_missing(plan, found) if plan else (),
    )


def _all_folders(folders: Sequence[Path], target: Path | None, prefer: Path | None) -> list[Path]:
    """Return the folders to read, that of the target first, each once."""
    for folder in folders:
        if not folder.is_dir():
            raise SourceError(f"{folder}: no such folder of runs")
    first = [target] if target is not None and target.is_dir() else []
    found = list(dict.fromkeys(folder.resolve() for folder in [*first, *folders]))
    if prefer is not None and prefer.resolve() not in found:
        known = ", ".join(map(str, folders))
        raise UsageError(f"--prefer {prefer}: not one of the folders that are collected; name one of {known}")
    return found


def _by_key(found: Sequence[CollectedRun]) -> dict[str, list[CollectedRun]]:
    groups: dict[str, list[CollectedRun]] = {}
    for run in found:
        groups.setdefault(run.key, []).append(run)
    return groups


@dataclass(frozen=True, kw_only=True)
class _SameRun:
    """One run in the folders that have it. If the target has it, its run is the first."""

    runs: tuple[CollectedRun, ...]
    target: Path | None
    prefer: Path | None

    @cached_property
    def taken(self) -> CollectedRun | None:
        """The run that the target gets, or has; None for different scores of which none is preferred."""
        first = self.runs[0]
        if all(_have_same_scores(first, run) for run in self.runs):
            return first
        preferred = [run for run in self.runs if self.prefer is not None and run.folder == self.prefer.resolve()]
        return first if preferred and self.is_in_target(preferred[0]) else next(iter(preferred), None)

    @cached_property
    def different(self) -> tuple[CollectedRun, ...]:
        """A run for each of the different scores: the one that is taken, else the first."""
        found = list[CollectedRun]()
        for run in self.runs:
            if not any(_have_same_scores(run, other) for other in found):
                is_taken = self.taken is not None and _have_same_scores(run, self.taken)
                found.append(self.taken if self.taken is not None and is_taken else run)
        return tuple(found)

    @property
    def copies(self) -> tuple[CollectedRun, ...]:
        """The runs that have the scores of one of the different runs."""
        return tuple(run for run in self.runs if run not in self.different)

    def is_in_target(self, run: CollectedRun) -> bool:
        """Return whether the target has this run with the same scores."""
        first = self.runs[0]
        return self.target is not None and first.folder == self.target.resolve() and _have_same_scores(first, run)


def _have_same_scores(run: CollectedRun, other: CollectedRun) -> bool:
    return scores_of(run.record) == scores_of(other.record)


def _seed_key(record: Record) -> SeedKey:
    identity = record.identity
    return record.entry, identity.mode, identity.seed, identity.digest


def _same_seeds(runs: Sequence[CollectedRun]) -> tuple[SameSeed, ...]:
    groups: dict[SeedKey, list[CollectedRun]] = {}
    for run in runs:
        groups.setdefault(_seed_key(run.record), []).append(run)
    return tuple(SameSeed(runs=tuple(found)) for found in groups.values() if len(found) > 1)


def _missing(plan: Plan, found: Sequence[CollectedRun]) -> tuple[Unit, ...]:
    by_entry: dict[str, list[FoundRun]] = {}
    for run in found:
        by_entry.setdefault(run.record.entry, []).append(FoundRun(run.path, run.record.identity.folder))
    runs = ExistingRuns(lambda entry: by_entry.get(entry, ()))
    return tuple(plan.units[index] for index in missing_units(plan, partial(unit_exists, plan, runs)))
