"""Make the runs of entries with a fleet: plan them, have the missing ones made somewhere, and collect the results."""

from collections.abc import Callable, Collection, Iterator, Sequence

from harness.fleet.existing_units import confirmed_result, needed_units, note_result
from harness.fleet.fresh_plans import begin, complete, current_plan
from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan
from harness.fleet.results import NOT_NEEDED, joined, result_of
from harness.fleet.units import entry_key
from harness.judging.judge_runs import NO_WEIGHTS, EntryRuns
from harness.records.record import Mode
from harness.runs.verify import WantedRuns
from zoo.errors import ZooError
from zoo.files import is_read_only
from zoo.progress import Report
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import RunOptions, SourceOptions

MakeMissing = Callable[[Plan, Collection[int]], None]
"""Has the units of a plan with these numbers made, and returns when each is done or has failed."""


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
    begin(plan)
    if missing := note_made_units(plan):
        make(plan, missing)
    complete(plan)
    for entry, _ in wanted:
        yield _runs_of(entry, plan)


def note_made_units(plan: Plan) -> list[int]:
    """Note in the journals which runs of a plan exist unchanged, and return the numbers of the other units.

    Some of the others may exist too: a process that is asked to make such a unit confirms it by its identity.

    Nothing is written into a read-only folder.

    Raises:
        SourceError: A journal cannot be written.
    """
    found = _confirmed(plan)
    others, is_writable = open_units(plan, found), not is_read_only(plan.home)
    for unit in plan.units:
        if is_writable and unit.index not in others:
            skipped = EntryRuns(entry=unit.entry, mode=unit.mode, skipped=NOT_NEEDED)
            note_result(found.get(unit.index, skipped), journal_of(plan, unit.index), plan)
    return others


def open_units(plan: Plan, found: Collection[int] | None = None) -> list[int]:
    """Return the numbers of the units that a process has to make, or confirm by their identity. Nothing is written.

    Args:
        plan: The plan.
        found: The numbers of the units whose runs exist unchanged; None to look for them.
    """
    confirmed = _confirmed(plan) if found is None else found
    others = [unit for unit in plan.units if unit.index not in confirmed]
    return needed_units(plan, others, others)


def _confirmed(plan: Plan) -> dict[int, EntryRuns]:
    """Return the runs that exist and none of whose inputs has changed, by the number of their unit."""
    found = {unit.index: confirmed_result(plan, unit) for unit in plan.units}
    return {index: runs for index, runs in found.items() if runs is not None}


def _runs_of(entry: Entry, plan: Plan) -> EntryRuns:
    units = [unit for unit in plan.units if entry_key(unit.entry) == entry_key(entry) and not unit.teacher_of]
    mode: Mode = "retrain" if plan.options.train else "weights"
    try:
        assert entry.recipe is not None  # raises the error of a recipe that cannot be read
        if not units:
            return EntryRuns(entry=entry, mode=mode, skipped=NO_WEIGHTS)
        return joined(result_of(unit, plan, journal_of(plan, unit.index).last()) for unit in units)
    except ZooError as error:
        return EntryRuns(entry=entry, mode=mode, error=error)
