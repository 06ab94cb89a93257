"""Make all missing units of a plan in this process, which may share them with others that do the same."""

from collections.abc import Iterator, Mapping
from typing import Any

from harness.fleet.dispatch import note_made_units
from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan
from harness.fleet.results import result_of
from harness.fleet.schedule import scheduled
from harness.fleet.work import MadeUnit, MakeUnit, Messages, UnitIsHeldError, make_unit
from zoo.progress import Report


def make_all_units(plan: Plan, make: MakeUnit, messages: Messages, report: Report) -> Iterator[MadeUnit]:
    """Make the missing units of a plan, and yield each: teachers first, in the order of the table of `zoo plan`.

    A unit that another process makes is left until nothing else can be made, and then waited for. Students of such a
    teacher are left, too. A unit that has failed in another process meanwhile is not tried again.

    Args:
        plan: The plan.
        make: Makes a unit.
        messages: What `make` reports to.
        report: Called with a message before this process waits for another one.

    Raises:
        SourceError: A lock or a journal cannot be written.
        KeyboardInterrupt: The process is to end.
    """
    left = scheduled(plan, note_made_units(plan))
    earlier = {index: journal_of(plan, index).last() for index in left}
    while left:
        held = list[int]()
        for index in left:
            made = None
            if not any(plan.units[other].wave < plan.units[index].wave for other in held):
                made = _failed_elsewhere(plan, index, earlier[index]) or _made_unless_held(plan, index, make, messages)
            if made is None:
                held.append(index)
            else:
                yield made
        if held == left:
            report(f"waiting for unit {held[0]}, {plan.units[held[0]].name}, which another process makes")
            yield make_unit(plan, held.pop(0), make, messages)
        left = held


def _made_unless_held(plan: Plan, index: int, make: MakeUnit, messages: Messages) -> MadeUnit | None:
    """Make a unit; return None if another process makes it."""
    try:
        return make_unit(plan, index, make, messages, wait=False)
    except UnitIsHeldError:
        return None


def _failed_elsewhere(plan: Plan, index: int, earlier: Mapping[str, Any] | None) -> MadeUnit | None:
    """Return a unit that another process has tried since an event of its journal, and that has failed."""
    unit, last = plan.units[index], journal_of(plan, index).last()
    if last is None or last["event"] != "failed" or last == earlier:
        return None
    return MadeUnit(unit, result_of(unit, plan, last), is_new=False)
