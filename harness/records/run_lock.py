"""One command at a time on one run."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout

from zoo.errors import SourceError

POLL = 0.2
"""Seconds between two tries for a lock."""


@contextmanager
def run_lock(work: Path, accelerator: Accelerator, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of the folder `work`, which is made; `wait` is called once if another command holds it.

    The lock is the operating system's, so it ends with the process that holds it, however that ends. One process of
    many takes it for all of them.
    """
    lock = FileLock(f"{work}.lock")
    tries = 0
    while not broadcast_object_list([_taken(lock, work) if accelerator.is_main_process else None])[0]:
        tries += 1
        if tries == 1 and accelerator.is_main_process:
            wait()
    try:
        yield
    finally:
        if accelerator.is_main_process:
            if not any(work.glob("checkpoint-*.pt")):  # nothing to go on from
                shutil.rmtree(work, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)  # whoever waits for it sees that, and makes a new one
            lock.release()


def _taken(lock: FileLock, work: Path) -> bool:
    try:
        work.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=POLL, poll_interval=POLL / 4)
        work.mkdir(exist_ok=True)
    except Timeout:
        return False
    except OSError as error:
        raise SourceError(f"{work}: cannot write there: {error.strerror or error}") from None
    return True
