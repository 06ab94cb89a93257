"""Versions of the file formats that zoo reads: a file of a newer version is refused with the command that helps."""

from pathlib import Path
from typing import Any

from zoo.errors import UsageError
from zoo.tracebacks import DISTRIBUTION, project_version

UPGRADE = f"upgrade zoo: run `git pull` in its clone, or upgrade the package {DISTRIBUTION}"


def newer_schema(kind: str, found: Any, newest: int) -> str | None:
    """Return the problem of a file whose schema this version of zoo does not know yet, or None.

    Args:
        kind: What the file is, such as `record`.
        found: The value of its key `schema`.
        newest: The newest schema that this version reads.
    """
    if not isinstance(found, int) or isinstance(found, bool) or found <= newest:
        return None
    reads = f"zoo {project_version()} reads schemas up to {newest}"
    return f"the {kind} has schema {found}, but {reads}; {UPGRADE}"


def refuse_newer_schema(path: Path, data: Any, newest: int, kind: str) -> None:
    """Raise UsageError if the data of a JSON file have a newer schema than this version of zoo knows."""
    if isinstance(data, dict) and (problem := newer_schema(kind, data.get("schema"), newest)):
        raise UsageError(f"{path}: {problem}")
