"""Fill a cache folder with the files and pins of sources, as they are fetched."""

import json
import os
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from zoo import paths
from zoo.errors import IntegrityError, SourceError
from zoo.fetch.cache_answers import RecordingHub
from zoo.fetch.cache_folder import ANY_HUB, FORMAT, NAMES, CacheFolder
from zoo.fetch.checksum import sha256
from zoo.fetch.lock import FilePin, Lock, Pin, Pins
from zoo.fetch.sources import Sources
from zoo.files import is_hidden, is_inside, replacing, write_atomically


def write_to(root: Path, sources: Sources) -> Sources:
    """Return sources that add everything they fetch to a cache; its pins come before those of this machine.

    Raises:
        SourceError: The folder cannot be written.
        IntegrityError: Its files are damaged or have another format.
    """
    owned = (sources.hub.cache, paths.home() / "downloads")
    cache = CacheWriter(root, locked=sources.lock.pins, owned=owned)
    cache.create()
    return replace(
        sources, lock=replace(sources.lock, cached=cache.pins()), cache=cache, hub=RecordingHub(sources.hub, cache)
    )


@dataclass(frozen=True)
class CacheWriter(CacheFolder):
    """A cache that is being filled."""

    locked: Pins = field(default_factory=dict)
    """The pins of the lock, which may move a source to another commit than that in the cache."""
    owned: tuple[Path, ...] = ()
    """The folders with files that nobody changes in place, which may therefore be hard-linked."""
    _writing: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    @property
    def is_filled(self) -> bool:
        """True."""
        return True

    def create(self) -> None:
        """Make the folder a cache, unless it is one."""
        if self.format_file.exists():
            self.check_format()
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            names = (path.name for path in self.root.iterdir() if not is_hidden(path.name))
            if foreign := next((name for name in names if name not in NAMES), None):
                raise SourceError(f"{self.root} is not a cache of zoo, and not empty: it has {foreign}")
            write_atomically(self.format_file, json.dumps({"format": FORMAT}) + "\n")
        except OSError as error:
            raise self._write_error(error) from None

    def keep(self, source: str, seen: Pin, files: Mapping[str, Path]) -> None:
        """Add the files of a source, then its pin.

        Args:
            source: The source.
            seen: Its commit, and the digests of its files.
            files: Its verified files by name.
        """
        try:
            for name, path in files.items():
                self._add(path.resolve(), str(seen.files[name].sha256))
        except OSError as error:
            raise self._write_error(error) from None
        digests = {name: FilePin(sha256=seen.files[name].sha256, size=seen.files[name].size) for name in files}
        with self._writing:
            lock = Lock(self.trusted, self.locked, self.trusted)
            known, pin = lock.trusted(ANY_HUB).get(source, Pin()), replace(seen, files=digests)
            if pin.over(known) != known:
                lock.trust(source, ANY_HUB, pin)

    def _add(self, file: Path, digest: str) -> None:
        """Store a file under its digest, unless an intact copy is there."""
        target = self.file(digest)
        with suppress(FileNotFoundError):
            if target.samefile(file) or sha256(target) == digest:
                return
        with replacing(target) as partial:
            if not (any(is_inside(file, folder) for folder in self.owned) and _hard_link(file, partial)):
                shutil.copyfile(file, partial)
                if sha256(partial) != digest:
                    raise IntegrityError(f"{file} was changed while it was copied into {self.root}; try again")

    def _write_error(self, error: OSError) -> SourceError:
        return SourceError(f"{self.root}: cannot write there: {error.strerror or error}")


def _hard_link(file: Path, link: Path) -> bool:
    """Return whether a hard link could be made: only within one file system."""
    try:
        os.link(file, link)
    except OSError:
        return False
    return True
