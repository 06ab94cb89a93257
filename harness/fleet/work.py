"""Make units of a plan in this process, one after the other. Each is made by one process at a time, and only once."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from harness.fleet.existing_units import confirmed_result, note_result, seconds_of, unit_exists
from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.results import record_names, write_result
from harness.fleet.units import unit_options
from harness.judging.judge_runs import EntryRuns
from harness.records.find_runs import find_runs
from harness.records.heartbeat_lock import HeartbeatLock
from harness.runs.existing_runs import ExistingRuns
from zoo.error_translation import translate_errors
from zoo.errors import SourceError, Terminated, TimeIsUp, UsageError, ZooError
from zoo.files import is_read_only
from zoo.recipes.catalogue import Entry

MakeUnit = Callable[[Unit], EntryRuns]
"""Makes the run of a unit, or finds it made."""
WAIT = 1.0
"""Seconds to wait for the lock of a unit in one attempt."""


class UnitIsHeldError(Exception):
    """Another process makes this unit."""


@dataclass(frozen=True)
class MadeUnit:
    """A unit that this process was asked to make."""

    unit: Unit
    result: EntryRuns
    is_new: bool
    """Whether this process made it; otherwise its run existed."""


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


def make_unit(plan: Plan, index: int, make: MakeUnit, messages: Messages, *, wait: bool = True) -> MadeUnit:
    """Make a unit, or find it made.

    A run whose inputs have not changed is found without `make`. Any other run that exists is found by `make`, by its
    identity. The journal keeps the time that its making took.

    An error of the unit is written into its journal and returned. Ctrl-C, SIGTERM and the time limit are written too,
    and raised.

    Args:
        plan: The plan.
        index: The number of the unit.
        make: Makes it.
        messages: What `make` reports to.
        wait: Whether to wait while another process makes it.

    Raises:
        UnitIsHeldError: Another process makes it, and `wait` is false.
        SourceError: The lock or the journal of the unit cannot be written.
        KeyboardInterrupt: The process is to end.
    """
    unit, journal = plan.units[index], journal_of(plan, index)
    if is_read_only(plan.home):
        return _made_without_lock(plan, unit, make)
    with _held(unit_lock(plan, index), unit, messages, wait=wait):
        if (found := confirmed_result(plan, unit)) is not None:
            note_result(found, journal, plan)
            return MadeUnit(unit, found, is_new=False)
        journal.start(1 + sum(event["event"] == "started" for event in journal.events()))
        started, earlier = time.perf_counter(), _run_folders(plan, unit)
        try:
            with translate_errors(unit.name):
                _checked_entry(unit)
                result = make(unit)
        except KeyboardInterrupt as error:
            with suppress(SourceError):  # the command is to end, also on a full disk
                journal.append("stopped", why=why_stopped(error), messages=messages.taken())
            raise
        except ZooError as error:
            result = EntryRuns(entry=unit.entry, mode=unit.mode, error=error)
        existed = _existed(result, plan, earlier)
        seconds = seconds_of(journal, record_names(result, plan)) if existed else time.perf_counter() - started
        write_result(journal, plan, result, seconds, messages.taken())
    return MadeUnit(unit, result, is_new=not existed)


def _run_folders(plan: Plan, unit: Unit) -> set[str]:
    """Return the names of the folders of an entry's runs; with `--fresh` none if the unit has to be made."""
    runs = ExistingRuns(partial(find_runs, plan.records))
    if unit_options(unit, plan.options).fresh and not unit_exists(plan, runs, unit):
        return set()
    with suppress(OSError):  # there is none
        return {folder.name for folder in (plan.records / unit.entry.name).iterdir()}
    return set()


def _existed(result: EntryRuns, plan: Plan, earlier: Collection[str]) -> bool:
    """Return whether the runs of a result were there before. Units are made in the folder of all runs only."""
    folders = [path.parent for path, _ in result.runs]
    home = plan.records / result.entry.name
    return bool(folders) and all(folder.absolute().parent != home or folder.name in earlier for folder in folders)


def _checked_entry(unit: Unit) -> Entry:
    """Return the entry of a unit. Raise UsageError if its recipe is not that of the plan any more."""
    digest = unit.entry.recipe.digest
    if digest != unit.recipe:
        raise UsageError(f"{unit.entry.path}: the recipe has changed since the plan was made; make the plan again")
    return unit.entry


def _made_without_lock(plan: Plan, unit: Unit, make: MakeUnit) -> MadeUnit:
    """Find the run of a unit in a read-only folder, without lock and journal; for a missing run `make` has an error."""
    if (found := confirmed_result(plan, unit)) is not None:
        return MadeUnit(unit, found, is_new=False)
    try:
        with translate_errors(unit.name):
            _checked_entry(unit)
            result = make(unit)
    except ZooError as error:
        result = EntryRuns(entry=unit.entry, mode=unit.mode, error=error)
    return MadeUnit(unit, result, is_new=False)


@contextmanager
def _held(lock: HeartbeatLock, unit: Unit, messages: Messages, *, wait: bool) -> Iterator[None]:
    """Hold the lock of a unit in the block. Raise UnitIsHeldError if another process holds it, and `wait` is false."""
    attempts = 0
    if not wait and not lock.try_acquire():
        raise UnitIsHeldError(unit.name)
    while wait and not lock.acquire(WAIT):
        attempts += 1
        if attempts == 1:
            messages(f"{unit.name}: waiting for {lock.owner or 'another process'}, which makes this run")
    try:
        yield
    finally:
        lock.release()


def why_stopped(error: KeyboardInterrupt) -> str:
    """Return what has stopped a process: the time limit, SIGTERM or Ctrl-C."""
    if isinstance(error, TimeIsUp):
        return "time limit"
    return "SIGTERM" if isinstance(error, Terminated) else "Ctrl-C"
