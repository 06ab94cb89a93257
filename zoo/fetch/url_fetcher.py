"""Fetch files by URL, and files in archives, each verified against its pin."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import is_zipfile

from zoo.errors import IntegrityError, ZooError
from zoo.fetch.checksum import sha256
from zoo.fetch.fetched import Fetched
from zoo.fetch.local_files import fetched_file
from zoo.fetch.lock import FilePin, Pin
from zoo.fetch.mirror import Mirror, explain_unpinned
from zoo.fetch.named_digest import pin_in_name
from zoo.fetch.pin_store import PinStore
from zoo.fetch.source_types import ArchiveMember, Url
from zoo.fetch.urls import Urls


@dataclass
class FetchedArchives:
    """The results of archives by URL and `Sources.recipe_repo`; each is downloaded once for all of its files."""

    results: dict[tuple[Url, str | None], Fetched | ZooError] = field(default_factory=dict)
    locks: dict[tuple[Url, str | None], threading.Lock] = field(default_factory=dict)


@dataclass(frozen=True)
class UrlFetcher:
    """Fetch files from the folder of downloads, a mirror or their server, and pin those that are new."""

    pins: PinStore
    urls: Urls
    mirror: Mirror | None
    archives: FetchedArchives
    recipe_repo: str | None
    """See `Sources.recipe_repo`: with one, only https URLs of public hosts are allowed."""
    offline: bool = False
    """Whether requests are forbidden."""

    def fetch(self, source: Url, *, is_archive: bool = False) -> Fetched:
        """Return the file at a URL; a wrong one is downloaded once more, and a new one is pinned.

        Raises:
            IntegrityError: The file is not the expected one.
            SourceError: The file cannot be downloaded.
        """
        known_pin = self.pins.known_pin(source)
        pin, faults = known_pin.files.get(source.short_name, FilePin()), list[str]()
        pin = pin.over(pin_in_name(source)) if pin.sha256 is None else pin
        for _ in range(2):
            cached = self.urls.cached(source)
            mirrored = None if faults or cached else self._mirrored(pin)
            with explain_unpinned(self.mirror, str(source), pin.sha256):
                here = cached or (self.urls.named(source, mirrored) if mirrored else None)
                path = here or self.urls.download(source, public_only=self.recipe_repo is not None)
            digest, size = sha256(path), path.stat().st_size
            expected = pin.mismatch(digest, size)
            if expected is None and is_archive and not is_zipfile(path):
                expected = "a zip archive"
            if expected is None:
                seen = Pin(files={source.short_name: FilePin(sha256=digest, size=size)})
                self.pins.remember(source, known_pin, seen, {source.short_name: path})
                return fetched_file(source, path, digest, locked=self.pins.is_locked(source))
            faults.append(f"{source}: expected {expected}, found sha256 {digest}, {size:,} bytes")
            if mirrored is not None and self.mirror is not None and self.offline:
                raise IntegrityError(f"{faults[-1]}{self.mirror.advice}")
            if mirrored is None and not self.urls.owns(path):
                linked = f"{path} leads to {path.resolve()}, outside of zoo's downloads, where zoo changes nothing"
                raise IntegrityError(f"{faults[-1]}; {linked}: delete the link, and try again")
            if mirrored is None:
                path.unlink(missing_ok=True)
        raise IntegrityError(faults[-1])

    def fetch_member(self, source: ArchiveMember) -> Fetched:
        """Return a file in an archive; the archive is downloaded and verified once for all of its files."""
        key, results = (source.archive, self.recipe_repo), self.archives.results
        with self.archives.locks.setdefault(key, threading.Lock()):
            if key not in results:
                try:
                    results[key] = self.fetch(source.archive, is_archive=True)
                except ZooError as error:
                    results[key] = error
        archive = results[key]
        if isinstance(archive, ZooError):
            raise archive
        path, digest = self.urls.extract(source, archive.path)
        return fetched_file(source, path, digest, locked=archive.locked)

    def download_size(self, source: Url) -> int:
        """Return the size in bytes of the file if `fetch` would download it, else 0."""
        pin = self.pins.known_pin(source).files.get(source.short_name, FilePin())
        is_here = self.urls.cached(source) or self._mirrored(pin)
        return 0 if is_here else pin.size or self.urls.size(source, public_only=self.recipe_repo is not None)

    def _mirrored(self, pin: FilePin) -> Path | None:
        return self.mirror.find(pin.sha256, pin.size) if self.mirror is not None else None
