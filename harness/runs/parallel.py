"""Make several runs at once, each in a separate process with a share of the threads.

This module does not import torch: the process that starts the others does not need it.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Event
from threading import Thread
from typing import TYPE_CHECKING

from harness.judging.judge_runs import EntryRuns
from harness.records.record import Mode
from zoo.errors import SourceError, ZooError, translate_errors
from zoo.progress import Report, ShowProgress, ignore_progress
from zoo.recipes.catalogue import Entry
from zoo.recipes.devices import device_of_process

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

    from harness.runs.experiment import RunContext

MakeContext = Callable[[str | None], "RunContext"]
"""Makes the context of runs on the device with this name."""
GRACE_SECONDS = 60
"""Seconds that a process has to finish its step and save a checkpoint if the parent is killed."""


def make_runs_in_parallel(
    wanted: Sequence[tuple[Entry, list[int]]],
    mode: Mode,
    make_context: MakeContext,
    jobs: int,
    report: Report,
    show_progress: ShowProgress = ignore_progress,
    device: str | None = None,
) -> Iterator[EntryRuns]:
    """Make the runs that `make_runs` makes, in at most `jobs` processes; the seeds of an entry are separate runs.

    The number of threads of a process depends on `jobs` alone, so that other entries in the same command change no
    number. The processes take turns with the devices. If a process is killed, the entries whose runs are not finished
    get an error. Ctrl-C ends the runs in progress as it ends a single run.

    Args:
        wanted: The entries, each with the seeds to train it with.
        mode: `weights` to evaluate published weights, `retrain` to train.
        make_context: Called in each process with the name of its device, to make its context; must be picklable.
        jobs: The number of processes.
        report: Called with the messages of a run once the run is finished.
        show_progress: Shows the progress of a named piece of work in a `with` block, which calls the result with
            (finished runs, all runs).
        device: The value of `--device`.
    """
    runs = [(entry, [[seed] for seed in seeds] if mode == "retrain" and seeds else [seeds]) for entry, seeds in wanted]
    total, done = sum(len(shares) for _, shares in runs), 0
    if mode == "retrain" and jobs > 1 and total:
        report(f"{jobs} processes share the threads. Training results depend on their number; records name it.")
    context = get_context("spawn")  # torch's threads do not survive a fork
    stop = context.Event()
    arguments = (_Worker(make_context, jobs, device), stop, context.Value("i", 0))
    with (
        ProcessPoolExecutor(min(jobs, total) or 1, context, initializer=_start_worker, initargs=arguments) as pool,
        show_progress("all entries", "runs") as progress,
    ):
        try:
            submitted = [
                (entry, [pool.submit(_make_in_worker, entry, mode, seeds) for seeds in shares])
                for entry, shares in runs
            ]
            for entry, futures in submitted:
                parts = []
                for future in futures:
                    parts.append(_result(future, entry, mode, report))
                    progress(done := done + 1, total)
                yield _joined(parts)
        finally:
            stop.set()  # some work is on its way to a process already, and cannot be cancelled
            pool.shutdown(cancel_futures=True)


def _joined(parts: Sequence[EntryRuns]) -> EntryRuns:
    """Return the runs of all parts of one entry, or the first part that has an error."""
    failed = next((part for part in parts if part.error), None)
    return failed or replace(parts[0], runs=tuple(run for part in parts for run in part.runs))


def _result(future: "Future[tuple[EntryRuns, list[str]]]", entry: Entry, mode: Mode, report: Report) -> EntryRuns:
    try:
        runs, messages = future.result()
    except BrokenProcessPool:
        message = f"{entry.name}: not run: one of the processes was killed. If memory ran out, try fewer --jobs."
        return EntryRuns(entry=entry, mode=mode, error=SourceError(message))
    for message in messages:
        report(message)
    return runs


@dataclass
class _Worker:
    """Makes runs in one process."""

    make_context: MakeContext
    jobs: int
    device: str | None = None
    """The value of `--device`."""
    number: int = 0
    """The number of this process, from 0."""
    messages: list[str] = field(default_factory=list)

    @cached_property
    def context(self) -> "RunContext":
        """The context of all runs in this process; an error while it is made becomes that of the first run.

        It shows no progress bars, since all processes share a terminal.
        """
        torch = import_module("torch")
        torch.set_num_threads(max(torch.get_num_threads() // self.jobs, 1))
        context = self.make_context(device_of_process(self.device, self.number, torch.cuda.device_count()))
        return replace(context, show=ignore_progress, report=self.messages.append)

    def make_runs(self, entry: Entry, mode: Mode, seeds: list[int]) -> tuple[EntryRuns, list[str]]:
        self.messages.clear()
        try:
            with translate_errors(entry.name):
                make_runs = import_module("harness.runs.reproduce").make_runs
                (runs,) = make_runs([(entry, seeds)], mode, self.context)
                return runs, list(self.messages)
        except ZooError as error:
            return EntryRuns(entry=entry, mode=mode, error=error), list(self.messages)


_worker: _Worker
_stop: Event


def _start_worker(worker: _Worker, stop: Event, started: "Synchronized[int]") -> None:
    """Set up a new process: it ends with its parent, and Ctrl-C between two runs does not end it."""
    global _worker, _stop
    _worker, _stop = worker, stop
    with started.get_lock():
        worker.number, started.value = started.value, started.value + 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent to end, then end this process; a training saves a checkpoint first."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os._exit(1)


def _is_orphan() -> bool:
    parent = parent_process()
    return parent is not None and not parent.is_alive()


def _make_in_worker(entry: Entry, mode: Mode, seeds: list[int]) -> tuple[EntryRuns, list[str]]:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if not _stop.is_set():
            return _worker.make_runs(entry, mode, seeds)
    except KeyboardInterrupt:
        _stop.set()
        print(*_worker.messages, sep="\n", end="\n" * bool(_worker.messages), file=sys.stderr, flush=True)
        if _is_orphan():
            os._exit(1)
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
