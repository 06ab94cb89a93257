"""A process that makes units: those on its command line, or those whose numbers it reads until its input ends."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from queue import SimpleQueue
from threading import Thread
from typing import IO, TYPE_CHECKING

from harness.fleet.local import END, GRACE_SECONDS
from harness.fleet.plan_file import Plan, Unit
from harness.fleet.units import unit_options
from harness.fleet.work import Messages
from harness.judging.judge_runs import EntryRuns
from harness.runs.verify import run_conditions
from zoo.errors import UsageError
from zoo.progress import ignore_progress
from zoo.recipes.devices import device_of_process

if TYPE_CHECKING:
    from harness.runs.experiment import RunContext

MakeContext = Callable[[str | None], "RunContext"]
"""Makes the context of runs on the device with this name."""


@dataclass
class UnitMaker:
    """Makes the runs of units in one of several processes that share a machine."""

    plan: Plan
    make_context: MakeContext
    messages: Messages = field(default_factory=Messages)
    number: int = 0
    """The number of this process, from 0."""
    processes: int = 1
    """The number of processes, which share the threads and take turns with the devices."""

    def __call__(self, unit: Unit) -> EntryRuns:
        """Make the run of a unit, or find it made."""
        make_runs = import_module("harness.runs.reproduce").make_runs
        seeds = [] if unit.seed is None else [unit.seed]
        (runs,) = make_runs([(unit.entry, seeds)], unit.mode, self._context_of(unit))
        result: EntryRuns = runs
        return result

    def _context_of(self, unit: Unit) -> "RunContext":
        """Return the context of a unit's run: that in which students look for it if it is a teacher."""
        if not unit.teacher_of:
            return self.context
        context: RunContext = import_module("harness.runs.teachers").teacher_context(self.context)
        conditions = run_conditions(unit_options(unit, self.plan.options), self.plan.sources)
        return replace(context, conditions=conditions)

    @cached_property
    def context(self) -> "RunContext":
        """The context of all runs in this process. It shows no progress bars: all processes share a terminal."""
        torch = import_module("torch")
        torch.set_num_threads(max(torch.get_num_threads() // self.processes, 1))
        device = device_of_process(self.plan.options.device, self.number, torch.cuda.device_count())
        return replace(self.make_context(device), show=ignore_progress, report=self.messages)


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


def numbers_from(stream: IO[str]) -> Iterator[int]:
    """Yield the numbers that a stream has, one a line, up to the line `end`.

    If the stream ends without that line, the process at the other end was killed. If a number is worked on then, this
    process gets SIGTERM, so that a training saves a checkpoint; some time later it is ended.
    """
    numbers: SimpleQueue[int | None] = SimpleQueue()
    given = finished = 0

    def read() -> None:
        nonlocal given
        for line in stream:
            if line.strip() == END:
                break
            given += 1
            numbers.put(int(line))
        else:
            if finished < given:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(GRACE_SECONDS)
                os._exit(1)
        numbers.put(None)

    Thread(target=read, daemon=True).start()
    while (number := numbers.get()) is not None:
        yield number
        finished += 1
