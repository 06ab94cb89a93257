"""The file of a lock: created whole, read, and removed by one process alone.

Whoever removes a lock, its owner or a process that takes it over, first creates a claim: a file whose name contains the
digest of this very lock. Only one process can create it. So two processes cannot both take over a stale lock, and
nobody removes the lock of a new owner.
"""

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from harness.records.process_identity import ProcessIdentity, current_process
from zoo.files import is_disk_full

STALE = 300.0
"""The seconds without a touch after which a lock is stale."""
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""The error numbers of file systems without hard links."""


@dataclass(frozen=True, kw_only=True)
class LockOwner:
    """The process that holds a lock."""

    process: ProcessIdentity
    since: float
    """When it took the lock, in seconds since 1970 by its clock. Only for messages."""

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"process {self.process.pid} on {self.process.host} (since {since})"


@dataclass(frozen=True, kw_only=True)
class LockFile:
    """A lock file as it was read."""

    token: str
    """The digest of its content, which is another one for every acquisition."""
    modified: int
    owner: LockOwner | None
    """None if the owner was killed before it had written the file."""


def new_content() -> bytes:
    """Return the content of a new lock file, which no other has."""
    owner = LockOwner(process=current_process(), since=time.time())
    return json.dumps({"format": "zoo-lock-1", "id": uuid4().hex, **asdict(owner)}, indent=1).encode()


def token_of(content: bytes) -> str:
    """Return the token of a lock file with this content: its digest."""
    return hashlib.sha256(content).hexdigest()[:16]


def write_whole(path: Path, content: bytes) -> bool:
    """Create a file that has its content from its first moment on; return False if it exists.

    A process that is killed meanwhile leaves no lock without an owner, except on file systems without hard links.
    """
    if path.exists():
        return False
    whole = path.with_name(f".{path.name}.{uuid4().hex}.new")
    try:
        _write_new(whole, content)
        with suppress(FileExistsError):
            os.link(whole, path)
        return whole.stat().st_nlink == 2  # of this process: a server may have linked it, and its answer was lost
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return _write_new(path, content)
    finally:
        whole.unlink(missing_ok=True)


def _write_new(path: Path, content: bytes) -> bool:
    """Create a file with this content; return False if it exists. After an error the file does not exist."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o644)
    except FileExistsError:
        return False
    try:
        try:
            if os.write(descriptor, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)  # a network file system reports a full disk here
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return True


def read_lock_file(path: Path) -> LockFile | None:
    """Return a lock file, or None if it does not exist or is replaced while it is read."""
    try:
        with path.open("rb") as file:
            content, status = file.read(), os.fstat(file.fileno())
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return None
        raise
    try:
        data = json.loads(content)
        owner = LockOwner(process=ProcessIdentity(**data["process"]), since=float(data["since"]))
        return LockFile(token=token_of(content), modified=status.st_mtime_ns, owner=owner)
    except (ValueError, KeyError, TypeError):
        token = token_of(content + f"{status.st_ino} {status.st_mtime_ns}".encode())
        return LockFile(token=token, modified=status.st_mtime_ns, owner=None)


def age(path: Path, modified: int) -> float:
    """Return the seconds since a time stamp by the clock of the file server: that of a file that is created now."""
    probe = path.with_name(f".{path.name}.probe-{uuid4().hex}")
    try:
        _write_new(probe, b"")
        return (probe.stat().st_mtime_ns - modified) / 1e9
    finally:
        probe.unlink(missing_ok=True)


def modification_times(folder: Path) -> Iterator[int]:
    """Yield the times of the files in a folder, in nanoseconds since 1970."""
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # deleted meanwhile
            yield file.stat().st_mtime_ns


def claim_removal(path: Path, token: str, is_dead: Callable[[ProcessIdentity], bool]) -> list[Path] | None:
    """Claim the right to remove the lock with this token; return the claim and those of killed processes before it.

    Returns:
        The files to delete when the lock is removed; None if another process has the claim.
    """
    claims: list[Path] = []
    while True:
        claims.append(path.with_name(f".{path.name}.{token}.{len(claims)}"))
        if _write_claim(claims[-1]):
            return claims
        found = read_lock_file(claims[-1])
        if found is None:  # its owner has just deleted it, and has removed the lock
            return None
        is_killed = found.owner is not None and is_dead(found.owner.process)
        if not is_killed and age(path, found.modified) < STALE:
            return None


def _write_claim(path: Path) -> bool:
    """Create a claim; on a full disk an empty one, which can still be claimed again when it is stale."""
    try:
        return _write_new(path, new_content())
    except OSError as error:
        if not is_disk_full(error):
            raise
        return _write_new(path, b"")


def delete_files(files: list[Path]) -> None:
    """Delete files. One that cannot be deleted stays."""
    for file in files:
        with suppress(OSError):
            file.unlink(missing_ok=True)
