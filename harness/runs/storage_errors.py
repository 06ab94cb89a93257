"""Say what to do when a run cannot be written: a full disk, a read-only folder, or a file system that is gone."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import SourceError
from zoo.files import is_disk_full

GONE = {errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.ENODEV, errno.EHOSTDOWN, errno.EREMOTEIO}
"""What the system reports when a file system has been unmounted, or its server does not answer."""
AGAIN = "run the same command again to resume from the last checkpoint, if there is one"


@contextmanager
def storage_errors(name: str, *folders: Path) -> Iterator[None]:
    """Turn an error of storing a run into a SourceError that names the file and says what to do.

    Args:
        name: The entry's name, with which messages start.
        *folders: The folders that the run writes, that of its record first. Errors with other files pass unchanged.
    """
    try:
        yield
    except Exception as error:
        advice = _advice(error, folders)
        if advice is None:
            raise
        found = _os_error(error)
        file = (found and found.filename) or folders[0].parent
        problem = "No space left on device" if is_disk_full(error) else found and (found.strerror or found)
        raise SourceError(f"{name}: {file}: {problem}; {advice}") from error


def _advice(error: Exception, folders: tuple[Path, ...]) -> str | None:
    """Return what to do about an error; None if it is not one of storing a run."""
    found = _os_error(error)
    if is_disk_full(error):
        return f"free some space, and {AGAIN}"
    if found is None or not _is_below(found.filename, folders):
        return None
    if found.errno in GONE:
        return f"the file system does not answer; mount it again, and {AGAIN}"
    if found.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"make the folder writable, or pass another one to --records, and {AGAIN}"
    if found.errno == errno.ENOENT and not all(_is_there(folder.parent) for folder in folders):
        return f"a folder is gone, perhaps because its file system is no longer mounted; {AGAIN}"
    return None


def _os_error(error: BaseException | None) -> OSError | None:
    """Return the error of the system, or the one that an error of a library hides."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _is_below(file: str | bytes | int | None, folders: tuple[Path, ...]) -> bool:
    return isinstance(file, str) and any(Path(file).is_relative_to(folder.parent) for folder in folders)


def _is_there(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:
        return False
