"""Read from a traceback whose code raised an exception, and save tracebacks of bugs."""

import dis
import os
import platform
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from types import TracebackType
from typing import Literal

DISTRIBUTION = "zoo-reproduce"
ROOT = Path(__file__).resolve().parent.parent
PROJECT = tuple(f"{ROOT / package}{os.sep}" for package in ("zoo", "harness", "leaderboard"))
STANDARD_LIBRARY = tuple(f"{Path(sysconfig.get_path(name)).resolve()}{os.sep}" for name in ("stdlib", "platstdlib"))
INSTALLED = frozenset({"site-packages", "dist-packages"})
ISSUE_LABELS = ("issues", "bug tracker", "repository", "homepage")
"""Labels of project URLs where a bug can be reported, the most specific first."""

Owner = Literal["project", "user", "library"]


def raised_by(error: BaseException) -> Owner:
    """Return the owner of the code that raised an exception, by the frames of its traceback.

    The innermost frame outside of libraries decides:

    - It belongs to a user's file: the user's code.
    - It belongs to this project and raised the exception: this project. Two kinds count as a library's, because they
      refuse a value from a recipe: a ValueError raised by a `raise` statement, and a RuntimeError, which torch's
      compiled functions raise (they have no frame of their own).
    - It belongs to this project and called a library that raised: the library.

    Args:
        error: A caught exception. Frames outside of the `try` block are not in its traceback and do not count.
    """
    steps = list(_steps(error.__traceback__))
    owners = [_owner(step) for step in steps]
    nearest: Owner = next((owner for owner in reversed(owners) if owner != "library"), "library")
    if nearest != "project":
        return nearest
    return "library" if owners[-1] == "library" or _refuses_value(error, steps[-1]) else "project"


def save_traceback(error: BaseException) -> Path | None:
    """Write a traceback with the command and the versions to a new file.

    Returns:
        The file, in ZOO_HOME or the system's folder for temporary files; None if neither can be written.
    """
    lines = [
        f"command: {' '.join(sys.argv)}",
        f"{DISTRIBUTION} {project_version()}, Python {platform.python_version()}, torch {_version('torch')}",
        platform.platform(),
        "",
        "".join(traceback.format_exception(error)),
    ]
    for folder in filter(None, (os.environ.get("ZOO_HOME"), tempfile.gettempdir())):
        try:
            return _write_new(Path(folder).expanduser(), "\n".join(lines))
        except OSError:
            continue
    return None


def project_version() -> str:
    """Return the installed version of this project, or `unknown`."""
    return _version(DISTRIBUTION)


def report_address() -> str:
    """Return where to report a bug: a URL of the package's metadata, or else the name of its authors."""
    try:
        data = metadata(DISTRIBUTION)
    except PackageNotFoundError:
        return "the zoo authors"
    pairs = [url.partition(",") for url in data.get_all("Project-URL") or []]
    urls = {label.strip().lower(): url.strip() for label, _, url in pairs}
    return next((urls[label] for label in ISSUE_LABELS if label in urls), str(data["Author"] or "the zoo authors"))


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _owner(step: TracebackType) -> Owner:
    name = step.tb_frame.f_code.co_filename
    if name.startswith("<"):  # generated code, such as the methods of dataclasses and frozen modules
        return "library"
    path = Path(name).resolve()
    if str(path).startswith(PROJECT):
        return "project"
    return "library" if str(path).startswith(STANDARD_LIBRARY) or INSTALLED & set(path.parts) else "user"


def _refuses_value(error: BaseException, step: TracebackType) -> bool:
    if isinstance(error, RuntimeError):
        return not isinstance(error, RecursionError)
    is_raise_statement = step.tb_frame.f_code.co_code[step.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return isinstance(error, ValueError) and is_raise_statement


def _write_new(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix="zoo-error-", suffix=".txt", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return Path(name)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
