"""The folder of a run, which appears in one rename when it is complete."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.records.record import FILE
from zoo.errors import SourceError


@contextmanager
def new_folder(final: Path, key: str, *, writes: bool = True, replaces: bool = False) -> Iterator[Path]:
    """Yield a temporary folder, and rename it to `final` when the block ends without an exception.

    A reader never sees a half-written folder. After an exception the temporary folder is deleted. The leftovers of a
    killed process with the same key are deleted first.

    Args:
        final: The folder to create.
        key: The key of the record; it makes the temporary name unique.
        writes: Whether this process writes. The other processes of a run get the same path and leave it alone.
        replaces: Whether an existing folder is replaced.

    Raises:
        SourceError: The folder cannot be written, or it exists, holds something and is not to be replaced.
    """
    partial, before = (final.with_name(f".{final.name}-{key[:12]}.{stage}") for stage in ("partial", "replaced"))
    if not writes:
        yield partial
        return
    try:
        _restore(before, final)  # a process may have been killed between the two renames
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as error:
        raise SourceError(f"{final}: cannot write there: {error.strerror or error}") from None
    try:
        yield partial
        if final.exists() and any(final.iterdir()):  # a rename cannot replace a folder with content
            if not replaces:
                raise SourceError(f"{final} exists but is not a run: it has no {FILE}. Move the folder away.")
            final.replace(before)
        partial.replace(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _restore(before, final)
        shutil.rmtree(before, ignore_errors=True)


def _restore(before: Path, final: Path) -> None:
    """Move the replaced folder back if the new one did not take its place."""
    if before.exists() and not final.exists():
        before.replace(final)
