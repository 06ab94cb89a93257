"""Digests of files."""

import hashlib
from pathlib import Path

from zoo.errors import SourceError


def sha256(path: Path) -> str:
    """SHA-256 of a file; raises SourceError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None


def git_sha1(path: Path) -> str:
    """The SHA-1 by which git, and the Hub of small files, calls a file."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
