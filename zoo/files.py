"""List files, and write them so that a reader, or a crash, never sees a half-written one."""

import errno
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = re.compile(r"\.(.+)\.\d+-\d+-\d+\.partial")
"""The name of a temporary file of `partial_file`."""
ADMINISTRATOR = 0
"""The user id of root, who can change every file anyway."""


def is_of_stranger(path: Path, folder: Path) -> bool:
    """Return whether a file that was found, or the link that leads to it, belongs to a user who is not trusted.

    In a shared folder such as `/tmp` anybody can put a file, or a link to a file of another user. This user, root and
    the owner of the working folder are trusted: in a container the checkout often has another owner than the process.

    Args:
        path: The file.
        folder: The working folder.

    Raises:
        OSError: The file does not exist.
    """
    if not hasattr(os, "geteuid"):  # Windows
        return False
    trusted = {os.geteuid(), ADMINISTRATOR, folder.stat().st_uid}
    return not {path.lstat().st_uid, path.stat().st_uid} <= trusted


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path lies in a folder, after all links in both are followed."""
    return path.resolve().is_relative_to(folder.resolve())


def files_below(folder: Path, *, hidden: bool = True) -> Iterator[Path]:
    """Yield all files in a folder and its subfolders, without an order.

    Links to files and folders are followed, except a link to a folder that contains it.

    Args:
        folder: The folder.
        hidden: Whether hidden files and folders are included, see `is_hidden`.

    Raises:
        OSError: A folder cannot be listed.
    """
    yield from _files_below(folder, hidden, frozenset(map(str, folder.resolve().parents)))


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is not meant to be seen: its name starts with a dot, or macOS made it."""
    return name.startswith(".") or name == "__MACOSX"


def _files_below(folder: Path, hidden: bool, above: frozenset[str]) -> Iterator[Path]:
    above |= {os.path.realpath(folder)}
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        if not hidden and is_hidden(entry.name):
            continue
        path = folder / entry.name
        if not entry.is_dir():
            yield path
        elif not entry.is_symlink() or os.path.realpath(path) not in above:  # a link to a folder above is a circle
            yield from _files_below(path, hidden, above)


def link_or_copy(target: Path, link: Path) -> None:
    """Make `link` lead to a file, or a copy of it where links are not allowed, as for most users of Windows.

    Raises:
        OSError: Neither can be made.
    """
    try:
        link.symlink_to(target)
    except OSError:
        shutil.copyfile(target, link)


def is_read_only(folder: Path) -> bool:
    """Return whether nothing can be written into a folder; if it does not exist, whether it cannot be created."""
    existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if os.path.exists(each))  # noqa: PTH110
    return not os.access(existing, os.W_OK)


def undecodable_byte(error: UnicodeDecodeError) -> tuple[int, int]:
    """Return the line, from 1, of the first byte that is not text, and the byte."""
    return error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, for a file whose final name is known only when it is written.

    The folder is created if it is missing. The block renames the file itself; what it does not rename is deleted.

    Args:
        path: The file that the temporary name is made from.

    Yields:
        The temporary path, a hidden file. No other process or thread uses the same one.

    Raises:
        OSError: The folder or the file cannot be written. If the disk is full, whatever a library makes of that, the
            error is one that names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unique = f"{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}"
    partial = path.with_name(f".{path.name}.{unique}.partial")
    try:
        yield partial
    except Exception as error:
        if is_disk_full(error):
            raise OSError(errno.ENOSPC, "No space left on device", str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def final_name(name: str) -> str:
    """Return the name that a temporary file of `partial_file` would have got; any other name as it is."""
    return match[1] if (match := PARTIAL.fullmatch(name)) else name


@contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Add the path to an OSError of the block that names no file: writing to an open file raises such errors."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error, or one that it hides, says that a disk is full; torch and safetensors hide it."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if is_full or "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


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
