"""Make the units of a plan on this machine: in some processes, each of which makes one unit after the other."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from harness.fleet.journal import journal_of
from harness.fleet.plan_file import Plan
from harness.fleet.schedule import scheduled
from zoo.errors import SourceError, Terminated, TimeIsUp
from zoo.progress import Report, ShowProgress

COMMAND = (sys.executable, "-m", "zoo", "run-unit")
"""Starts a worker; the plan and its options follow."""
GRACE_SECONDS = 60.0
"""Seconds that a worker has to save a checkpoint after a signal to end."""
ATTEMPTS = 2
"""How many times a unit is started, if the process that makes it is killed."""
STOPPED: Mapping[int, type[KeyboardInterrupt]] = {130: KeyboardInterrupt, 143: Terminated, 75: TimeIsUp}
"""Exit code of a worker that a signal or the time limit ended -> the exception that the command raises."""
END = "end"
"""The line after the last number that a worker gets."""


def run_local(
    plan: Plan,
    missing: Collection[int],
    jobs: int,
    *,
    report: Report,
    show_progress: ShowProgress,
    seconds: float | None = None,
    command: Sequence[str] = COMMAND,
) -> None:
    """Make units in at most `jobs` processes, and return when all of them are done or have failed.

    The number of threads of a process depends on `jobs` alone, so that it is the same however many units are missing.

    Args:
        plan: The plan; its file exists.
        missing: The numbers of the units to make.
        jobs: The number of processes.
        report: Called with the messages of a unit once it is finished.
        show_progress: Shows how many units are finished.
        seconds: The time limit of the processes; None for no limit.
        command: Starts a worker.

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM, or the time is up; the processes have ended.
        SourceError: A process cannot be started.
    """
    end = None if seconds is None else time.monotonic() + seconds
    fleet = _Fleet(plan, deque(scheduled(plan, missing)), jobs, command, report, end)
    with show_progress("all runs", "runs") as progress:
        progress(0, len(missing))
        try:
            for done, index in enumerate(fleet.make(), 1):
                report_unit(plan, index, report)
                progress(done, len(missing))
        except BaseException as error:
            for index in fleet.stop(signal.SIGINT if type(error) is KeyboardInterrupt else signal.SIGTERM):
                report_unit(plan, index, report)
            raise


def report_unit(plan: Plan, index: int, report: Report) -> None:
    """Report the messages of a unit that has ended."""
    last: Mapping[str, Any] = journal_of(plan, index).last() or {}
    for message in last.get("messages", ()):
        report(message)


@dataclass(eq=False)
class _Worker:
    """A process that makes the units whose numbers it reads, and prints each number once the unit is finished.

    It ends after the line `end`, and when this process is killed.
    """

    number: int
    process: "subprocess.Popen[bytes]"
    unit: int | None = None
    """The unit that it makes."""
    printed: bytes = b""
    """The beginning of a line that it has printed."""
    is_dismissed: bool = False
    """Whether the line `end` was sent to it. It may still run for a while, and must get no other unit."""

    def give(self, index: int) -> None:
        self.unit = index
        self._write(f"{index}\n".encode())

    def dismiss(self) -> None:
        """Let the process end once it has made its unit."""
        self.is_dismissed = True
        self._write(f"{END}\n".encode())

    def leave(self) -> int:
        """Wait for the end of the process, close its pipes, and return its exit code."""
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # what it has not read
                pipe.close()  # type: ignore[union-attr]
        return code

    def read(self) -> bool | None:
        """Read what the process has printed. Return whether its unit is finished, or None if the process has ended."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 4096)
        if not data:
            return None
        *lines, self.printed = (self.printed + data).split(b"\n")
        return str(self.unit).encode() in lines  # any other line is not from zoo

    def taken(self) -> int | None:
        """Return the unit, which the process does not make any more, or None."""
        index, self.unit = self.unit, None
        return index

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):  # a process that has ended is noticed when its output is read
            self.process.stdin.write(data)
            self.process.stdin.flush()


