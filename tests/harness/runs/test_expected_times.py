"""What earlier runs say about the time and memory of new ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.records.find_runs import find_runs
from harness.records.record import FILE, Mode, read_record
from harness.runs import expected_times
from harness.runs.expected_times import EarlierRuns, ExpectedTime
from zoo import paths

KNOWN = read_record(find_runs(paths.evidence(), "digits-resnet8")[0].record)
Add = Callable[..., None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Write a run into the folder `runs` or `committed`."""
    monkeypatch.setattr(expected_times.paths, "evidence", lambda: tmp_path / "committed")

    def write(
        folder: str, entry: str, seconds: float, *, mode: Mode = "weights", gpu: str = "", **changes: int
    ) -> None:
        numerics = {**KNOWN.identity.numerics, "device": "cuda" if gpu else "cpu"}
        count = len(find_runs(tmp_path / folder, entry))
        cost = {"seconds": seconds, "peak_memory_bytes": 10**9, **changes}
        record = replace(
            KNOWN, entry=entry, cost=cost, identity=replace(KNOWN.identity, mode=mode, seed=count, numerics=numerics),
            environment={**KNOWN.environment, "device": gpu or "cpu", "threads": 1},
        ).sealed({})  # fmt: skip
        file = tmp_path / folder / entry / record.identity.folder / FILE
        file.parent.mkdir(parents=True)
        file.write_text(record.to_json())

    return write


def test_the_median_of_the_users_runs_comes_first(add: Add, tmp_path: Path) -> None:
    for seconds in (10.0, 11.0, 90.0):
        add("runs", "a", seconds)
    add("committed", "a", 500.0)
    assert EarlierRuns(tmp_path / "runs").expected_time("a", "weights") == ExpectedTime(
        seconds=11.0, measured_on="here"
    )
    assert EarlierRuns(tmp_path / "runs").expected_time("a", "retrain") == ExpectedTime()


def test_a_time_of_another_device_is_scaled_by_the_entries_that_were_run_on_both(add: Add, tmp_path: Path) -> None:
    for entry, on_cpu, on_gpu in (("a", 100.0, 10.0), ("b", 200.0, 40.0), ("c", 300.0, 90.0)):
        add("committed", entry, on_cpu)
        add("runs", entry, on_gpu, gpu="NVIDIA H100")
    add("committed", "d", 1000.0)
    earlier = EarlierRuns(tmp_path / "runs", "cuda")
    assert earlier.expected_time("d", "weights") == ExpectedTime(
        seconds=pytest.approx(200.0), measured_on="cpu, 1 thread", scale=pytest.approx(0.2), scaled_by=3
    )
    assert EarlierRuns(tmp_path / "runs", "cpu").expected_time("d", "weights") == ExpectedTime(
        seconds=1000.0, measured_on="cpu, 1 thread"
    )


def test_the_machine_with_the_most_entries_in_common_gives_the_time(add: Add, tmp_path: Path) -> None:
    for entry, gpu in (("a", "A100"), ("b", "A100"), ("c", "T4")):
        add("committed", entry, 100.0, gpu=gpu)
        add("runs", entry, 50.0)
    for gpu, seconds in (("A100", 10.0), ("T4", 70.0)):
        add("committed", "d", seconds, gpu=gpu)
    found = EarlierRuns(tmp_path / "runs", "cpu").expected_time("d", "weights")
    assert (found.measured_on, found.seconds, found.scaled_by) == ("A100", 5.0, 2)


def test_a_run_of_another_device_is_not_one_of_here(add: Add, tmp_path: Path) -> None:
    add("runs", "a", 7.0)
    found = EarlierRuns(tmp_path / "runs", "cuda").expected_time("a", "weights")
    assert found == ExpectedTime(seconds=7.0, measured_on="cpu, 1 thread")


def test_the_largest_memory_of_process_and_gpu_is_known(add: Add, tmp_path: Path) -> None:
    add("committed", "a", 1.0, peak_memory_bytes=9 * 10**9)
    assert EarlierRuns(tmp_path / "runs").memory("a", "weights") == (9 * 10**9, None)
    add("runs", "b", 1.0, gpu="NVIDIA H100", peak_memory_bytes=2 * 10**9, device_peak_memory_bytes=5 * 10**9)
    add("runs", "b", 1.0, gpu="NVIDIA H100", peak_memory_bytes=3 * 10**9, device_peak_memory_bytes=4 * 10**9)
    assert EarlierRuns(tmp_path / "runs").memory("b", "weights") == (3 * 10**9, 5 * 10**9)
    assert EarlierRuns(tmp_path / "runs").memory("c", "weights") == (None, None)
