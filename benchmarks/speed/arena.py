"""Contenders in processes of their own, which run in turn, round by round, while all others sleep.

What disturbs a machine for a while so meets all of them, and a ratio is taken within a round. Each prepares, is warmed
up, and is measured with as many threads as there are cores. A module names what it times as `benchmarks.speed.x:Name`,
so that a process imports its own program only.
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
    """What a contender does; it is made from the folder of the data and its options, untimed."""

    def begin(self, point: str) -> None:
        """Make ready for one run at this point; untimed."""
        ...

    def run(self) -> None:
        """What is timed."""
        ...

    def found(self) -> Mapping[str, Any]:
        """What came of the run, untimed: `logits` `(N, C)`, `losses` a step, `marks` (seconds) after each step."""
        ...


@dataclass(frozen=True)
class Contender:
    """A program that takes part: its name in the tables, `module:Class` of its work and the options of that."""

    name: str
    work: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One timed run: seconds of the whole, the process's peak resident memory so far (bytes), what came of it."""

    seconds: float
    peak: int
    found: Mapping[str, Any]

    @property
    def steps(self) -> float | None:
        """Seconds a step, without the first, which also pays for what is made once; None where there are no steps."""
        marks = self.found.get("marks", ())
        return (marks[-1] - marks[0]) / (len(marks) - 1) if len(marks) > 1 else None


@dataclass(frozen=True)
class Measured:
    """All rounds of one contender at one point."""

    contender: Contender
    point: str
    runs: Sequence[Run]

    def seconds(self, *, a_step: bool = False) -> list[float]:
        """Of each round: the whole, or a step of it."""
        return [run.steps or run.seconds if a_step else run.seconds for run in self.runs]

    def ratio(self, to: "Measured", *, a_step: bool = False) -> float:
        """The median over the rounds of its time over another's."""
        pairs = zip(self.seconds(a_step=a_step), to.seconds(a_step=a_step), strict=True)
        return median(mine / other for mine, other in pairs)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    return float(low), float(middle), float(high)


def compete(folder: Path, contenders: Sequence[Contender], points: Sequence[str], rounds: int) -> list[list[Measured]]:
    """Measure all contenders at all points, one list a point; raises RuntimeError with what a contender died of."""
    with ready(folder, contenders, points) as connections:
        found: dict[tuple[str, str], list[Run]] = {}
        for number in range(rounds):
            for point in points:
                for place in range(len(contenders)):
                    at = (place + number) % len(contenders)
                    run = asked(contenders[at], connections[at], point)
                    found.setdefault((point, contenders[at].name), []).append(run)
    return [[Measured(one, point, found[point, one.name]) for one in contenders] for point in points]


@contextmanager
def ready(folder: Path, contenders: Sequence[Contender], points: Sequence[str]) -> Iterator[list[Connection]]:
    """Connections to processes that are prepared and warmed up, one after the other."""
    started: list[tuple[Any, Connection]] = []
    try:
        for contender in contenders:
            here, there = SPAWN.Pipe()
            process = SPAWN.Process(target=_serve, args=(there, folder, contender))
            process.start()
            there.close()  # so that the end of the process is the end of the connection
            started.append((process, here))
            for point in points:
                asked(contender, here, point)
        yield [connection for _, connection in started]
    finally:
        for process, connection in started:
            connection.close()
            process.join(timeout=10)
            process.terminate()


def asked(contender: Contender, connection: Connection, point: str) -> Run:
    """One run in a contender's process; raises RuntimeError with what it died of."""
    try:
        connection.send(point)
        answer = connection.recv()
    except (EOFError, BrokenPipeError):
        raise RuntimeError(f"{contender.name} at {point}: its process ended without a word") from None
    if isinstance(answer, str):
        raise RuntimeError(f"{contender.name} at {point}:\n{answer}")  # noqa: TRY004
    return Run(*answer)


def _serve(connection: Connection, folder: Path, contender: Contender) -> None:
    """A contender's process: run at each point that is asked for, until nobody asks any more."""
    multiprocessing.set_start_method(None, force=True)  # workers of a DataLoader start as the system's default has it
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
            connection.send((seconds, peak_memory(), dict(work.found())))
    except EOFError:
        return
    except BaseException:  # whatever a program dies of is told, with where
        connection.send(traceback.format_exc())


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes.

    On Linux not by `getrusage`, which begins with the size of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
