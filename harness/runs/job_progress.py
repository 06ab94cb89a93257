"""The progress of a job of several runs, and how long the rest of it takes by earlier runs and by those of the job."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate

from harness.records.record import Mode
from harness.runs.expected_times import EarlierRuns
from harness.runs.experiment import RunContext
from zoo.progress import Step, ignore_progress, ignore_step
from zoo.recipes.catalogue import Entry


@dataclass
class JobProgress:
    """Counts the runs of a job.

    Attributes:
        expected: For each run the expected seconds, by earlier runs; None if there are none.
        ends: For each entry the number of runs up to its last one.
        step: Shows the progress.
        clock: Returns the time in seconds.
    """

    expected: Sequence[float | None]
    ends: Sequence[int]
    step: Step = ignore_step
    clock: Callable[[], float] = time.monotonic
    _done: int = 0
    _since: float = 0.0
    _made: list[tuple[float | None, float]] = field(default_factory=list)
    """The expected and the measured seconds of the runs that were made."""

    def begin(self) -> None:
        """Show that no run is over yet."""
        self._since = self.clock()
        self._show()

    def run_over(self, made: bool) -> None:
        """Count a run.

        Args:
            made: Whether it was made; the time to find a run that exists says nothing about the others.
        """
        if made:
            self._made.append((self.expected[self._done], self.clock() - self._since))
        self._go_on(self._done + 1)

    def entry_over(self, number: int) -> None:
        """Count the runs of an entry that were not made, because of an error or because the entry has no weights."""
        if self._done != self.ends[number]:
            self._go_on(self.ends[number])

    def seconds_left(self) -> float | None:
        """Return the time of all runs that are left; None if nothing is known of one of them.

        Expected times are scaled by how long the runs of this job took. A run without one takes their mean.
        """
        measured = [seconds for _, seconds in self._made]
        both = [(expected, seconds) for expected, seconds in self._made if expected]
        scale = sum(seconds for _, seconds in both) / sum(expected for expected, _ in both) if both else 1.0
        mean = sum(measured) / len(measured) if measured else None
        times = [mean if expected is None else expected * scale for expected in self.expected[self._done :]]
        return None if None in times else sum(time for time in times if time is not None)

    def _go_on(self, done: int) -> None:
        self._done, self._since = min(done, len(self.expected)), self.clock()
        self._show()

    def _show(self) -> None:
        self.step(self._done, len(self.expected), "", self.seconds_left())


@contextmanager
def job_progress(wanted: Sequence[tuple[Entry, list[int]]], mode: Mode, context: RunContext) -> Iterator[JobProgress]:
    """Show in the block how many runs of a job are over, if there are several."""
    runs = [entry for entry, seeds in wanted for _ in (seeds if mode == "retrain" else [None])]
    ends = list(accumulate(len(seeds) if mode == "retrain" else 1 for _, seeds in wanted))
    if len(runs) < 2 or context.show is ignore_progress:
        yield JobProgress([None] * len(runs), ends)
        return
    earlier = EarlierRuns(context.runs, context.accelerator.device.type)
    times = {name: earlier.expected_time(name, mode).seconds for name in {entry.name for entry in runs}}
    with context.show("all runs", "runs") as step:
        job = JobProgress([times[entry.name] for entry in runs], ends, step)
        job.begin()
        yield job