@dataclass
class _Fleet:
    plan: Plan
    waiting: deque[int]
    jobs: int
    """The number of processes that share the threads, also if fewer are started."""
    command: Sequence[str]
    report: Report
    end: float | None = None
    """When the time of the workers ends, on the clock of `time.monotonic`."""
    workers: list[_Worker] = field(default_factory=list)
    started: Counter[int] = field(default_factory=Counter)
    """How many times each unit has been given to a worker."""
    selector: DefaultSelector = field(default_factory=DefaultSelector)

    def make(self) -> Iterator[int]:
        """Make all units, and yield the number of each that is finished, also if it has failed."""
        for number in range(min(self.jobs, len(self.waiting))):
            self._start(number)
        while self.workers:  # each ends when there is no unit for it
            self._give_units()
            for key, _ in self.selector.select():
                worker: _Worker = key.data
                is_finished = worker.read()
                if is_finished is False:
                    continue
                index = worker.taken() if is_finished else self._ended(worker)
                if index is not None:
                    yield index
        self.selector.close()

    def stop(self, number: signal.Signals) -> list[int]:
        """End all workers, and return the units that they were making. A second Ctrl-C ends them at once."""
        units = [worker.unit for worker in self.workers if worker.unit is not None]
        for each in (number, signal.SIGKILL):
            for worker in self.workers:
                worker.dismiss()
                worker.process.send_signal(each)
            end = time.monotonic() + GRACE_SECONDS
            try:
                for worker in self.workers:
                    worker.process.wait(max(0.0, end - time.monotonic()))
                break
            except (KeyboardInterrupt, subprocess.TimeoutExpired):
                continue
        for worker in self.workers:
            worker.leave()
        self.selector.close()
        return units

    def _give_units(self) -> None:
        """Give a unit to each idle worker. Students wait until their teachers are trained; without work, it ends."""
        for worker in [each for each in self.workers if each.unit is None and not each.is_dismissed]:
            waves = [self.plan.units[each.unit].wave for each in self.workers if each.unit is not None]
            if not self.waiting:
                worker.dismiss()
            elif self.plan.units[self.waiting[0]].wave <= min(waves, default=sys.maxsize):
                self.started[self.waiting[0]] += 1
                worker.give(self.waiting.popleft())

    def _ended(self, worker: _Worker) -> int | None:
        """Take leave of a worker that has ended. Return its unit if that is not made again."""
        index = worker.taken()
        self.selector.unregister(worker.process.stdout)  # type: ignore[arg-type]
        self.workers.remove(worker)
        code = worker.leave()
        if code in STOPPED:
            raise STOPPED[code]
        if index is None and not self.waiting:
            return None
        if index is not None and self.started[index] < ATTEMPTS:
            self.waiting.appendleft(index)
            index = None
        if index is not None and code >= 0:  # the message on a unit whose process was killed is made from its journal
            self._write_end(index, worker.number, code)
        if self.waiting:
            self._start(worker.number)
        return index

    def _write_end(self, index: int, number: int, code: int) -> None:
        """Write into the journal of a unit that its process ended without a result."""
        unit, log = self.plan.units[index], self._log(number)
        text = f"{unit.name}: not run: its process ended with exit code {code}; the reason is at the end of {log}"
        try:
            journal_of(self.plan, index).fail(SourceError(text))
        except SourceError as error:
            self.report(f"{text}. {error}")

    def _start(self, number: int) -> None:
        log = self._log(number)
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as errors:
                process = subprocess.Popen(  # noqa: S603 - a command of this project
                    [*self.command, str(self.plan.file), *self._options(number)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=self.plan.folder,
                    start_new_session=True,  # Ctrl-C reaches this process only, which passes it on once
                )  # fmt: skip
        except OSError as error:
            raise SourceError(f"{log}: a process of zoo cannot be started: {error.strerror or error}") from None
        worker = _Worker(number, process)
        self.workers.append(worker)
        self.selector.register(process.stdout, EVENT_READ, worker)  # type: ignore[arg-type]

    def _log(self, number: int) -> Path:
        return self.plan.home / "workers" / f"{number}.log"

    def _options(self, number: int) -> list[str]:
        options = ["--index", "-", "--process", f"{number}/{self.jobs}"]
        if self.end is not None:
            options += ["--time-limit", f"{max(self.end - time.monotonic(), 1.0):.0f}"]
        return options
