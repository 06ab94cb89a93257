"""Make the runs of entries with a fleet: plan them, have the missing ones made somewhere, and collect the results."""

from collections.abc import Callable, Collection, Iterator, Sequence

from harness.fleet.fresh_plans import complete, current_plan
from harness.fleet.journal import Journal, journal_of
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.results import is_made, joined, record_names, result_of, write_result
from harness.fleet.units import entry_key, needed_teachers, unit_key, unit_options
from harness.judging.judge_runs import EntryRuns
from harness.records.record import Mode
from harness.runs.cache import find_cached_runs
from harness.runs.verify import WantedRuns, run_conditions
from zoo.errors import ZooError
from zoo.progress import Report
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import RunOptions, SourceOptions

MakeMissing = Callable[[Plan, Collection[int]], None]
"""Has the units of a plan with these numbers made, and returns when each is done or has failed."""
NOT_NEEDED = "no run that learns from it is missing"


def make_with_fleet(
    entries: Sequence[Entry],
    wanted: WantedRuns,
    options: RunOptions,
    sources: SourceOptions,
    make: MakeMissing,
    *,
    report: Report,
) -> Iterator[EntryRuns]:
    """Yield the runs of the wanted entries, once all of them are made.

    Args:
        entries: All entries of the command. The plan has all their runs, so that the same command has the same plan.
        wanted: The entries whose runs are missing, each with the seeds to train it with.
        options: Which runs to judge, and how to make them.
        sources: Where the entries' files come from.
        make: Makes the missing ones.
        report: Called with a message if runs of an earlier command are used that `options.fresh` would make again.

    Raises:
        SourceError: The folder of the records cannot be written.
        KeyboardInterrupt: The command is to end.
    """
    plan = current_plan(entries, options, sources, report=report)
    plan.write()
    if missing := note_made_units(plan):
        make(plan, missing)
    complete(plan)
    for entry, _ in wanted:
        yield _runs_of(entry, plan)


def note_made_units(plan: Plan) -> list[int]:
    """Note in the journals which runs of a plan exist, and return the numbers of the units that have to be made.

    Raises:
        SourceError: A journal cannot be written.
    """
    found = _found_units(plan)
    missing = _needed(plan, found)
    for unit in plan.units:
        if unit.index not in missing:
            skipped = EntryRuns(entry=unit.entry, mode=unit.mode, skipped=NOT_NEEDED)
            _note(found.get(unit.index, skipped), journal_of(plan, unit.index), plan)
    return sorted(missing)


def missing_units(plan: Plan) -> list[int]:
    """Return the numbers of the units whose runs have to be made. Nothing is written.

    A run has to be made if it does not exist or has other inputs by now. A teacher is needed only by missing runs.
    """
    return sorted(_needed(plan, _found_units(plan)))


def _needed(plan: Plan, found: Collection[int]) -> set[int]:
    missing = [unit for unit in plan.units if unit.index not in found]
    teachers = needed_teachers(plan, missing)
    return {unit.index for unit in missing if not unit.teacher_of or unit_key(unit, plan.options) in teachers}


def _found_units(plan: Plan) -> dict[int, EntryRuns]:
    """Return the runs that exist and none of whose inputs has changed, by the number of their unit."""
    found = {unit.index: _found(unit, plan) for unit in plan.units}
    return {index: runs for index, runs in found.items() if runs is not None}


def _found(unit: Unit, plan: Plan) -> EntryRuns | None:
    options = unit_options(unit, plan.options)
    if options.fresh:
        last = journal_of(plan, unit.index).last()
        return result_of(unit, plan, last) if is_made(plan, last) else None
    if plan.sources.trust:  # the trusted code is unknown until it is loaded
        return None
    conditions = run_conditions(options, plan.sources)
    return find_cached_runs(unit.entry, unit.mode, [unit.seed], conditions, plan.records)


def _note(found: EntryRuns, journal: Journal, plan: Plan) -> None:
    """Note in a unit's journal that its run exists, or that nothing needs it, unless it says so."""
    last, records = journal.last(), record_names(found, plan)
    if last is None or last["event"] != "done" or last.get("records", []) != records:
        write_result(journal, plan, found, 0.0, ())


def _runs_of(entry: Entry, plan: Plan) -> EntryRuns:
    units = [unit for unit in plan.units if entry_key(unit.entry) == entry_key(entry) and not unit.teacher_of]
    mode: Mode = "retrain" if plan.options.train else "weights"
    try:
        assert entry.recipe is not None  # raises the error of a recipe that cannot be read
        return joined(result_of(unit, plan, journal_of(plan, unit.index).last()) for unit in units)
    except ZooError as error:
        return EntryRuns(entry=entry, mode=mode, error=error)
