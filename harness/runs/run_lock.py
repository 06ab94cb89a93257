"""The lock that keeps two commands, on one host or on several, from making the same run at the same time."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from harness.records.heartbeat_lock import HeartbeatLock
from harness.records.lock_file import LockOwner
from zoo.errors import SourceError

WAIT = 0.2
"""Seconds to wait for the lock before the processes of torchrun are asked again."""


@dataclass(frozen=True)
class HeldLock:
    """The lock of a run that this command makes; empty in the processes of torchrun other than the main one."""

    lock: HeartbeatLock | None = None

    def check(self) -> None:
        """Raise LockLostError if another command has taken over the lock."""
        if self.lock is not None:
            self.lock.check()

    def confirmed(self) -> AbstractContextManager[None]:
        """Return a context in which no other command can take over the lock; see `HeartbeatLock.confirmed`."""
        return nullcontext() if self.lock is None else self.lock.confirmed()


@contextmanager
def run_lock(work: Path, accelerator: Accelerator, on_wait: Callable[[LockOwner | None], None]) -> Iterator[HeldLock]:
    """Create the work folder of a run and hold its lock; wait while another command holds it.

    In a multi-process run the main process holds the lock for all processes. The folder is deleted at the end unless it
    holds a checkpoint.

    Args:
        work: The folder for the checkpoints of the run. The lock file lies beside it.
        accelerator: The accelerator of this run.
        on_wait: Called once, with the owner, if another command holds the lock.

    Yields:
        The lock. Whoever writes into the folder of the run or of its checkpoints asks it first.

    Raises:
        SourceError: The folder cannot be written.
    """
    lock = HeartbeatLock(Path(f"{work}.lock"))
    is_main, attempts = accelerator.is_main_process, 0
    try:
        while not broadcast_object_list([_acquire(lock, work) if is_main else None])[0]:
            attempts += 1
            if attempts == 1 and is_main:
                on_wait(lock.owner)
        yield HeldLock(lock if is_main else None)
    finally:
        if is_main:
            with suppress(OSError, SourceError), lock.confirmed():  # lost, or its file system is gone
                if not any(work.glob("checkpoint-*.pt")):  # no checkpoint to resume from
                    shutil.rmtree(work, ignore_errors=True)
            lock.release()


def _acquire(lock: HeartbeatLock, work: Path) -> bool:
    """Try once to take the lock, and create the work folder; return whether it succeeded."""
    if not lock.acquire(WAIT):
        return False
    try:
        work.mkdir(exist_ok=True)
    except OSError as error:
        lock.release()
        raise SourceError(f"{work}: cannot write there: {error.strerror or error}") from None
    return True
