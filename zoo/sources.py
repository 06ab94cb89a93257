"""Bytes by source, verified before anything reads them.

embedded:FILE   a file of the starter suite, shipped in this package and pinned in `configs/zoo.lock`
file:PATH       a file of your own; not pinned, its digest goes into the record
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo import places
from zoo.errors import IntegrityError, SourceError, UsageError, did_you_mean

SCHEMES = ("embedded:", "file:")


@dataclass(frozen=True)
class Fetched:
    """A verified local file and the SHA-256 of what is in it."""

    source: str
    path: Path
    sha256: str


def fetch(source: str) -> Fetched:
    """The bytes of a source as a local file.

    Raises IntegrityError where they are not the locked ones, SourceError where they cannot be had, and UsageError for a
    source that is written wrongly.
    """
    if source.startswith("embedded:"):
        name = source.removeprefix("embedded:")
        locked = lock()["sources"]["embedded:"]["files"]
        if name not in locked:
            raise UsageError(f"{source} is not in {places.configs() / 'zoo.lock'}{did_you_mean(name, list(locked))}")
        return _verified(source, places.PACKAGE / "starter" / name, locked[name])
    if source.startswith("file:"):
        path = Path(source.removeprefix("file:")).expanduser()
        return Fetched(source, path, sha256(path))
    raise UsageError(f"{source!r} is not a source; write {' or '.join(f'{scheme}NAME' for scheme in SCHEMES)}")


def lock() -> dict[str, Any]:
    """The committed lock: size and SHA-256 of every file that shipped recipes name."""
    path = places.configs() / "zoo.lock"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path}: the lock cannot be read: {error}") from None
    return data


def sha256(path: Path) -> str:
    """SHA-256 of a file; raises SourceError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None


def _verified(source: str, path: Path, locked: dict[str, Any]) -> Fetched:
    found = sha256(path)
    if found != locked["sha256"]:
        raise IntegrityError(f"{path}: expected sha256 {locked['sha256']}, found {found}")
    return Fetched(source, path, found)
