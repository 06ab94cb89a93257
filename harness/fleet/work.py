"""Make units of a plan in this process, one after the other. Each is made by one process at a time, and only once."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan, Unit, checked_entry
from harness.fleet.results import is_made, result_of, write_result
from harness.judging.judge_runs import EntryRuns
from harness.records.heartbeat_lock import HeartbeatLock
from zoo.errors import SourceError, Terminated, TimeIsUp, ZooError, translate_errors

MakeUnit = Callable[[Unit], EntryRuns]
"""Makes the run of a unit, or finds it made."""
WAIT = 1.0
"""Seconds to wait for the lock of a unit in one attempt."""


@dataclass(frozen=True)
class MadeUnit:
    """A unit that this process was asked to make."""

    unit: Unit
    result: EntryRuns
    is_new: bool
    """Whether this process made it; otherwise it was made before."""


@dataclass
class Messages:
    """Collects what is reported while a unit is made."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, message: str) -> None:
        """Add a message."""
        self.lines.append(message)

    def taken(self) -> list[str]:
        """Return the messages and start anew."""
        lines, self.lines = self.lines, []
        return lines


def unit_lock(plan: Plan, index: int) -> HeartbeatLock:
    """Return the lock of a unit."""
    return HeartbeatLock(plan.home / "locks" / f"{index:05d}")


def make_unit(plan: Plan, index: int, make: MakeUnit, messages: Messages) -> MadeUnit:
    """Make a unit, or find it made; wait while another process makes it.

    An error of the unit is written into its journal and returned. Ctrl-C, SIGTERM and the time limit are written too,
    and raised.

    Args:
        plan: The plan.
        index: The number of the unit.
        make: Makes it.
        messages: What `make` reports to.

    Raises:
        SourceError: The lock or the journal of the unit cannot be written.
        KeyboardInterrupt: The process is to end.
    """
    unit, journal = plan.units[index], journal_of(plan, index)
    with _held(unit_lock(plan, index), unit, messages):
        events = journal.events()
        if plan.options.fresh and events and is_made(plan, events[-1]):  # any other run is found by its identity
            return MadeUnit(unit, result_of(unit, plan, events[-1]), is_new=False)
        journal.start(1 + sum(event["event"] == "started" for event in events))
        started = time.perf_counter()
        try:
            with translate_errors(unit.name):
                checked_entry(unit)
                result = make(unit)
        except KeyboardInterrupt as error:
            with suppress(SourceError):  # the command is to end, also on a full disk
                journal.append("stopped", why=_reason(error), messages=messages.taken())
            raise
        except ZooError as error:
            result = EntryRuns(entry=unit.entry, mode=unit.mode, error=error)
        write_result(journal, plan, result, time.perf_counter() - started, messages.taken())
    return MadeUnit(unit, result, is_new=True)


@contextmanager
def _held(lock: HeartbeatLock, unit: Unit, messages: Messages) -> Iterator[None]:
    """Hold the lock of a unit in the block; wait while another process holds it."""
    attempts = 0
    while not lock.acquire(WAIT):
        attempts += 1
        if attempts == 1:
            messages(f"{unit.name}: waiting for {lock.owner or 'another process'}, which makes this run")
    try:
        yield
    finally:
        lock.release()


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeIsUp):
        return "time limit"
    return "SIGTERM" if isinstance(error, Terminated) else "Ctrl-C"
