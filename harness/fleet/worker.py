"""A process that makes units: those on its command line, or those whose numbers it reads until its input ends."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib import import_module
from queue import SimpleQueue
from threading import Thread
from typing import IO, TYPE_CHECKING

from harness.fleet.existing_units import unit_exists
from harness.fleet.local import END, GRACE_SECONDS
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.units import unit_options
from harness.fleet.work import Messages
from harness.judging.judge_runs import EntryRuns
from harness.records.find_runs import find_runs
from harness.runs.existing_runs import ExistingRuns
from harness.runs.verify import run_conditions
from zoo.errors import UsageError
from zoo.progress import Step
from zoo.recipes.devices import device_of_process

if TYPE_CHECKING:
    from harness.runs.experiment import RunContext

MakeContext = Callable[[str | None], "RunContext"]
"""Makes the context of runs on the device with this name."""


@dataclass
class LastProgress:
    """How far the work on a unit has come. Nothing is shown."""

    text: str = ""
    """Such as `step 40 of 100`; empty before the first step."""

    def show(self, name: str, unit: str) -> AbstractContextManager[Step]:
        """Note the steps of a piece of work."""

        def step(done: int, total: int, note: str = "", seconds_left: float | None = None) -> None:
            self.text = f"{unit.removesuffix('s')} {done:,} of {total:,}"

        return nullcontext(step)


@dataclass
class UnitMaker:
    """Makes the runs of units in one of several processes that share a machine."""

    plan: Plan
    make_context: MakeContext
    messages: Messages = field(default_factory=Messages)
    progress: LastProgress = field(default_factory=LastProgress)
    making: Unit | None = None
    """The unit that is made now, or that was made when this process was stopped."""
    number: int = 0
    """The number of this process, from 0."""
    processes: int = 1
    """The number of processes, which share the threads and take turns with the devices."""

    def __call__(self, unit: Unit) -> EntryRuns:
        """Make the run of a unit, or find it made."""
        self.making, self.progress.text = unit, ""
        make_runs = import_module("harness.runs.reproduce").make_runs
        seeds = [] if unit.seed is None else [unit.seed]
        try:
            (runs,) = make_runs([(unit.entry, seeds)], unit.mode, self._context_of(unit))
        except Exception:
            self.making = None
            raise
        result: EntryRuns = runs
        self.making = None
        return result

    def _context_of(self, unit: Unit) -> "RunContext":
        """Return the context of a unit's run: that in which students look for it if it is a teacher.

        With `--fresh`, a run that was made since the plan, and then collected, is only confirmed.
        """
        if not unit.teacher_of:
            is_made = self.context.fresh and unit_exists(self.plan, self._runs(), unit)
            return replace(self.context, fresh=False) if is_made else self.context
        context: RunContext = import_module("harness.runs.teachers").teacher_context(self.context)
        conditions = run_conditions(unit_options(unit, self.plan.options), self.plan.sources)
        return replace(context, conditions=conditions)

    def _runs(self) -> ExistingRuns:
        return ExistingRuns(partial(find_runs, self.plan.records))

    @cached_property
    def context(self) -> "RunContext":
        """The context of all runs in this process. It shows no progress bars: all processes share a terminal."""
        torch = import_module("torch")
        torch.set_num_threads(max(torch.get_num_threads() // self.processes, 1))
        device = device_of_process(self.plan.options.device, self.number, torch.cuda.device_count())
        return replace(self.make_context(device), show=self.progress.show, report=self.messages)


def parse_process(text: str) -> tuple[int, int]:
    """Return the number of a process and how many there are, of a text such as `0/4`. Raises UsageError."""
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise UsageError(f"--process {text}: write NUMBER/COUNT, such as 0/4")
    return int(number), int(count)


@contextmanager
def private_stdout() -> Iterator[Callable[[int], None]]:
    """Yield a function that prints a number, and turn what others print in the block to stderr.

    A library, or code that the user trusts, may print something. The command must not take it for a finished unit.
    """
    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        yield lambda number: _print(output, number)
    finally:
        sys.stdout.flush()
        os.dup2(output, 1)
        os.close(output)


def _print(output: int, number: int) -> None:
    with suppress(BrokenPipeError):  # the command was killed
        os.write(output, b"%d\n" % number)


def numbers_from(stream: IO[str], parse: Callable[[str], int] = int) -> Iterator[int]:
    """Yield the numbers that a stream has, one a line, up to the line `end`. Blank lines are skipped.

    If the stream ends without that line, the process at the other end was killed. If a number is worked on then, this
    process gets SIGTERM, so that a training saves a checkpoint; some time later it is ended.

    Args:
        stream: The stream.
        parse: Returns the number of a line, or raises UsageError.

    Raises:
        UsageError: A line has no number. The numbers before it are yielded first.
    """
    numbers: SimpleQueue[int | UsageError | None] = SimpleQueue()
    given = finished = 0

    def read() -> None:
        nonlocal given
        for line in filter(None, map(str.strip, stream)):
            if line == END:
                break
            try:
                number = parse(line)
            except UsageError as error:
                numbers.put(error)
                return
            given += 1
            numbers.put(number)
        else:
            if finished < given:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(GRACE_SECONDS)
                os._exit(1)
        numbers.put(None)

    Thread(target=read, daemon=True).start()
    while (number := numbers.get()) is not None:
        if isinstance(number, UsageError):
            raise number
        yield number
        finished += 1
