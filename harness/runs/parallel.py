"""Several runs at once, each in a process of its own with its share of the cores.

Nothing here imports torch: the process that asks has no use for it.
"""

import os
import signal
import sys
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
from zoo.recipes.catalogue import Entry

if TYPE_CHECKING:
    from harness.runs.experiment import RunContext


def make_runs_in_parallel(
    wanted: Sequence[tuple[Entry, list[int]]],
    mode: Mode,
    make: Callable[[], "RunContext"],
    jobs: int,
    say: Callable[[str], None],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[EntryRuns]:
    """What `make_runs` returns, made by at most `jobs` processes, one run at a time each, an entry's seeds apart.

    A process has its share of the threads by `jobs` alone, so that what else is asked for changes no number.
    Each process has its own setup from `make`, which must be picklable, and what it says is said when its run is done.
    A process that dies is an error of the entries whose runs are not all made yet. Ctrl-C ends the runs on their way as
    it ends one alone.
    """
    shares = [
        (entry, [[seed] for seed in seeds] if mode == "retrain" and seeds else [seeds]) for entry, seeds in wanted
    ]
    total, done = sum(len(runs) for _, runs in shares), 0
    here = min(jobs, total) or 1
    if mode == "retrain" and jobs > 1 and total:
        say(f"{jobs} processes share the threads; with another number a training ends otherwise: records name it")
    context = get_context("spawn")  # not forked: torch's threads do not outlive that
    stop = context.Event()
    with ProcessPoolExecutor(here, context, initializer=_begin, initargs=(_Worker(make, jobs), stop)) as pool:
        try:
            asked = [(entry, [pool.submit(_ran, entry, mode, seeds) for seeds in runs]) for entry, runs in shares]
            for entry, futures in asked:
                found = []
                for future in futures:
                    found.append(_result(future, entry, mode, say))
                    progress(done := done + 1, total)
                yield _together(found)
        finally:
            stop.set()  # some of what is not begun is on its way to a process, and cannot be cancelled
            pool.shutdown(cancel_futures=True)


def _together(parts: Sequence[EntryRuns]) -> EntryRuns:
    """The runs of one entry, of which each part has some; the first error is that of all."""
    failed = next((part for part in parts if part.error), None)
    return failed or replace(parts[0], runs=tuple(run for part in parts for run in part.runs))


def _result(
    future: "Future[tuple[EntryRuns, list[str]]]", entry: Entry, mode: Mode, say: Callable[[str], None]
) -> EntryRuns:
    try:
        ran, said = future.result()
    except BrokenProcessPool:
        lost = f"{entry.name}: not run: one of the processes was killed, perhaps for want of memory; try fewer --jobs"
        return EntryRuns(entry=entry, mode=mode, error=SourceError(lost))
    for message in said:
        say(message)
    return ran


@dataclass
class _Worker:
    """What a process needs to make its runs."""

    make: Callable[[], "RunContext"]
    jobs: int
    said: list[str] = field(default_factory=list)

    @cached_property
    def setup(self) -> "RunContext":
        """Made once, for the first run: what cannot be had is then that run's error. No bars; all share a terminal."""
        torch = import_module("torch")
        torch.set_num_threads(max(torch.get_num_threads() // self.jobs, 1))
        made = self.make()
        return replace(made, show=type(made).show, say=self.said.append)

    def ran(self, entry: Entry, mode: Mode, seeds: list[int]) -> tuple[EntryRuns, list[str]]:
        self.said.clear()
        try:
            with translate_errors(entry.name):
                study = import_module("harness.runs.experiment").Experiment(entry, self.setup)
                return import_module("harness.runs.reproduce").make_entry_runs(study, mode, seeds), list(self.said)
        except ZooError as error:
            return EntryRuns(entry=entry, mode=mode, error=error), list(self.said)


_worker: _Worker
_stop: Event


def _begin(worker: _Worker, stop: Event) -> None:
    """In a new process: keep what it works with; end with the process that asked, and not by Ctrl-C between runs."""
    global _worker, _stop
    _worker, _stop = worker, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _ran(entry: Entry, mode: Mode, seeds: list[int]) -> tuple[EntryRuns, list[str]]:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if not _stop.is_set():
            return _worker.ran(entry, mode, seeds)
    except KeyboardInterrupt:
        _stop.set()
        print(*_worker.said, sep="\n", end="\n" * bool(_worker.said), file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
