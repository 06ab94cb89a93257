"""One folder of runs that many processes read and replace at the same time: nobody sees a part of a run."""

import multiprocessing
import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.records.arrays import read_arrays
from harness.records.check import verify_record
from harness.records.find_runs import find_runs
from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.record import FILE, Record, read_record
from harness.records.run_folder import new_folder
from zoo import paths
from zoo.fetch.checksum import sha256

pytestmark = [pytest.mark.process, pytest.mark.cpu_only(reason="a fork of a process that has used a GPU cannot run")]
FORK = multiprocessing.get_context("fork")
ENTRY = "digits-resnet8"
PREDICTIONS = "predictions-test.npz"
KNOWN = [run.record for run in find_runs(paths.evidence(), ENTRY) if run.name.startswith("retrain")][:6]


@pytest.mark.parametrize(
    ("readers", "writers", "seconds"), [(12, 4, 3.0), pytest.param(200, 8, 60.0, marks=pytest.mark.slow)]
)
def test_no_reader_sees_a_part_of_a_run(readers: int, writers: int, seconds: float, tmp_path: Path) -> None:
    end = time.monotonic() + seconds
    processes = [_started(_write_runs, tmp_path, number, end) for number in range(writers)]
    processes += [_started(_read_runs, tmp_path, number, end) for number in range(readers)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)
    assert len(find_runs(tmp_path, ENTRY)) == len(KNOWN)
    assert not list(tmp_path.glob("*/.*"))
    assert sum(int(file.read_text()) for file in tmp_path.glob("written.*")) > 2 * len(KNOWN)
    assert all(int(file.read_text()) for file in tmp_path.glob("read.*"))


def _started(work: Callable[..., int], folder: Path, number: int, end: float) -> BaseProcess:
    process = FORK.Process(target=_exit_code_of, args=(work, folder, number, end))
    process.start()
    return process


def _exit_code_of(work: Callable[..., int], folder: Path, number: int, end: float) -> None:
    try:
        count = work(folder, random.Random(number), end)  # noqa: S311
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    (folder / f"{'written' if work is _write_runs else 'read'}.{number}").write_text(str(count))


def _write_runs(folder: Path, chance: random.Random, end: float) -> int:
    """Write runs one after the other, each in place of an earlier one of the same seed."""
    count = 0
    while time.monotonic() < end or count < len(KNOWN):
        known = KNOWN[count] if count < len(KNOWN) else chance.choice(KNOWN)
        record = read_record(known)
        lock = HeartbeatLock(folder / "locks" / record.identity.folder)
        assert lock.acquire(120)
        try:
            with new_folder(folder / ENTRY / record.identity.folder, record.identity.key, replaces=True) as partial:
                _write_in_another_order(record, known.with_name(PREDICTIONS), partial, chance)
        finally:
            lock.release()
        count += 1
    return count


def _write_in_another_order(record: Record, predictions: Path, folder: Path, chance: random.Random) -> None:
    """Write a record and its predictions with the rows in another order, so that no two runs have the same files."""
    arrays: dict[str, Any] = read_arrays(predictions)
    order = np.random.default_rng(chance.randrange(2**32)).permutation(len(arrays["labels"]))
    np.savez(folder / PREDICTIONS, **{name: array[order] for name, array in arrays.items()})
    (result,) = record.results
    changed = {**result.predictions, "sha256": sha256(folder / PREDICTIONS)}
    record = replace(record, results=(replace(result, predictions=changed),))
    (folder / FILE).write_text(record.sealed({PREDICTIONS: changed["sha256"]}).to_json())


def _read_runs(folder: Path, chance: random.Random, end: float) -> int:
    """Read the runs that are there, and check each against its files."""
    count = 0
    while time.monotonic() < end or count == 0:
        for run in find_runs(folder, ENTRY):
            verify_record(run.record, read_record(run.record))
            count += 1
        time.sleep(chance.random() / 100)
    return count
