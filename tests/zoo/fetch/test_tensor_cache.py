"""The tensor cache is bounded, and survives full disks, killed processes and simultaneous writers."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor

from zoo.fetch.tensor_cache import cached_tensors


def test_the_oldest_files_are_deleted_when_the_cache_is_full(tmp_path: Path) -> None:
    for number in range(5):
        cached_tensors(tmp_path, str(number), lambda: {"x": torch.zeros(1000)}, limit=9000)
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["3", "4"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")])
def test_tensors_that_cannot_be_written_are_returned_all_the_same(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(tensors: Any, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise error

    monkeypatch.setattr("zoo.fetch.tensor_cache.save_file", full)
    assert cached_tensors(tmp_path / "full", "key", lambda: {"x": torch.ones(1)}) == {"x": torch.ones(1)}
    assert not list((tmp_path / "full").iterdir())
    (tmp_path / "file").write_text("not a folder")
    assert cached_tensors(tmp_path / "file", "key", lambda: {"x": torch.ones(1)}) == {"x": torch.ones(1)}


def test_half_written_files_of_killed_processes_are_deleted_after_a_day(tmp_path: Path) -> None:
    old, new = (f".{name}.safetensors.1-2-3.partial" for name in ("old", "new"))
    for name, age in ((old, 2 * 86400), (new, 60)):
        (tmp_path / name).write_bytes(b"half of it")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    cached_tensors(tmp_path, "key", lambda: {"x": torch.ones(1)})
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == [".new.safetensors.1", "key"]


def test_files_that_the_cache_did_not_write_are_never_deleted(tmp_path: Path) -> None:
    for name in (".gitignore", "my-model.safetensors"):
        (tmp_path / name).write_bytes(b"mine")
        os.utime(tmp_path / name, (0, 0))
    cached_tensors(tmp_path, "key", lambda: {"x": torch.ones(1)}, limit=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "my-model.safetensors"]


def test_two_threads_that_compute_the_same_tensors_leave_one_file(tmp_path: Path) -> None:
    both = Barrier(2)

    def make() -> dict[str, Tensor]:
        both.wait(10)
        return {"x": torch.arange(100_000)}

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: cached_tensors(tmp_path, "key", make)["x"], range(2)))
    assert all(torch.equal(one, torch.arange(100_000)) for one in results)
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["key"]
    assert torch.equal(cached_tensors(tmp_path, "key", dict)["x"], torch.arange(100_000))
