"""Checksums of files."""

import hashlib
from pathlib import Path

from zoo.errors import SourceError


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file; raises SourceError if the file cannot be read."""
    try:
        if path.exists() and not path.is_file():  # a device or a pipe may never end
            raise SourceError(f"{path}: not a file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None


def git_sha1(file: Path | bytes) -> str:
    """Return the SHA-1 that git gives a file, or its content; the Hub lists small files by it."""
    data = file if isinstance(file, bytes) else file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
