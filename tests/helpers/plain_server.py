"""A file on a plain web server, and helpers to fetch it."""

import errno
import hashlib
from collections.abc import Callable

from zoo.fetch.lock import FilePin, Pin
from zoo.fetch.sources import Sources

DATA = b"not very many weights" * 9_000
SHA = hashlib.sha256(DATA).hexdigest()
MakeUrlSources = Callable[..., Sources]


def pinned(url: str, **pin: object) -> dict[str, Pin]:
    """Return a lock of this pin for the URL of `weights.pt`."""
    return {url: Pin(files={"weights.pt": FilePin(**pin)})}  # type: ignore[arg-type]


def raise_disk_full(*_: object) -> None:
    """Stand in for a function that writes to a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")
