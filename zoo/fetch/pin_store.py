"""Pins of sources on this machine: those of the lock, and those that were added at first use."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.fetch.cache_folder import CacheFolder
from zoo.fetch.lock import FilePin, Lock, Pin
from zoo.fetch.source_types import (
    ArchiveMember,
    Embedded,
    HubRepo,
    LocalFile,
    ParsedSource,
    Url,
    UserFolder,
    pinned_source,
)
from zoo.progress import TRUSTED, Report


@dataclass(frozen=True)
class PinStore:
    """Read pins, and write those of sources that are used for the first time."""

    lock: Lock
    hub_address: str
    report: Report
    reported: set[str]
    """The sources that were reported as trusted on first use."""
    cache: CacheFolder | None = None
    """The cache that files are read from, or added to."""

    def known_pin(self, source: ParsedSource) -> Pin:
        """Return the pin of a source: that of the lock, completed by that of the first use on this machine."""
        return self.lock.pin(str(pinned_source(source)), self._endpoint(source))

    def locked(self, source: ParsedSource) -> Pin:
        """Return the pin that the lock has for a source."""
        return self.lock.locked(str(pinned_source(source)))

    def is_locked(self, source: ParsedSource) -> bool:
        """Return whether the lock itself pins a source."""
        if isinstance(source, Embedded):
            return True
        pin = self.locked(source)
        if isinstance(source, HubRepo):
            return pin.revision is not None
        return any(file.sha256 is not None for file in pin.files.values())

    def pinned_by(self, source: ParsedSource) -> str:
        """Return what pins a source: `lock`, `first use`, or `-` for a source that is not pinned."""
        if isinstance(source, LocalFile | UserFolder):
            return "-"
        if self.is_locked(source):
            return "lock"
        pin = self.known_pin(source)
        seen = pin.revision if isinstance(source, HubRepo) else any(file.sha256 for file in pin.files.values())
        return "first use" if seen else "-"

    def remember(
        self,
        source: HubRepo | Url,
        known_pin: Pin,
        seen: Pin,
        files: Mapping[str, Path] | None = None,
        *,
        silent: bool = False,
    ) -> None:
        """Pin the files that the lock does not pin, and report a source that is trusted for the first time.

        Args:
            source: The source that was read.
            known_pin: Its pin before.
            seen: Its present commit and files.
            files: The verified files by name, for a cache that is being filled.
            silent: Report nothing, because nothing is trusted that the source does not name itself.
        """
        if self.cache is not None:
            self.cache.keep(str(source), seen, files or {})
        new = [name for name, pin in seen.files.items() if known_pin.files.get(name, FilePin()).sha256 != pin.sha256]
        has_moved = seen.revision != known_pin.revision
        if new or has_moved or not seen.wants.items() <= known_pin.wants.items():
            self._trust(source, seen)
        trusted = [name for name in new if known_pin.files.get(name, FilePin()).etag_sha256 is None]
        name = _name(source, seen)
        if (trusted or has_moved) and not silent and name not in self.reported:
            self.reported.add(name)
            self.report(f"{name}: {TRUSTED}")

    def _trust(self, source: HubRepo | Url, seen: Pin) -> None:
        """Pin a source on this machine, unless a cache folder pins it at a commit of its own."""
        cached = self.lock.cached_pin(str(source)).revision
        known = self.lock.trusted(self._endpoint(source)).get(str(source), Pin()).revision
        if cached is None or known in (None, cached):
            self.lock.trust(str(source), self._endpoint(source), seen)

    def _endpoint(self, source: ParsedSource) -> str:
        pinned = source.archive if isinstance(source, ArchiveMember) else source
        return pinned.origin if isinstance(pinned, Url) else self.hub_address


def _name(source: HubRepo | Url, seen: Pin) -> str:
    """Return a source with the start of its commit, which stands for a revision that is the full commit."""
    if not isinstance(source, HubRepo) or seen.revision is None:
        return str(source)
    return f"{source.without_revision if source.commit else source} at {seen.revision[:12]}"
