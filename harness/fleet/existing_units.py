"""Which units of a plan have a run already, and which ones still have to be made or confirmed."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import ceil

from harness.fleet.journal import Journal, journal_of
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.results import is_made, record_names, result_of, write_result
from harness.fleet.units import needed_teachers, unit_key, unit_options
from harness.judging.judge_runs import EntryRuns
from harness.records.find_runs import FoundRun, find_runs
from harness.runs.existing_runs import ExistingRuns
from harness.runs.trusted_modules import code_folders
from harness.runs.verify import find_unchanged

Exists = Callable[[Unit], bool]
"""Returns whether the run of a unit exists."""


def missing_units(plan: Plan, exists: Exists | None = None) -> list[int]:
    """Return the numbers of the units whose runs do not exist, and that are needed. Nothing is written.

    A teacher is needed by the students whose runs are missing, or are not in the run cache: a process confirms these by
    their identity, which includes the weights of the teacher.

    Args:
        plan: The plan.
        exists: Says which runs exist; None for those in the plan's folder, by `harness.runs.existing_runs`.
    """
    exists = exists or partial(_is_here, plan, ExistingRuns(partial(find_runs, plan.records)))
    missing = [unit for unit in plan.units if not exists(unit)]
    if not any(unit.teacher_of for unit in missing):
        return [unit.index for unit in missing]
    numbers = {unit.index for unit in missing}
    students = [unit for unit in plan.units if unit.mode == "retrain" and not unit.teacher_of]
    learning = [unit for unit in students if unit.index in numbers or confirmed_result(plan, unit) is None]
    return needed_units(plan, missing, learning)


def unit_exists(plan: Plan, runs: ExistingRuns, unit: Unit) -> bool:
    """Return whether the run of a unit is among some runs. With `--fresh` older runs than the plan do not count."""
    return any(True for _ in runs_of_unit(plan, runs, unit))


def runs_of_unit(plan: Plan, runs: ExistingRuns, unit: Unit) -> Iterator[FoundRun]:
    """Yield those of some runs that count as the run of a unit, by `unit_exists`."""
    options, folders = unit_options(unit, plan.options), code_folders(unit.entry, plan.folder)
    since = ceil(plan.made) if options.fresh else 0  # records have whole seconds
    return runs.matching(unit.entry.name, unit.recipe, unit.mode, unit.seed, options, folders, since)


def _is_here(plan: Plan, runs: ExistingRuns, unit: Unit) -> bool:
    """Return whether the run of a unit exists in the plan's folder, or with `--fresh` its journal names it."""
    is_fresh = unit_options(unit, plan.options).fresh
    return (is_fresh and is_made(plan, journal_of(plan, unit.index).last())) or unit_exists(plan, runs, unit)


def needed_units(plan: Plan, missing: Sequence[Unit], learning: Sequence[Unit]) -> list[int]:
    """Return the numbers of missing units, without teachers that none of some trainings learns from."""
    teachers = needed_teachers(plan, learning)
    return sorted(unit.index for unit in missing if not unit.teacher_of or unit_key(unit, plan.options) in teachers)


def confirmed_result(plan: Plan, unit: Unit) -> EntryRuns | None:
    """Return the run of a unit if it exists and none of its inputs has changed; None if a process has to look closer.

    With `--fresh` that is a run that the plan has made, otherwise one in the run cache.
    """
    options = unit_options(unit, plan.options)
    if options.fresh:
        last = journal_of(plan, unit.index).last()
        return result_of(unit, plan, last) if is_made(plan, last) else None
    is_known = unit.entry.is_readable and unit.entry.recipe.digest == unit.recipe
    if not is_known:
        return None
    return find_unchanged(unit.entry, unit.mode, [unit.seed], options, plan.sources, plan.folder)


def note_result(found: EntryRuns, journal: Journal, plan: Plan) -> None:
    """Note in a unit's journal that its run exists, or that nothing needs it, unless the last event says so.

    Raises:
        SourceError: The journal cannot be written.
    """
    last, records = journal.last(), record_names(found, plan)
    if last is None or last["event"] != "done" or last.get("records", []) != records:
        write_result(journal, plan, found, seconds_of(journal, records), ())


def seconds_of(journal: Journal, records: Sequence[str]) -> float:
    """Return the time that the making of these records took, by the journal; 0 if another command has made them."""
    events = (event for event in reversed(journal.events()) if event["event"] == "done")
    return next((event.get("seconds", 0.0) for event in events if event.get("records", []) == list(records)), 0.0)
