"""The SHA-256 of many local files, each read once and then remembered as long as the file does not change.

A file counts as unchanged if its path, inode, size and both of its times, in nanoseconds, are unchanged. The memory may
be lost at any time; the files are then read again.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import time_ns

from zoo import paths
from zoo.errors import SourceError
from zoo.fetch.checksum import sha256
from zoo.files import write_atomically

SETTLED_NS = 2_000_000_000
"""A file that changed within this many nanoseconds may change again without a new time stamp."""
State = list[int]
"""The inode, the size in bytes, and the times of the last change of the content and of the inode."""


def remembered_digests(files: Sequence[Path], folder: Path) -> list[str]:
    """Return the SHA-256 of files, in their order. Only new and changed files are read.

    Args:
        files: The files.
        folder: The folder that they belong to. The digests of one folder are stored in one file of the
            user's cache.

    Raises:
        SourceError: A file cannot be read.
    """
    memory = paths.home() / "cache" / "digests" / f"{hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()}.json"
    known = _read(memory)
    with ThreadPoolExecutor() as pool:
        current = dict(zip(map(str, files), pool.map(lambda file: _digest(file, known), files), strict=True))
    if any(known.get(name) != entry for name, entry in current.items()):
        settled = {name: entry for name, entry in current.items() if _is_settled(entry[0])}
        with suppress(OSError):
            write_atomically(memory, json.dumps({**known, **settled}))
    return [current[str(file)][1] for file in files]


def _read(memory: Path) -> dict[str, tuple[State, str]]:
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
        return {name: (state, digest) for name, (state, digest) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _digest(file: Path, known: dict[str, tuple[State, str]]) -> tuple[State, str]:
    try:
        status = file.stat()
    except OSError as error:
        raise SourceError(f"{file}: {error.strerror or error}") from None
    state = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    remembered = known.get(str(file))
    return remembered if remembered is not None and remembered[0] == state else (state, sha256(file))


def _is_settled(state: State) -> bool:
    return time_ns() - max(state[2:]) > SETTLED_NS
