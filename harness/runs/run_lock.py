"""A file lock that keeps two commands from making the same run at the same time."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout

from zoo.errors import SourceError

POLL = 0.2
"""Seconds to wait for the lock in one attempt."""


@contextmanager
def run_lock(work: Path, accelerator: Accelerator, on_wait: Callable[[], None]) -> Iterator[None]:
    """Create the work folder of a run and hold its lock; wait while another command holds it.

    The operating system releases the lock when the process ends, however it ends. In a multi-process run the main
    process holds the lock for all processes. The folder is deleted at the end unless it holds a checkpoint.

    Args:
        work: The folder for the checkpoints of the run. The lock file lies beside it.
        accelerator: The accelerator of this run.
        on_wait: Called once if another command holds the lock.

    Raises:
        SourceError: The folder cannot be written.
    """
    lock = FileLock(f"{work}.lock")
    attempts = 0
    while not broadcast_object_list([_acquire(lock, work) if accelerator.is_main_process else None])[0]:
        attempts += 1
        if attempts == 1 and accelerator.is_main_process:
            on_wait()
    try:
        yield
    finally:
        if accelerator.is_main_process:
            if not any(work.glob("checkpoint-*.pt")):  # no checkpoint to resume from
                shutil.rmtree(work, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)  # a waiting command notices and creates a new lock file
            lock.release()


def _acquire(lock: FileLock, work: Path) -> bool:
    """Try once to take the lock, and create the work folder; return whether it succeeded."""
    try:
        work.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=POLL, poll_interval=POLL / 4)
        work.mkdir(exist_ok=True)
    except Timeout:
        return False
    except OSError as error:
        raise SourceError(f"{work}: cannot write there: {error.strerror or error}") from None
    return True
