"""Measure contenders in separate processes that take turns, round by round, while the others sleep.

A temporary disturbance of the machine then affects all contenders, and ratios are computed within a round. Each
contender prepares its data, is warmed up, and is measured with one thread per core. The work of a contender is named as
`MODULE:CLASS`, so that its process imports only the program that it measures.
"""

import gc
import importlib
import multiprocessing
import os
import resource
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np

SPAWN = multiprocessing.get_context("spawn")


class Work(Protocol):
    """The work of a contender. It is constructed, untimed, from the folder of the data and the contender's options."""

    def begin(self, point: str) -> None:
        """Prepare one run at this point; untimed."""
        ...

    def run(self) -> None:
        """Do the work; timed."""
        ...

    def results(self) -> Mapping[str, Any]:
        """Return the results, untimed: `logits` `(N, C)`, `losses` of each step, `marks`, the times after each step."""
        ...


@dataclass(frozen=True)
class Contender:
    """A program to measure: its name in the tables, the `module:Class` of its work, and the options of that class."""

    name: str
    work: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TimedRun:
    """One timed run: its seconds, the peak resident memory of the process so far in bytes, and the results."""

    seconds: float
    peak: int
    results: Mapping[str, Any]

    @property
    def steps(self) -> float | None:
        """Seconds for each step, without the first one, which includes one-time costs; None without steps."""
        marks = self.results.get("marks", ())
        return (marks[-1] - marks[0]) / (len(marks) - 1) if len(marks) > 1 else None


@dataclass(frozen=True)
class Measured:
    """All rounds of a contender at a point."""

    contender: Contender
    point: str
    runs: Sequence[TimedRun]

    def seconds(self, *, a_step: bool = False) -> list[float]:
        """Return the seconds of each round, for the whole run or for a step."""
        return [run.steps or run.seconds if a_step else run.seconds for run in self.runs]

    def ratio(self, to: "Measured", *, a_step: bool = False) -> float:
        """Return the median over the rounds of the ratio of this contender's time to another's."""
        pairs = zip(self.seconds(a_step=a_step), to.seconds(a_step=a_step), strict=True)
        return median(time / other for time, other in pairs)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    return float(low), float(middle), float(high)


def compete(folder: Path, contenders: Sequence[Contender], points: Sequence[str], rounds: int) -> list[list[Measured]]:
    """Measure all contenders at all points.

    Returns:
        A list for each point, with the rounds of each contender.

    Raises:
        RuntimeError: A contender failed; the message has its traceback.
    """
    with started_processes(folder, contenders, points) as connections:
        runs: dict[tuple[str, str], list[TimedRun]] = {}
        for number in range(rounds):
            for point in points:
                for turn in range(len(contenders)):
                    index = (turn + number) % len(contenders)  # another order in each round
                    run = run_once(contenders[index], connections[index], point)
                    runs.setdefault((point, contenders[index].name), []).append(run)
    return [[Measured(c, point, runs[point, c.name]) for c in contenders] for point in points]


@contextmanager
def started_processes(
    folder: Path, contenders: Sequence[Contender], points: Sequence[str]
) -> Iterator[list[Connection]]:
    """Start a process for each contender, warm them up one after the other, and yield the connections to them."""
    started: list[tuple[Any, Connection]] = []
    try:
        for contender in contenders:
            connection, remote = SPAWN.Pipe()
            process = SPAWN.Process(target=_serve, args=(remote, folder, contender))
            process.start()
            remote.close()  # the connection then ends when the process ends
            started.append((process, connection))
            for point in points:
                run_once(contender, connection, point)
        yield [connection for _, connection in started]
    finally:
        for process, connection in started:
            connection.close()
            process.join(timeout=10)
            process.terminate()


def run_once(contender: Contender, connection: Connection, point: str) -> TimedRun:
    """Run a contender once in its process. Raises RuntimeError, with the traceback, if it fails."""
    try:
        connection.send(point)
        answer = connection.recv()
    except (EOFError, BrokenPipeError):
        raise RuntimeError(f"{contender.name} at {point}: the process ended without an error message") from None
    if isinstance(answer, str):
        raise RuntimeError(f"{contender.name} at {point}:\n{answer}")  # noqa: TRY004
    return TimedRun(*answer)


def _serve(connection: Connection, folder: Path, contender: Contender) -> None:
    """Run the work of a contender at each point that is received, until the connection ends."""
    multiprocessing.set_start_method(None, force=True)  # workers of a DataLoader start by the system's default method
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "ZOO_HOME": str(folder / "home")}
    silence = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    os.dup2(silence.fileno(), sys.stdout.fileno())
    os.dup2(silence.fileno(), sys.stderr.fileno())
    try:
        torch = importlib.import_module("torch")
        torch.set_num_threads(os.cpu_count() or 1)
        module, _, name = contender.work.partition(":")
        work: Work = getattr(importlib.import_module(module), name)(folder, **contender.options)
        while True:
            work.begin(connection.recv())
            gc.collect()
            start = time.perf_counter()
            work.run()
            seconds = time.perf_counter() - start
            connection.send((seconds, peak_memory(), dict(work.results())))
    except EOFError:
        return
    except BaseException:  # every failure of a contender is reported
        connection.send(traceback.format_exc())


def peak_memory() -> int:
    """Return the peak resident memory of this process so far, in bytes.

    On Linux it is read from `/proc`, because `getrusage` starts with the size of the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
