"""The states of the units of a plan, read from its journals, locks and records alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from time import time
from typing import Any, Literal

from harness.fleet.existing_units import missing_units, unit_exists
from harness.fleet.journal import journal_of
from harness.fleet.plan_file import FILE, FOLDER, Plan, Unit, read_plan
from harness.fleet.results import NOT_NEEDED, is_made
from harness.fleet.work import unit_lock
from harness.records.find_runs import find_runs
from harness.runs.existing_runs import ExistingRuns
from zoo.errors import SourceError, ZooError

State = Literal["done", "running", "failed", "killed", "stopped", "waiting"]
STATES: tuple[State, ...] = ("done", "running", "failed", "killed", "stopped", "waiting")


@dataclass(frozen=True, kw_only=True)
class UnitStatus:
    """The state of one unit."""

    unit: Unit
    state: State
    """`killed` if its process ended without an event in the journal, `stopped` after a signal or the time limit."""
    where: str = ""
    """The host and process that made it last, and the scheduler's job."""
    since: float | None = None
    """When that began, in seconds since 1970; None if it has not begun."""
    seconds: float | None = None
    """The time that it took; None unless it is done here or has failed."""
    why: str = ""
    """The error of a unit that has failed, or what stopped it."""
    code: int = 0
    """The exit code of the error."""


@dataclass(frozen=True, kw_only=True)
class PlanStatus:
    """The states of all units of a plan."""

    plan: Plan
    units: tuple[UnitStatus, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many units have each state, in the order of `STATES`."""
        return {state: sum(unit.state == state for unit in self.units) for state in STATES}

    @property
    def is_over(self) -> bool:
        """Whether each unit is done or has failed. A scheduler may queue units again that were stopped or killed."""
        return all(unit.state in ("done", "failed") for unit in self.units)

    @property
    def seconds_left(self) -> float | None:
        """The time until all units are done, if as many run at once as now; None if no unit runs or times are unknown.

        The time of a unit is the median of its entry's units that are done, else what the plan expects. A unit that
        runs longer than that is expected to end now.
        """
        left = [_seconds_left(unit, self.units) for unit in self.units if unit.state not in ("done", "failed")]
        known, running = [seconds for seconds in left if seconds is not None], self.counts["running"]
        if not running or len(known) < len(left):
            return None
        return max([*known, sum(known) / running])


def status_of(plan: Plan) -> PlanStatus:
    """Return the states of the units of a plan. A run that another command or machine has made is done, too."""
    units = [_status_of(plan, unit) for unit in plan.units]
    idle = {index for index, unit in enumerate(units) if unit.state not in ("done", "running")}
    if idle:
        runs = ExistingRuns(partial(find_runs, plan.records))

        def exists(unit: Unit) -> bool:
            return units[unit.index].state == "done" or (unit.index in idle and unit_exists(plan, runs, unit))

        missing = missing_units(plan, exists)
        for index in idle.difference(missing):
            units[index] = replace(units[index], state="done", seconds=None, why="", code=0)
    return PlanStatus(plan=plan, units=tuple(units))


def newest_plan(records: Path) -> Plan:
    """Return the plan in a folder of runs that was worked on last.

    Raises:
        SourceError: There is no plan.
    """
    files = list((records / FOLDER).glob(f"*/{FILE}"))
    if not files:
        raise SourceError(
            f"{records}: no plan was made there; `zoo plan` makes one, and so do --jobs and --on of `zoo verify`"
        )
    return read_plan(max(files, key=_last_change))


def _last_change(file: Path) -> float:
    return max(path.stat().st_mtime for path in (file, *(file.parent / "units").glob("*.jsonl")))


def _status_of(plan: Plan, unit: Unit) -> UnitStatus:
    events = journal_of(plan, unit.index).events()
    if not events:
        return UnitStatus(unit=unit, state="waiting")
    last = events[-1]
    if last.get("skipped") == NOT_NEEDED:  # a run that learns from it may be missing by now
        return UnitStatus(unit=unit, state="waiting")
    begun = next((event for event in reversed(events) if event["event"] == "started"), last)
    status = UnitStatus(unit=unit, state="running", where=_where(begun), since=begun["time"])
    match last["event"]:
        case "done" if is_made(plan, last):
            return replace(status, state="done", seconds=last.get("seconds") or None)
        case "failed":
            why, code = str(last.get("error", "")), int(last.get("code", 1))
            return replace(status, state="failed", seconds=last.get("seconds"), why=why, code=code)
        case "stopped":
            return replace(status, state="stopped", why=str(last.get("why", "")))
        case "started":
            return status if _is_held(plan, unit) else replace(status, state="killed")
        case _:  # its record was deleted
            return UnitStatus(unit=unit, state="waiting")


def _where(begun: Mapping[str, Any]) -> str:
    """Return the host, the process and the scheduler's job that an event names."""
    job = f", job {begun['job']}" if begun.get("job") else ""
    return f"{begun['host']}, process {begun['pid']}{job}" if "host" in begun else ""


def _is_held(plan: Plan, unit: Unit) -> bool:
    try:
        return unit_lock(plan, unit.index).is_held
    except ZooError:  # a lock that cannot be read: believe the journal
        return True


def _seconds_left(status: UnitStatus, units: Sequence[UnitStatus]) -> float | None:
    times = list(_times(status.unit, units))
    expected = median(times) if times else status.unit.seconds
    if status.state != "running" or status.since is None or expected is None:
        return expected
    return max(0.0, expected - (time() - status.since))


def _times(unit: Unit, units: Iterable[UnitStatus]) -> Iterable[float]:
    for other in units:
        if other.seconds and other.state == "done" and (other.unit.entry, other.unit.mode) == (unit.entry, unit.mode):
            yield other.seconds
