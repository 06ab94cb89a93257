"""A lock that processes on several hosts share: a file that names its owner and is touched every 30 seconds.

Locks of the operating system do not work on every network file system, and do not say who holds them. This lock is a
file that is created only if it does not exist. It is stale, and may be taken over, if its owner is a process of this
host that has ended, or if nobody has touched it for 5 minutes. The time is that of the file server. A process that
waits must also have watched the file for 90 seconds itself, so that no jump of a clock makes a lock stale.

Whoever removes a lock, its owner or a process that takes it over, first creates a claim: a file whose name contains the
digest of this very lock. Only one process can create it. So two processes cannot both take over a stale lock, and
nobody removes the lock of a new owner.
"""

import errno
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from harness.records.process_identity import ProcessIdentity, current_process
from zoo.errors import SourceError
from zoo.files import is_disk_full

HEARTBEAT = 30.0
"""The seconds between two touches of a lock."""
STALE = 300.0
"""The seconds without a touch after which a lock is stale."""
WATCHED = 90.0
"""The seconds that a process watches a lock before it takes over one that nobody touches."""
POLL = 0.05
"""The seconds between two attempts to take a lock."""
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links answer."""


class LockLostError(SourceError):
    """Another process has taken over the lock, because this one did not touch it for 5 minutes."""


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
class _LockFile:
    """A lock file as it was read."""

    token: str
    """The digest of its content, which is another one for every acquisition."""
    modified: int
    owner: LockOwner | None
    """None if the owner was killed before it had written the file."""


class HeartbeatLock:
    """A lock file. The process that holds it touches it in a thread."""

    def __init__(
        self,
        path: Path,
        *,
        watched: float = WATCHED,
        option: str = "--records",
        clock: Callable[[], float] = time.monotonic,
        is_dead: Callable[[ProcessIdentity], bool] = ProcessIdentity.is_dead,
    ) -> None:
        """Describe the lock, without taking it.

        Args:
            path: The lock file. Its folder is created.
            watched: The seconds to watch a lock of an owner that is not known to be dead; 0 for a lock that is never
                held for long.
            option: The option that chooses another folder, for messages.
            clock: Returns the seconds by a clock that never jumps.
            is_dead: Returns whether a process is one of this host that has ended.
        """
        self.path, self._clock, self._is_dead = path, clock, is_dead
        self._seconds_to_watch, self._option = watched, option
        self._token: str | None = None
        self._released = threading.Event()
        self._watched: tuple[str, int] | None = None
        self._watched_since = 0.0
        self._stale_at: float | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free or stale, and return whether this process holds it now.

        A process that waits calls this again and again on the same object, which remembers how long the lock has not
        been touched.

        Raises:
            SourceError: The file cannot be written.
        """
        with self._errors():
            if self._create():
                return True
            found = _read(self.path)
            return found is not None and self._is_stale(found) and self._remove(found.token) and self._create()

    def acquire(self, seconds: float) -> bool:
        """Try to take the lock for that long, and return whether this process holds it now. Raise SourceError."""
        end = self._clock() + seconds
        while not self.try_acquire():
            if self._clock() >= end:
                return False
            time.sleep(POLL)
        return True

    @property
    def owner(self) -> LockOwner | None:
        """The process that holds the lock now; None if the lock is free."""
        with self._errors():
            found = _read(self.path)
        return found.owner if found else None

    @property
    def is_held(self) -> bool:
        """Whether a process that may be alive holds the lock: it touched the file in the last 5 minutes.

        Nothing is written, so that anybody who can read the folder may ask. So the time of the file server is unknown:
        it is taken to be that of this machine, or that of the newest file in the folder if that is later.
        """
        with self._errors():
            found = _read(self.path)
            if found is None or (found.owner is not None and self._is_dead(found.owner.process)):
                return False
            return max(time.time_ns(), *_times(self.path.parent)) - found.modified < STALE * 1e9

    def check(self) -> None:
        """Touch the lock. Raise LockLostError if another process has taken it over."""
        with self._errors():
            if not self._is_mine():
                raise LockLostError(self._lost())
            os.utime(self.path)

    @contextmanager
    def confirmed(self) -> Iterator[None]:
        """Make sure that nobody takes over the lock while the block runs, which should take an instant.

        Raises:
            LockLostError: Another process has taken over the lock.
            SourceError: The file cannot be written.
        """
        with self._errors():
            claims = _claim(self.path, self._token, self._is_dead) if self._token else None
        try:
            self.check()
            if claims is None:
                raise LockLostError(self._lost())
            yield
        finally:
            _delete(claims or [])

    def release(self) -> None:
        """Delete the lock file if this process still holds the lock. A file that cannot be deleted becomes stale."""
        self._released.set()
        token, self._token = self._token, None
        if token is not None:
            with suppress(OSError):
                self._remove(token)

    def _create(self) -> bool:
        """Create the lock file and start to touch it; return False if it exists."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = _content()
        token, name = _digest(content), f"lock {self.path.name}"
        try:
            if not _write_whole(self.path, content):
                return False
            self._token, self._released = token, threading.Event()
            threading.Thread(target=self._touch, args=(self._released,), daemon=True, name=name).start()
        except BaseException:  # a signal may come after the file was created
            self._released.set()
            with suppress(OSError):
                self._remove(token)
            self._token = None
            raise
        return True

    def _touch(self, released: threading.Event) -> None:
        while not released.wait(HEARTBEAT):
            try:
                self.check()
            except LockLostError:
                return
            except SourceError:  # a server that does not answer may do so later
                continue

    def _is_mine(self) -> bool:
        found = _read(self.path)
        return found is not None and found.token == self._token

    def _is_stale(self, found: _LockFile) -> bool:
        if found.owner is not None and self._is_dead(found.owner.process):
            return True
        now = self._clock()
        if self._watched != (found.token, found.modified):
            self._watched, self._watched_since, self._stale_at = (found.token, found.modified), now, None
        if self._stale_at is None and now - self._watched_since >= self._seconds_to_watch:
            untouched = _age(self.path, found.modified)
            self._stale_at = min(now + STALE - untouched, self._watched_since + STALE)
        return self._stale_at is not None and now >= self._stale_at

    def _remove(self, token: str) -> bool:
        """Delete the lock file if it is the one with this token; return whether this process did that."""
        claims = _claim(self.path, token, self._is_dead)
        if claims is None:
            return False
        try:
            found = _read(self.path)
            if found is None or found.token != token:
                return False
            self.path.unlink(missing_ok=True)
            return True
        finally:
            _delete(claims)

    def _lost(self) -> str:
        advice = "Nothing more was written. Run the same command again to use that work, or to go on with it"
        if owner := self.owner:
            why = f"this process did not touch its lock for {STALE / 60:.0f} minutes, and {owner} took it over"
        elif self.path.parent.exists():
            why = "somebody deleted this lock while it was held"
        else:
            why = "the folder is gone, perhaps because a file system is no longer mounted"
        return f"{self.path}: {why}. {advice}"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn an OSError into one that says what to do."""
        try:
            yield
        except OSError as error:
            advice = "free some space" if is_disk_full(error) else "make the folder writable"
            problem = f"{self.path}: cannot write the lock: {error.strerror or error}"
            raise SourceError(f"{problem}; {advice}, or pass another folder to {self._option}") from None


