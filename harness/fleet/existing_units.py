"""Which units of a plan have a run already, and which ones still have to be made or confirmed."""

from collections.abc import Callable, Sequence
from functools import partial

from harness.fleet.journal import Journal, journal_of
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.results import is_made, record_names, result_of, write_result
from harness.fleet.units import needed_teachers, unit_key, unit_options
from harness.judging.judge_runs import EntryRuns
from harness.runs.cache import find_cached_runs
from harness.runs.existing_runs import ExistingRuns
from harness.runs.trusted_modules import code_folders
from harness.runs.verify import run_conditions

Exists = Callable[[Unit], bool]
"""Returns whether the run of a unit exists."""


def missing_units(plan: Plan, exists: Exists | None = None) -> list[int]:
    """Return the numbers of the units whose runs do not exist, and that are needed. Nothing is written.

    A unit without published weights to evaluate has no run. A teacher is needed only by missing runs.

    Args:
        plan: The plan.
        exists: Says which runs exist; None for those in the plan's folder, by `harness.runs.existing_runs`.
    """
    exists = exists or partial(unit_exists, plan, ExistingRuns(plan.records))
    return needed_units(plan, [unit for unit in plan.units if _has_run(unit) and not exists(unit)])


def unit_exists(plan: Plan, runs: ExistingRuns, unit: Unit) -> bool:
    """Return whether the run of a unit exists. With `--fresh` it does if the plan has made it."""
    options = unit_options(unit, plan.options)
    if options.fresh:
        return is_made(plan, journal_of(plan, unit.index).last())
    folders = code_folders(unit.entry, plan.folder)
    return runs.has(unit.entry.name, unit.recipe, unit.mode, unit.seed, options, folders)


def needed_units(plan: Plan, missing: Sequence[Unit]) -> list[int]:
    """Return the numbers of missing units, without teachers that no other missing unit learns from."""
    teachers = needed_teachers(plan, missing)
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
    if not is_known or plan.sources.trust:  # the trusted code is unknown until it is loaded
        return None
    conditions = run_conditions(options, plan.sources)
    return find_cached_runs(unit.entry, unit.mode, [unit.seed], conditions, plan.records)


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


def _has_run(unit: Unit) -> bool:
    """Return whether there is something to run. A recipe that cannot be read is an error of its run."""
    return unit.mode == "retrain" or not unit.entry.is_readable or unit.entry.recipe.weights is not None
