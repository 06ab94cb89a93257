"""Turn exceptions of libraries, of the operating system and of user code into errors with one line for the user."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from zoo.errors import InternalError, SourceError, UsageError, ZooError, first_line
from zoo.files import is_disk_full
from zoo.tracebacks import project_version, raised_by, report_address, save_traceback


@contextmanager
def translate_errors(name: str, *, library_errors_are_bugs: bool = False) -> Iterator[None]:
    """Turn any exception in the block into a ZooError.

    An OSError or MemoryError becomes a SourceError. An exception from user code, or from a library that
    refuses a value, becomes a UsageError. An exception from this project becomes an InternalError. With ZOO_DEBUG
    set, exceptions pass unchanged, so that Python prints the traceback.

    Args:
        name: What the block works on, such as an entry's name. The message starts with it.
        library_errors_are_bugs: Whether an exception from a library is a bug of this project too, because the block
            passes no values of the user to libraries.
    """
    try:
        yield
    except ZooError:
        raise
    except Exception as error:
        if os.environ.get("ZOO_DEBUG"):
            raise
        raise _translated(name, error, library_errors_are_bugs) from error


def _translated(name: str, error: Exception, library_errors_are_bugs: bool) -> ZooError:
    if is_disk_full(error) and getattr(error, "filename", None) is None:
        return SourceError(f"{name}: No space left on device")
    if isinstance(error, OSError):
        parts = (name, error.filename, error.strerror or error)
        return SourceError(": ".join(str(part) for part in parts if part is not None))
    if isinstance(error, MemoryError):
        return SourceError(f"{name}: out of memory")
    summary = f"{type(error).__name__}: {first_line(error)}"
    owner = raised_by(error)
    if owner == "project" or (owner == "library" and library_errors_are_bugs):
        return _internal_error(name, error, summary)
    return UsageError(f"{name}: {summary} (set ZOO_DEBUG=1 to see the traceback)")


def _internal_error(name: str, error: Exception, summary: str) -> InternalError:
    path = save_traceback(error)
    saved = f"the traceback is in {path}" if path else "its traceback could not be saved; set ZOO_DEBUG=1 to see it"
    report = f"please report it to {report_address()} with {'that file and ' if path else ''}the output of `zoo env`"
    return InternalError(
        f"{name}: internal error: {summary}; this is a bug in zoo {project_version()}: {saved}; {report}"
    )
