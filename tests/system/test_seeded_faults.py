"""A suite of trainings that a hundred faults disturb ends with the runs that it makes undisturbed.

Every second command makes its runs in two other processes, which need some seconds to start.
"""

import random
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.records.check import verify_all
from harness.records.heartbeat_lock import HeartbeatLock
from harness.runs.unfinished import UNFINISHED
from tests.helpers import forked
from tests.helpers.project import ROOT, TINY

pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.cpu_only(reason="compares runs bit for bit")]
FAULTS = 100
SEEDS = 8
RECIPE = TINY.replace("epochs: 1", "epochs: 6")
STUDENT = RECIPE.replace("name: tiny", "name: student").replace(
    "    criterion", "    teacher: {run: tiny.yaml, seed: 0}\n    criterion"
)
VERIFY = (
    "verify", "tiny.yaml", "student.yaml", "--train", "--seeds", str(SEEDS), "--device", "cpu", "--fail-on", "none",
    "--save-every", "0.1",
)  # fmt: skip
MISSING = 6
"""The least number of runs that are missing when a command starts, so that there is something to disturb."""
DELAY = 1.0
"""The longest time between the first run that a command makes and its fault. One command in five is met at any time."""
ENDS = {0, 4, 143, -signal.SIGTERM, -signal.SIGKILL}  # the process may not have its handlers yet
"""All runs are made, a file is missing or cannot be written, SIGTERM, SIGKILL."""
Fault = Callable[[random.Random, Path, BaseProcess], bool]
"""Disturbs a command, and returns whether it met a run that was being made."""


def kill(chance: random.Random, folder: Path, command: BaseProcess) -> bool:
    makes_runs = _makes_runs(folder)
    command.kill()
    return makes_runs


def terminate(chance: random.Random, folder: Path, command: BaseProcess) -> bool:
    makes_runs = _makes_runs(folder)
    command.terminate()
    return makes_runs


def truncate(chance: random.Random, folder: Path, command: BaseProcess) -> bool:
    """Kill the command and cut off the end of a checkpoint or log."""
    command.kill()
    command.join()
    return any(_change(file, lambda data: data[: chance.randrange(len(data))]) for file in _some_file(chance, folder))


def flip(chance: random.Random, folder: Path, command: BaseProcess) -> bool:
    """Kill the command and change a byte of a checkpoint or log."""

    def flipped(data: bytearray) -> bytearray:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return data

    command.kill()
    command.join()
    return any(_change(file, flipped) for file in _some_file(chance, folder))


def remove(chance: random.Random, folder: Path, command: BaseProcess) -> bool:
    """Remove the folder of a finished or unfinished run, of locks or plans, or of all unfinished runs meanwhile."""
    runs, makes_runs = folder / "runs", _makes_runs(folder)
    folders = [*runs.glob("*/*-seed*"), *(runs / UNFINISHED).glob("*"), runs / UNFINISHED, *runs.glob(".*")]
    shutil.rmtree(chance.choice(folders), ignore_errors=True)
    time.sleep(chance.uniform(0, 1))
    command.kill()
    return makes_runs


