"""A lock that processes on several hosts share: a file that names its owner and is touched every 30 seconds.

Locks of the operating system do not work on every network file system, and do not say who holds them. This lock is a
file that is created only if it does not exist. It is stale, and may be taken over, if its owner is a process of this
host that has ended, or if nobody has touched it for 5 minutes. The time is that of the file server. A process that
waits must also have watched the file for 90 seconds itself, so that no jump of a clock makes a lock stale.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.records.lock_file import (
    STALE,
    LockFile,
    LockOwner,
    age,
    claim_removal,
    delete_files,
    modification_times,
    new_content,
    read_lock_file,
    token_of,
    write_whole,
)
from harness.records.process_identity import ProcessIdentity
from zoo.errors import SourceError
from zoo.files import is_disk_full

HEARTBEAT = 30.0
"""The seconds between two touches of a lock."""
WATCHED = 90.0
"""The seconds that a process watches a lock before it takes over one that nobody touches."""
POLL = 0.05
"""The seconds between two attempts to take a lock."""


class LockLostError(SourceError):
    """Another process has taken over the lock, because this one did not touch it for 5 minutes."""


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
            found = read_lock_file(self.path)
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
            found = read_lock_file(self.path)
        return found.owner if found else None

    @property
    def is_held(self) -> bool:
        """Whether a process that may be alive holds the lock: it touched the file in the last 5 minutes.

        Nothing is written, so that anybody who can read the folder may ask. So the time of the file server is unknown:
        it is taken to be that of this machine, or that of the newest file in the folder if that is later.
        """
        with self._errors():
            found = read_lock_file(self.path)
            if found is None or (found.owner is not None and self._is_dead(found.owner.process)):
                return False
            return max(time.time_ns(), *modification_times(self.path.parent)) - found.modified < STALE * 1e9

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
            claims = claim_removal(self.path, self._token, self._is_dead) if self._token else None
        try:
            self.check()
            if claims is None:
                raise LockLostError(self._lost())
            yield
        finally:
            delete_files(claims or [])

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
        content = new_content()
        token, name = token_of(content), f"lock {self.path.name}"
        try:
            if not write_whole(self.path, content):
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
        found = read_lock_file(self.path)
        return found is not None and found.token == self._token

    def _is_stale(self, found: LockFile) -> bool:
        if found.owner is not None and self._is_dead(found.owner.process):
            return True
        now = self._clock()
        if self._watched != (found.token, found.modified):
            self._watched, self._watched_since, self._stale_at = (found.token, found.modified), now, None
        if self._stale_at is None and now - self._watched_since >= self._seconds_to_watch:
            untouched = age(self.path, found.modified)
            self._stale_at = min(now + STALE - untouched, self._watched_since + STALE)
        return self._stale_at is not None and now >= self._stale_at

    def _remove(self, token: str) -> bool:
        """Delete the lock file if it is the one with this token; return whether this process did that."""
        claims = claim_removal(self.path, token, self._is_dead)
        if claims is None:
            return False
        try:
            found = read_lock_file(self.path)
            if found is None or found.token != token:
                return False
            self.path.unlink(missing_ok=True)
            return True
        finally:
            delete_files(claims)

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
