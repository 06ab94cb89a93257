"""A lock file for several hosts: never two owners, and takeover from owners that ended or that nobody hears of."""

import errno
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.records import heartbeat_lock, lock_file
from harness.records.heartbeat_lock import HEARTBEAT, WATCHED, HeartbeatLock, LockLostError
from harness.records.lock_file import STALE
from harness.records.process_identity import ProcessIdentity, current_process
from zoo.errors import SourceError

FORK = get_context("fork")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "work.lock"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def held(path: Path) -> Iterator[HeartbeatLock]:
    lock = HeartbeatLock(path)
    assert lock.try_acquire()
    yield lock
    lock.release()


def written_by(path: Path, process: ProcessIdentity) -> None:
    """Write the lock of another process."""
    path.write_text(json.dumps({"id": "1", "process": vars(process), "since": 0.0}))


def on_another_host(path: Path) -> None:
    written_by(path, replace(current_process(), host="node7"))


def age(path: Path, seconds: float) -> None:
    """Let a file have been touched that long ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_only_one_of_two_has_the_lock(path: Path, held: HeartbeatLock) -> None:
    other = HeartbeatLock(path)
    assert not other.try_acquire()
    held.release()
    assert names(path) == []
    assert other.try_acquire()
    other.release()
    assert names(path) == []


def test_the_owner_is_named(path: Path, held: HeartbeatLock) -> None:
    owner = held.owner
    assert owner is not None
    assert owner.process == current_process()
    assert str(owner).startswith(f"process {os.getpid()} on {owner.process.host} (since 20")
    held.release()
    assert held.owner is None


@pytest.mark.process
def test_the_lock_of_a_dead_process_is_taken_at_once(path: Path) -> None:
    def work() -> None:
        assert HeartbeatLock(path).try_acquire()
        time.sleep(60)

    process = FORK.Process(target=work)
    process.start()
    wait_until(path.exists)
    lock = HeartbeatLock(path)
    assert not lock.try_acquire()
    process.kill()
    wait_until(lock.try_acquire)  # at once, although its parent has not waited for it yet
    process.join()
    lock.release()
    assert names(path) == []


def test_a_reused_process_number_is_not_the_owner(path: Path) -> None:
    written_by(path, replace(current_process(), started=current_process().started - 1))
    lock = HeartbeatLock(path)
    assert lock.try_acquire()
    lock.release()


@pytest.mark.parametrize("change", [{"host": "node7"}, {"boot": "other"}, {"namespace": "pid:[1]"}], ids=str)
def test_a_process_of_another_host_boot_or_container_is_not_taken_for_dead(change: dict[str, str]) -> None:
    assert not replace(current_process(), pid=2**22 + 1, **change).is_dead()
    assert replace(current_process(), pid=2**22 + 1).is_dead()


def test_an_untouched_lock_is_taken_over_after_five_minutes(path: Path, clock: Clock) -> None:
    on_another_host(path)
    lock = HeartbeatLock(path, clock=clock)
    age(path, STALE - 120)
    assert not lock.try_acquire()
    clock.seconds = WATCHED
    assert not lock.try_acquire()  # 120 s are missing
    clock.seconds = WATCHED + 119
    assert not lock.try_acquire()
    clock.seconds = WATCHED + 121
    assert lock.try_acquire()
    lock.release()
    assert names(path) == []


def test_a_lock_for_an_instant_needs_no_watching(path: Path) -> None:
    on_another_host(path)
    lock = HeartbeatLock(path, watched=0.0)
    assert not lock.acquire(0.1)
    age(path, STALE + 1)
    assert HeartbeatLock(path, watched=0.0).acquire(0.1)
    path.unlink()


def test_a_touch_starts_the_five_minutes_again(path: Path, clock: Clock) -> None:
    on_another_host(path)
    lock = HeartbeatLock(path, clock=clock)
    for seconds in range(0, 1000, int(HEARTBEAT)):
        clock.seconds = seconds
        age(path, 1000 + seconds)  # another time each time, and always long ago
        assert not lock.try_acquire()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_jump_of_any_clock_takes_no_lock_from_a_living_owner(
    hours: int, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_another_host(path)
    lock = HeartbeatLock(path, clock=clock)
    assert not lock.try_acquire()
    wall_clock = time.time
    monkeypatch.setattr(time, "time", lambda: wall_clock() + 3600 * hours)
    for beat in range(1, 30):
        clock.seconds = beat * HEARTBEAT
        then = wall_clock() - 3600 * hours + beat  # as if the server's clock had jumped after the touch
        os.utime(path, (then, then))
        assert not lock.try_acquire()


def test_a_server_whose_clock_jumped_back_delays_a_takeover_by_five_minutes_at_most(path: Path, clock: Clock) -> None:
    on_another_host(path)
    age(path, -3600)
    lock = HeartbeatLock(path, clock=clock)
    for seconds in (0.0, WATCHED, STALE - 1):
        clock.seconds = seconds
        assert not lock.try_acquire()
    clock.seconds = STALE
    assert lock.try_acquire()
    lock.release()


def test_the_age_is_measured_by_a_probe_file_that_is_deleted(path: Path, held: HeartbeatLock) -> None:
    age(path, 1000)
    assert lock_file.age(path, path.stat().st_mtime_ns) == pytest.approx(1000, abs=30)
    assert names(path) == ["work.lock"]


def test_the_owner_touches_its_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat_lock, "HEARTBEAT", 0.02)
    lock = HeartbeatLock(path)
    assert lock.try_acquire()
    age(path, 1000)
    before, end = path.stat().st_mtime_ns, time.monotonic() + 10
    while path.stat().st_mtime_ns == before:
        assert time.monotonic() < end
        time.sleep(0.01)
    lock.release()
    assert names(path) == []


def taken_over(path: Path, clock: Clock) -> HeartbeatLock:
    """Take the lock from an owner that did not touch it."""
    age(path, 1000)
    other = HeartbeatLock(path, clock=clock)
    assert not other.try_acquire()
    clock.seconds += WATCHED
    assert other.try_acquire()
    return other


def test_an_owner_that_lost_its_lock_notices_and_leaves_the_new_one_alone(
    path: Path, held: HeartbeatLock, clock: Clock
) -> None:
    other, done = taken_over(path, clock), []
    with pytest.raises(LockLostError, match=f"did not touch its lock for 5 minutes, and process {os.getpid()} on"):
        held.check()
    with pytest.raises(LockLostError, match="Run the same command again"), held.confirmed():
        done.append("published")
    assert done == []
    held.release()
    other.check()
    assert names(path) == ["work.lock"]
    other.release()


def test_nobody_takes_over_a_lock_while_its_owner_publishes(path: Path, held: HeartbeatLock, clock: Clock) -> None:
    other = HeartbeatLock(path, clock=clock)
    with held.confirmed():
        age(path, 1000)
        assert not other.try_acquire()
        clock.seconds += WATCHED
        assert not other.try_acquire()
    assert other.try_acquire()
    other.release()
    assert names(path) == []


@pytest.mark.parametrize("gone", ["file", "folder"])
def test_a_lock_that_is_deleted_is_reported(gone: str, tmp_path: Path) -> None:
    lock = HeartbeatLock(tmp_path / "folder" / "work.lock")
    assert lock.try_acquire()
    lock.path.unlink()
    if gone == "folder":
        lock.path.parent.rmdir()
    expected = {"file": "somebody deleted this lock", "folder": "the folder is gone, perhaps"}
    with pytest.raises(LockLostError, match=expected[gone]):
        lock.check()
    lock.release()


def test_an_owner_killed_before_it_wrote_its_lock_is_replaced_in_the_end(path: Path, clock: Clock) -> None:
    path.touch()
    lock = HeartbeatLock(path, clock=clock)
    age(path, 1000)
    assert not lock.try_acquire()
    clock.seconds = WATCHED
    assert lock.try_acquire()
    lock.release()
    assert names(path) == []


@pytest.mark.parametrize("content", [b"", b"half a cl"])
def test_a_claim_of_a_killed_process_does_not_keep_the_lock_forever(content: bytes, path: Path, clock: Clock) -> None:
    on_another_host(path)
    found = lock_file.read_lock_file(path)
    assert found is not None
    claim = path.with_name(f".{path.name}.{found.token}.0")
    claim.write_bytes(content)
    lock = HeartbeatLock(path, clock=clock, is_dead=lambda process: True)
    assert not lock.try_acquire()
    age(claim, STALE + 1)
    assert lock.try_acquire()
    lock.release()
    assert names(path) == []


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "No space left on device; free some space, or pass another folder to --records"),
        (errno.EROFS, "Read-only file system; make the folder writable, or pass another folder to --records"),
    ],
)
@pytest.mark.parametrize("call", ["open", "write"])
def test_a_lock_that_cannot_be_written_is_a_plain_error_and_leaves_no_file(
    call: str, number: int, advice: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(SourceError) as raised:
            HeartbeatLock(path).try_acquire()
    assert str(raised.value) == f"{path}: cannot write the lock: {advice}"
    assert names(path) == []


@pytest.mark.parametrize("call", ["open", "write", "link", "unlink"])
def test_a_signal_while_a_lock_is_taken_leaves_no_file(call: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = getattr(os, call)
    signals = [KeyboardInterrupt]

    def interrupted(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        if signals:
            raise signals.pop()
        return result

    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(KeyboardInterrupt):
        HeartbeatLock(path).try_acquire()
    assert names(path) == [] or call == "open"  # an open file without a name in Python is left, but is no lock
    assert not path.exists()
    assert HeartbeatLock(path).try_acquire()


def test_a_lock_has_its_owner_from_its_first_moment_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    link = os.link

    def look(*arguments: Any) -> None:
        seen.append(path.exists())
        link(*arguments)
        seen.append(HeartbeatLock(path).owner is not None)

    monkeypatch.setattr(os, "link", look)
    assert HeartbeatLock(path).try_acquire()
    assert seen == [False, True]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EEXIST])
def test_a_lock_works_without_hard_links_and_if_an_answer_is_lost(
    number: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def answer(*arguments: Any) -> None:
        if number == errno.EEXIST:
            link(*arguments)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", answer)
    lock, other = HeartbeatLock(path), HeartbeatLock(path)
    assert lock.try_acquire()
    assert not other.try_acquire()
    lock.release()
    assert names(path) == []


def test_a_lock_is_released_on_a_full_disk(path: Path, held: HeartbeatLock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, content: 0)
    with held.confirmed():
        pass
    held.release()
    assert names(path) == []


def contend(path: Path, owners: "Synchronized[int]", most: "Synchronized[int]", until: float, stale: float) -> None:
    """Take, hold and release the lock until the time is up; or let it become stale, as a killed process would."""
    turns = 0
    while time.monotonic() < until:
        lock = HeartbeatLock(path, is_dead=lambda process: process.host == "killed")
        if not lock.try_acquire():
            continue
        with lock.confirmed(), owners.get_lock():
            owners.value += 1
        most.value = max(most.value, owners.value)
        time.sleep(0.0005)
        with lock.confirmed(), owners.get_lock():
            owners.value -= 1
        turns += 1
        if turns % 3 == 0 and stale:
            kill(lock)
        lock.release()


def kill(lock: HeartbeatLock) -> None:
    """Leave the lock as a process that was killed does; every other process may take it over now."""
    data = json.loads(lock.path.read_bytes())
    data["process"]["host"] = "killed"
    partial = lock.path.with_name(f"{os.getpid()}.partial")
    partial.write_text(json.dumps(data))
    partial.replace(lock.path)


@pytest.mark.process
@pytest.mark.parametrize("stale", [False, True], ids=["released", "released or killed"])
def test_eight_processes_never_have_the_lock_at_the_same_time(stale: bool, path: Path) -> None:
    owners, most = FORK.Value("i", 0), FORK.Value("i", 0)
    arguments = (path, owners, most, time.monotonic() + 2, stale)
    processes = [FORK.Process(target=contend, args=arguments) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    assert (owners.value, most.value) == (0, 1)


@pytest.mark.process
def test_a_paused_owner_that_wakes_up_does_not_publish(path: Path, clock: Clock) -> None:
    published = path.with_name("published")

    def work() -> None:
        lock = HeartbeatLock(path)
        assert lock.try_acquire()
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            with lock.confirmed():
                published.touch()
        except LockLostError:
            os._exit(4)

    process = FORK.Process(target=work)
    process.start()
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    other = taken_over(path, clock)
    os.kill(int(process.pid or 0), signal.SIGCONT)
    process.join(30)
    assert (process.exitcode, published.exists()) == (4, False)
    other.check()
    other.release()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
