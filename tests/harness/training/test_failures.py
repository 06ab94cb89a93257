"""A training meets a full disk, a file system that is gone, or damaged checkpoints: a plain error, and it goes on."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.records.heartbeat_lock import HeartbeatLock, LockLostError
from harness.records.record import read_record
from harness.training.gradients import accumulate_gradients
from tests.helpers.project import CompletedCommand, Write, Zoo
from tests.helpers.training import log_lines

COMMAND = ("train", "tiny.yaml", "--out", "out", "--save-every", "0")
AGAIN = "run the same command again to resume from the last checkpoint, if there is one"
FULL = f"No space left on device; free some space, and {AGAIN}"
READ_ONLY = f"Read-only file system; make the folder writable, or pass another one to --records, and {AGAIN}"
GONE = f"Stale file handle; the file system does not answer; mount it again, and {AGAIN}"
UNFINISHED = Path("home/runs/.unfinished")


undisturbed: dict[str, Any] = {}
"""The outcome of a training that meets no failure, once a test has needed it."""


def failing(function: Callable[..., Any], number: int, *, call: int = 0, name: str = "") -> Callable[..., Any]:
    """Return a function that raises this error at a call, counted from 0, with a path of this name."""
    calls = iter(range(call, -1, -1))

    def counted(*arguments: Any, **options: Any) -> Any:
        is_named = not name or getattr(arguments[0], "name", None) == name
        if is_named and next(calls, None) == 0:
            raise OSError(number, os.strerror(number))
        return function(*arguments, **options)

    return counted


PLACES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "log.jsonl": (os, "fsync", {"call": 8}),  # the files are synced in turn
    "checkpoint-0.pt": (torch, "save", {"call": 5}),
    "predictions-test.npz": (Path, "write_bytes", {"name": "predictions-test.npz"}),
    "record.json": (Path, "write_text", {"name": "record.json"}),
}


def check_that_it_goes_on(zoo: Zoo, completed: CompletedCommand) -> None:
    """Check that a failed command left nothing visible, and that the same command ends like an undisturbed one."""
    assert completed.code == 4
    assert not Path("out").exists()
    assert list(UNFINISHED.glob("*.lock")) == []
    assert [path for path in Path().rglob("*.partial") if "unfinished" not in str(path)] == []
    again = zoo(*COMMAND)
    assert again.code == 0, again.err
    assert list(UNFINISHED.iterdir()) == []
    if not undisturbed:
        assert zoo("train", "tiny.yaml", "--out", "whole").code == 0
        undisturbed.update(outcome("whole"))
    assert outcome("out") == undisturbed


def outcome(folder: str) -> dict[str, Any]:
    """Return what a run has written, without times."""
    names = ("model.safetensors", "predictions-test.npz")
    return {"log": log_lines(folder), **{name: Path(folder, name).read_bytes() for name in names}}


@pytest.mark.parametrize(
    ("place", "number", "message"),
    [
        *((place, errno.ENOSPC, FULL) for place in PLACES),
        ("checkpoint-0.pt", errno.EROFS, READ_ONLY),
        ("log.jsonl", errno.ESTALE, GONE),
        ("record.json", errno.ESTALE, GONE),
    ],
)
def test_a_file_that_cannot_be_written_is_named_and_the_next_command_goes_on(
    place: str, number: int, message: str, zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe_file()
    owner, name, when = PLACES[place]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing(getattr(owner, name), number, **when))
        completed = zoo(*COMMAND)
    assert len(completed.lines) == 1, completed.err
    assert f"/{place}: {message}" in completed.err
    check_that_it_goes_on(zoo, completed)


def disturb(patch: pytest.MonkeyPatch, call: int, disturbance: Callable[[], object]) -> None:
    """Let something happen before a step, counted from 0."""
    calls = iter(range(call, -1, -1))

    def disturbed(*arguments: Any) -> Any:
        if next(calls, None) == 0:
            disturbance()
        return accumulate_gradients(*arguments)

    patch.setattr("harness.training.train.accumulate_gradients", disturbed)


def test_a_folder_that_vanishes_is_reported(zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe_file()
    with monkeypatch.context() as patch:
        disturb(patch, 5, lambda: shutil.rmtree(UNFINISHED))
        completed = zoo(*COMMAND)
    assert "the folder is gone, perhaps because a file system is no longer mounted" in completed.lines[0]
    assert len(completed.lines) == 1
    UNFINISHED.mkdir(exist_ok=True)
    check_that_it_goes_on(zoo, completed)


def test_a_command_that_lost_its_lock_writes_no_checkpoint_and_no_run(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command has taken over while this one was paused for more than 5 minutes."""
    recipe_file()
    new: list[HeartbeatLock] = []

    def take_over() -> None:
        (lock,) = UNFINISHED.glob("*.lock")
        lock.unlink()
        new.append(HeartbeatLock(lock))
        assert new[0].try_acquire()

    with monkeypatch.context() as patch:
        disturb(patch, 5, take_over)
        completed = zoo(*COMMAND)
    assert "did not touch its lock for 5 minutes, and process" in completed.err
    (folder,) = (path for path in UNFINISHED.iterdir() if path.is_dir())
    steps = [torch.load(path, weights_only=True)["steps"] for path in folder.glob("checkpoint-*.pt")]
    assert sorted(steps) == [4, 5]
    new[0].check()
    new[0].release()
    check_that_it_goes_on(zoo, completed)


def test_a_lost_lock_is_noticed_before_a_record_appears(
    zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe_file()

    def lost(lock: HeartbeatLock) -> Any:
        raise LockLostError("lost")

    with monkeypatch.context() as patch:
        patch.setattr(HeartbeatLock, "confirmed", lost)
        completed = zoo(*COMMAND)
    assert completed.lines == ["lost"]
    check_that_it_goes_on(zoo, completed)


@pytest.mark.parametrize(("damaged", "said"), [(1, "resuming after step 4 of 15"), (2, "starts again from step 0")])
def test_damaged_checkpoints_are_replaced_by_the_older_one_or_by_a_new_training(
    damaged: int, said: str, zoo: Zoo, recipe_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe_file()
    with monkeypatch.context() as patch:
        disturb(patch, 5, lambda: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        completed = zoo(*COMMAND)
    files = sorted(UNFINISHED.glob("*/checkpoint-*.pt"), reverse=True)  # the odd one is the newest
    for file in files[:damaged]:
        file.write_bytes(file.read_bytes()[:1000])
    again = zoo(*COMMAND)
    assert (again.code, again.err.count("this checkpoint is damaged and left out")) == (0, damaged)
    assert said in again.err
    shutil.rmtree("out")
    check_that_it_goes_on(zoo, completed)


def test_a_run_whose_replacement_was_killed_is_found_and_not_made_again(zoo: Zoo, recipe_file: Write) -> None:
    command = ("train", recipe_file(), "--records", "runs")
    assert zoo(*command).code == 0
    (record,) = Path("runs").glob("*/*/record.json")
    folder, before = record.parent, record.read_bytes()
    key = read_record(record).identity.key
    folder.rename(folder.with_name(f".{folder.name}-{key[:12]}.replaced"))
    done = zoo(*command)
    assert done.code == 0, done.err
    assert record.read_bytes() == before
    assert not list(folder.parent.glob(".*"))
