"""Write files so that a reader, or a crash, never sees a half-written one."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path lies in a folder, after all links in both are followed."""
    return path.resolve().is_relative_to(folder.resolve())


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, for a file whose final name is known only when it is written.

    The folder is created if it is missing. The block renames the file itself; what it does not rename is deleted.

    Args:
        path: The file that the temporary name is made from.

    Yields:
        The temporary path, a hidden file. No other process or thread uses the same one.

    Raises:
        OSError: The folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unique = f"{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}"
    partial = path.with_name(f".{path.name}.{unique}.partial")
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` when the block ends without an exception.

    The folder is created if it is missing. After an exception the temporary file is deleted and `path` is unchanged.

    Args:
        path: The file to create or to replace.

    Yields:
        The temporary path. The block must create this file.

    Raises:
        OSError: The folder or the file cannot be written.
    """
    with partial_file(path) as partial:
        yield partial
        partial.replace(path)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Create or replace a file in one step; text is written as UTF-8. Raises OSError."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
