"""Make a run in one command at a time, in a folder that appears once the run is complete."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.models.devices import reset_peak_memory
from harness.models.environment import deterministic
from harness.models.mps_fallback import collect_fallbacks
from harness.records.heartbeat_lock import LockLostError
from harness.records.lock_file import LockOwner
from harness.records.record import Record
from harness.records.run_folder import new_folder, restore
from harness.runs.run_location import RunLocation, existing_record
from harness.runs.run_lock import HeldLock, run_lock
from harness.runs.storage_errors import storage_errors
from zoo.error_translation import translate_errors
from zoo.files import is_read_only

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LockedRun:
    """A run that no other command can make now."""

    location: RunLocation
    existing: Record | None
    """Its record, if it exists already."""
    lock: HeldLock


@contextmanager
def locked_run(location: RunLocation) -> Iterator[LockedRun]:
    """Lock a run, and yield it with its record if that exists.

    While one command makes a run, another that needs it waits. The folder of its checkpoints is deleted when the block
    ends without an exception. A run that exists in a read-only folder is not locked.

    Raises:
        UsageError: The folder holds another run.
        IntegrityError: A predictions file of the run differs from its record.
    """
    accelerator, report = location.context.accelerator, location.context.report

    def report_owner(owner: LockOwner | None) -> None:
        report(f"{location.entry.name}: waiting for another run of it" + (f" by {owner}" if owner else ""))

    existing = existing_record(location) if is_read_only(location.work) else None
    if existing is not None:
        yield LockedRun(location=location, existing=existing, lock=HeldLock())
        return
    with run_lock(location.work, accelerator, report_owner) as lock:
        if accelerator.is_main_process:
            with suppress(OSError):  # reported when the run is written
                restore(location.folder, location.identity.key)
        accelerator.wait_for_everyone()
        existing = existing_record(location)
        if existing is not None:
            LOGGER.info("%s: the run exists: %s", location.entry.name, location.folder)
        yield LockedRun(location=location, existing=existing, lock=lock)
        if accelerator.is_main_process:
            with suppress(LockLostError), lock.confirmed():
                shutil.rmtree(location.work, ignore_errors=True)


@contextmanager
def new_run(run: LockedRun) -> Iterator[Path]:
    """Yield a temporary folder to make a run in; it becomes the run's folder when the block ends without an exception.

    Inside the block algorithms are deterministic, errors of libraries become errors of the entry, and operations that
    the device lacks are collected.

    Raises:
        LockLostError: Another command has taken over the lock of the run; nothing has appeared.
    """
    location, device = run.location, run.location.context.accelerator.device
    reset_peak_memory(device)
    writes, replaces = location.context.accelerator.is_main_process, location.context.fresh or location.is_rescored
    with (
        translate_errors(location.entry.name),
        storage_errors(location.entry.name, location.folder, location.work),
        deterministic(location.context.options.precision),
        collect_fallbacks(device, location.fallbacks),
        new_folder(
            location.folder, location.identity.key, writes=writes, replaces=replaces, confirmed=run.lock.confirmed
        ) as folder,
    ):
        yield folder