def fill_the_disk(chance: random.Random, folder: Path, command: BaseProcess) -> bool:
    """Let no file of the command and its processes become larger than a random size, from now on."""
    makes_runs, size = _makes_runs(folder), chance.randrange(60_000)
    with suppress(psutil.NoSuchProcess):  # the command has ended
        process = psutil.Process(command.pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                resource.prlimit(each.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    command.join(4)
    command.kill()
    return makes_runs


KINDS: tuple[Fault, ...] = (kill, terminate, truncate, flip, remove, fill_the_disk)


def test_a_hundred_faults_change_no_run(tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for folder in (undisturbed, disturbed):
        folder.mkdir()
        (folder / "tiny.yaml").write_text(RECIPE)
        (folder / "student.yaml").write_text(STUDENT)
    assert _ended(_started(undisturbed)) == 0, _errors(undisturbed)
    effective = Counter[tuple[str, bool]]()
    for number in range(FAULTS):
        chance = random.Random(number)  # noqa: S311 - the same faults each time
        fault, has_jobs = KINDS[number // 2 % len(KINDS)], number % 2 == 1
        _leave_work(chance, disturbed)
        command = _started(disturbed, *["--jobs", "2"] * has_jobs)
        end = time.monotonic() + 60
        while number % 5 and not _makes_runs(disturbed) and command.is_alive() and time.monotonic() < end:
            time.sleep(0.02)
        command.join(chance.uniform(0, DELAY))
        effective[fault.__name__, has_jobs] += fault(chance, disturbed, command)
        assert _ended(command) in ENDS, f"fault {number}, {fault.__name__}: {_errors(disturbed)}"
        assert "Traceback" not in _errors(disturbed), f"fault {number}, {fault.__name__}: {_errors(disturbed)}"
        verify_all(disturbed / "runs")  # each record that can be seen is complete
    assert sum(effective.values()) > 0.75 * FAULTS, effective
    assert all(effective[fault.__name__, has_jobs] >= 3 for fault in KINDS for has_jobs in (False, True)), effective
    assert _ended(_started(disturbed)) == 0, _errors(disturbed)
    assert _runs(disturbed) == _runs(undisturbed)
    assert not list((disturbed / "runs").glob("*/.*")), "a half run is left"


def _leave_work(chance: random.Random, folder: Path) -> None:
    """Remove finished runs, as a user may, so that some are missing."""
    runs = sorted((folder / "runs").glob("*/*-seed*"))
    for run in chance.sample(runs, max(0, len(runs) + MISSING - 2 * SEEDS)):
        shutil.rmtree(run, ignore_errors=True)  # a process may write it again


def _started(folder: Path, *options: str) -> BaseProcess:
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ZOO_HOME": str(folder / "home")}
    (folder / "err").write_text("")
    return forked.start(
        folder, environment, (folder / "out", folder / "err"), forked.zoo, *VERIFY, *options,
        "--records", str(folder / "runs"), clean=True,
    )  # fmt: skip


def _ended(command: BaseProcess) -> int | None:
    command.join(300)
    return command.exitcode


def _errors(folder: Path) -> str:
    """Return what the command and its processes have printed to stderr."""
    logs = (folder / "runs").glob(".fleet/*/workers/*.log")
    return "".join(file.read_text() for file in (folder / "err", *logs))


def _makes_runs(folder: Path) -> bool:
    """Return whether a process that is alive makes a run."""
    return any(HeartbeatLock(file).is_held for file in (folder / "runs" / UNFINISHED).glob("*.lock"))


def _some_file(chance: random.Random, folder: Path) -> list[Path]:
    """Return a checkpoint or log of an unfinished run, if there is any. A damaged lock is stale after five minutes."""
    files = sorted(file for file in (folder / "runs" / UNFINISHED).rglob("*") if file.suffix in (".pt", ".jsonl"))
    return [chance.choice(files)] if files else []


def _change(file: Path, change: Callable[[bytearray], bytearray]) -> bool:
    """Change the content of a file, and return whether there was any: other processes may have removed it."""
    try:
        content = bytearray(file.read_bytes())
        if content:
            file.write_bytes(change(content))
    except FileNotFoundError:
        return False
    return bool(content)


def _runs(folder: Path) -> dict[tuple[str, int | None], Any]:
    """Return what was computed, by entry and seed. Fails if a run is there twice, or differs from its files."""
    found = [record for _, record in verify_all(folder / "runs")]
    compared = {
        (record.entry, record.identity.seed): (
            record.identity, record.results, record.weights,
            {name: digest for name, digest in record.files.items() if "log" not in name},
        )
        for record in found
    }  # fmt: skip
    assert len(compared) == len(found) == 2 * SEEDS
    return compared
