"""Measure contenders in separate processes that take turns, round by round, while the others sleep.

A temporary disturbance of the machine then affects all contenders, and ratios are computed within a round. Each
contender prepares its data, is warmed up, and is measured with one thread per core. The work of a contender is named as
`MODULE:CLASS`, so that its process imports only the program that it measures.
"""

import gc
import importlib
import math
import multiprocessing
import os
import resource
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np

LATE = "out of time"
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
        """Return the results, untimed: `logits` `(N, C)`, `losses` of each step, `marks` of a `StepClock`."""
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
        """Seconds for each step, without the first ones, which include one-time costs; None without steps."""
        marks = self.results.get("marks", ())
        if len(marks) < 2:
            return None
        (first, start), (last, end) = marks[0], marks[-1]
        return float((end - start) / (last - first))


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


@dataclass
class Tolerance:
    """Lets a competition go on without contenders that fail, until a time.

    Attributes:
        deadline: The value of `time.monotonic()` at which the competition ends.
        longest: The most seconds that a contender may take for one run, with its preparation.
        failures: The reason of each failure, by point and name of the contender.
        late: The names of contenders that did not answer in time. They may still answer, so they are asked no more.
    """

    deadline: float = math.inf
    longest: float = math.inf
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)

    @property
    def seconds_left(self) -> float:
        """The seconds until the deadline, at least 0."""
        return max(self.deadline - time.monotonic(), 0.0)


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
                for name, run in take_turns(contenders, connections, point, number):
                    runs.setdefault((point, name), []).append(run)
    return [[Measured(c, point, runs[point, c.name]) for c in contenders] for point in points]


def take_turns(
    contenders: Sequence[Contender],
    connections: Sequence[Connection],
    point: str,
    number: int,
    tolerance: Tolerance | None = None,
) -> Iterator[tuple[str, TimedRun]]:
    """Run each contender once at a point, in another order in each round; yield its name and run.

    With a tolerance, a contender that fails is left out from then on.
    """
    for turn in range(len(contenders)):
        index = (turn + number) % len(contenders)
        run = _tried(contenders[index], connections[index], point, tolerance)
        if run is not None:
            yield contenders[index].name, run


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
        for contender, (_, connection) in zip(contenders, started, strict=True):
            for point in points:
                run_once(contender, connection, point)
        yield [connection for _, connection in started]
    finally:
        for _, connection in started:
            connection.close()
        end = time.monotonic() + 10
        for process, _ in started:
            process.join(timeout=max(end - time.monotonic(), 0))
            process.terminate()


def _tried(contender: Contender, connection: Connection, point: str, tolerance: Tolerance | None) -> TimedRun | None:
    """Run a contender once; with a tolerance return None if it fails or has failed at this point."""
    if tolerance is None:
        return run_once(contender, connection, point)
    key = point, contender.name
    if contender.name in tolerance.late:
        tolerance.failures.setdefault(key, LATE)
    if key in tolerance.failures:
        return None
    try:
        return run_once(contender, connection, point, min(tolerance.seconds_left, tolerance.longest))
    except TimeoutError:
        tolerance.late.add(contender.name)
        tolerance.failures[key] = LATE
    except RuntimeError as error:
        tolerance.failures[key] = str(error)
    return None


def run_once(contender: Contender, connection: Connection, point: str, timeout: float = math.inf) -> TimedRun:
    """Run a contender once in its process.

    Raises:
        TimeoutError: It does not answer within `timeout` seconds.
        RuntimeError: It fails; the message has the traceback.
    """
    if not timeout:
        raise TimeoutError
    try:
        connection.send(point)
        if not connection.poll(None if timeout == math.inf else timeout):
            raise TimeoutError
        answer = connection.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError):
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
    work, failure = None, ""
    try:
        torch = importlib.import_module("torch")
        torch.set_num_threads(os.cpu_count() or 1)
        module, _, name = contender.work.partition(":")
        work = getattr(importlib.import_module(module), name)(folder, **contender.options)
    except Exception:  # the contender then fails at every point, with this reason
        failure = traceback.format_exc()
    with suppress(EOFError):
        while True:
            point = connection.recv()
            connection.send(_answer(work, point) if work is not None else failure)


def _answer(work: Work, point: str) -> tuple[float, int, dict[str, Any]] | str:
    """Run the work once at a point, and return what was measured, or the traceback; another point may work."""
    try:
        return _run(work, point)
    except Exception:
        return traceback.format_exc()


def _run(work: Work, point: str) -> tuple[float, int, dict[str, Any]]:
    """Run the work once at a point. A CUDA device finishes its work before the clock starts and before it stops."""
    cuda = importlib.import_module("torch").cuda
    work.begin(point)
    gc.collect()
    on_cuda = cuda.is_initialized()
    if on_cuda:
        cuda.synchronize()
        cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    work.run()
    if on_cuda:
        cuda.synchronize()
    seconds = time.perf_counter() - start
    device = {"device_bytes": cuda.max_memory_allocated()} if on_cuda else {}
    return seconds, peak_memory(), {**work.results(), **device}


def peak_memory() -> int:
    """Return the peak resident memory of this process so far, in bytes.

    On Linux it is read from `/proc`, because `getrusage` starts with the size of the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