def _content() -> bytes:
    """Return the content of a new lock file, which no other has."""
    owner = LockOwner(process=current_process(), since=time.time())
    return json.dumps({"format": "zoo-lock-1", "id": uuid4().hex, **asdict(owner)}, indent=1).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _write_whole(path: Path, content: bytes) -> bool:
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


def _read(path: Path) -> _LockFile | None:
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
        return _LockFile(token=_digest(content), modified=status.st_mtime_ns, owner=owner)
    except (ValueError, KeyError, TypeError):
        token = _digest(content + f"{status.st_ino} {status.st_mtime_ns}".encode())
        return _LockFile(token=token, modified=status.st_mtime_ns, owner=None)


def _age(path: Path, modified: int) -> float:
    """Return the seconds since a time stamp by the clock of the file server: that of a file that is created now."""
    probe = path.with_name(f".{path.name}.probe-{uuid4().hex}")
    try:
        _write_new(probe, b"")
        return (probe.stat().st_mtime_ns - modified) / 1e9
    finally:
        probe.unlink(missing_ok=True)


def _times(folder: Path) -> Iterator[int]:
    """Yield the times of the files in a folder, in nanoseconds since 1970."""
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # deleted meanwhile
            yield file.stat().st_mtime_ns


def _claim(path: Path, token: str, is_dead: Callable[[ProcessIdentity], bool]) -> list[Path] | None:
    """Claim the right to remove the lock with this token; return the claim and those of killed processes before it.

    Returns:
        The files to delete when the lock is removed; None if another process has the claim.
    """
    claims: list[Path] = []
    while True:
        claims.append(path.with_name(f".{path.name}.{token}.{len(claims)}"))
        if _write_claim(claims[-1]):
            return claims
        found = _read(claims[-1])
        if found is None:  # its owner has just deleted it, and has removed the lock
            return None
        is_killed = found.owner is not None and is_dead(found.owner.process)
        if not is_killed and _age(path, found.modified) < STALE:
            return None


def _write_claim(path: Path) -> bool:
    """Create a claim; on a full disk an empty one, which can still be claimed again when it is stale."""
    try:
        return _write_new(path, _content())
    except OSError as error:
        if not is_disk_full(error):
            raise
        return _write_new(path, b"")


def _delete(files: list[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink(missing_ok=True)
