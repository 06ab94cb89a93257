"""The folder of a run, which appears in one rename when it is complete."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from glob import escape
from pathlib import Path
from uuid import uuid4

from harness.records.record import FILE, REPLACED
from zoo.errors import SourceError


@contextmanager
def new_folder(
    final: Path,
    key: str,
    *,
    writes: bool = True,
    replaces: bool = False,
    confirmed: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[Path]:
    """Yield a temporary folder, and rename it to `final` when the block ends without an exception.

    A reader never sees a half-written folder. After an exception the temporary folder is deleted. No other process uses
    the same one; the leftovers of a killed process with the same key are deleted first.

    Args:
        final: The folder to create.
        key: The key of the record; it is part of the temporary name.
        writes: Whether this process writes. The other processes of a run get a path that they leave alone.
        replaces: Whether an existing folder is replaced.
        confirmed: Returns the context in which the folder is renamed. It raises an error if this process may no longer
            do that.

    Raises:
        SourceError: The folder cannot be written, or it exists, holds something and is not to be replaced.
    """
    hidden, before = _hidden(final, key), _replaced(final, key)
    partial = final.with_name(f"{hidden}.{uuid4().hex[:8]}.partial")
    if not writes:
        yield partial
        return
    try:
        restore(final, key)
        for leftover in final.parent.glob(f"{escape(hidden)}.*partial"):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as error:
        raise SourceError(f"{final}: cannot write there: {error.strerror or error}") from None
    try:
        yield partial
        _sync(partial)
        with confirmed():
            if final.exists() and any(final.iterdir()):  # a rename cannot replace a folder with content
                if not replaces:
                    raise SourceError(f"{final} exists but is not a run: it has no {FILE}. Move the folder away.")
                final.replace(before)
            partial.replace(final)
        _sync_names(final.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):  # the file system may be gone; the next run of this key restores it
            restore(final, key)
            shutil.rmtree(before, ignore_errors=True)


def restore(final: Path, key: str) -> None:
    """Move a run's folder back if a process that was replacing it was killed between the two renames.

    Args:
        final: The folder of the run, which no other process is making now.
        key: The key of its record.

    Raises:
        OSError: The folder cannot be moved.
    """
    before = _replaced(final, key)
    if before.exists() and not final.exists():
        before.replace(final)


def _sync(folder: Path) -> None:
    """Write the files of a folder to the disk, so that after a power failure no run has a part of them."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb" if os.name == "posix" else "r+b") as file:  # Windows syncs what it may write
                os.fsync(file.fileno())
    _sync_names(folder)


def _sync_names(folder: Path) -> None:
    """Write the names in a folder to the disk, where the file system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _hidden(final: Path, key: str) -> str:
    return f".{final.name}-{key[:12]}"


def _replaced(final: Path, key: str) -> Path:
    return final.with_name(f"{_hidden(final, key)}{REPLACED}")
