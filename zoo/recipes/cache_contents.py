"""What a cache folder holds for each entry, and whether all of it is intact."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from zoo.errors import IntegrityError, SourceError, ZooError
from zoo.fetch.cache_answers import check_answer
from zoo.fetch.cache_folder import CacheFolder
from zoo.fetch.checksum import sha256
from zoo.fetch.lock import FilePin, Lock, Pins
from zoo.fetch.source_types import Remote, Url, UserFolder, parse_source, pinned_source
from zoo.files import files_below, write_atomically
from zoo.recipes.needs import Need
from zoo.recipes.prefetch import WORKERS, attempt
from zoo.suites.store import read_suite


@dataclass(frozen=True, kw_only=True)
class CachedEntry:
    """What an entry reads."""

    entry: str
    train: bool
    """Whether this is what its training reads, or its evaluation."""
    needs: Sequence[tuple[str, str]]
    """The sources to download, each with what it is read for."""
    local: Sequence[str] = ()
    """The names of the folders that every user must name with `--data`."""
    error: str | None = None
    """Why it could not be read what else the entry reads."""

    @classmethod
    def of(cls, name: str, needs: Iterable[Need], *, train: bool, error: ZooError | None = None) -> "CachedEntry":
        """Return what an entry reads by its needs."""
        parsed = [(need, need.parsed) for need in needs]
        remote = [(need.source, need.want) for need, source in parsed if isinstance(source, Remote)]
        local = [source.name for _, source in parsed if isinstance(source, UserFolder)]
        return cls(
            entry=name,
            train=train,
            needs=list(dict.fromkeys(remote)),
            local=list(dict.fromkeys(local)),
            error=None if error is None else str(error),
        )


@dataclass(frozen=True, kw_only=True)
class EntryState:
    """Whether a cache has everything that an entry reads."""

    entry: CachedEntry
    files: int
    bytes: int
    missing: Sequence[str]
    """The sources, or the files of sources, that are missing or damaged."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing and self.entry.error is None


@dataclass(frozen=True, kw_only=True)
class CacheState:
    """The result of a check. All paths are relative to the cache."""

    files: int
    bytes: int
    damaged: Sequence[str]
    missing: Sequence[str]
    """The files, each with its source, that are pinned and not there."""
    superfluous: Sequence[str]
    entries: Sequence[EntryState]


def record_entry(cache: CacheFolder, entry: CachedEntry) -> None:
    """Write the list of what an entry reads into a cache. Raise SourceError if it cannot be written."""
    name = f"{quote(entry.entry, safe='')}{'.train' if entry.train else ''}.json"
    data = {"entry": entry.entry, "train": entry.train, "needs": entry.needs, "local": entry.local}
    text, path = json.dumps(data, indent=1) + "\n", cache.entries / name
    try:
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
    except OSError as error:
        raise SourceError(f"{cache.entries}: cannot write there: {error.strerror or error}") from None


def recorded_entries(cache: CacheFolder) -> list[CachedEntry]:
    """Return the entries that were fetched into a cache. Raise IntegrityError for a damaged list."""
    return [_read_entry(path) for path in sorted(cache.entries.glob("*.json"))]


def _read_entry(path: Path) -> CachedEntry:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        needs = [(str(source), str(want)) for source, want in data.pop("needs")]
        return CachedEntry(needs=needs, **data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise IntegrityError(f"{path} is damaged: delete it, and fetch the entry again") from None


def check_cache(
    cache: CacheFolder, entries: Sequence[CachedEntry], step: Callable[[int, int], None] = lambda done, total: None
) -> CacheState:
    """Hash every file of a cache, and compare the files with the pins and with what entries read.

    Args:
        cache: The cache.
        entries: The entries to check.
        step: Called with the bytes that are hashed, and those of all files.

    Raises:
        ZooError: This is not a cache, or its pins are damaged.
    """
    pins = cache.pins()
    expected = {
        str(file.sha256): f"{source} {name}" for source, pin in pins.items() for name, file in pin.files.items()
    }
    paths = sorted(files_below(cache.root))
    stored = [path for path in paths if path == cache.file(path.name)]
    sizes = {path.name: path.stat().st_size for path in stored}
    intact = set(_intact(stored, sizes, step))
    damaged = [path for path in stored if path.name not in intact and path.name in expected]
    unknown = [path for path in stored if path.name not in expected] + list(_foreign(cache, set(paths) - set(stored)))
    answers = [path for path in paths if path.is_relative_to(cache.answers) and not _is_answer(path)]
    suites = [folder for folder in sorted(cache.suites.glob("*")) if folder.is_dir() and read_suite(folder) is None]
    return CacheState(
        files=len(stored),
        bytes=sum(sizes.values()),
        damaged=[path.relative_to(cache.root).as_posix() for path in (*damaged, *answers, *suites)],
        missing=[f"{text} ({digest[:12]})" for digest, text in expected.items() if digest not in sizes],
        superfluous=[path.relative_to(cache.root).as_posix() for path in sorted(unknown)],
        entries=[_state_of(entry, pins, intact) for entry in entries],
    )


def _intact(paths: Sequence[Path], sizes: Mapping[str, int], step: Callable[[int, int], None]) -> Iterator[str]:
    """Yield the names of the files whose content has the SHA-256 that they are named after."""
    done, total = 0, sum(sizes.values())
    with ThreadPoolExecutor(WORKERS) as pool:
        for path, digest in zip(paths, pool.map(_digest, paths), strict=True):
            done += sizes[path.name]
            step(done, total)
            if digest == path.name:
                yield path.name


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of a file, or None for one that cannot be read."""
    digest = attempt(partial(sha256, path))
    return None if isinstance(digest, ZooError) else str(digest)


def _is_answer(path: Path) -> bool:
    """Return whether a file has an answer of the Hub; one that is hidden is no part of the cache."""
    try:
        if not path.name.startswith("."):
            check_answer(path)
    except (OSError, ValueError):
        return False
    return True


def _foreign(cache: CacheFolder, paths: Iterable[Path]) -> Iterator[Path]:
    """Yield files that no cache has: of an interrupted command, or somebody else's."""
    own = (cache.format_file, cache.trusted, cache.trusted.with_name(f"{cache.trusted.name}.lock"))
    for path in paths:
        folders = path.parent == cache.entries or path.parent.parent in (cache.suites, cache.answers)
        if path not in own and (not folders or path.name.startswith(".")):
            yield path


def _state_of(entry: CachedEntry, pins: Pins, intact: Collection[str]) -> EntryState:
    files: dict[str, int] = {}
    missing: list[str] = []
    for source, want in entry.needs:
        found = _pinned_files(source, want, pins)
        if found is None:
            missing.append(f"{source} ({want})")
        for name, file in (found or {}).items():
            if file.sha256 in intact:
                files[str(file.sha256)] = file.size or 0
            else:
                missing.append(f"{source} {name}")
    return EntryState(
        entry=entry, files=len(files), bytes=sum(files.values()), missing=list(dict.fromkeys(missing))
    )  # fmt: skip


def _pinned_files(source: str, want: str, pins: Pins) -> Mapping[str, FilePin] | None:
    """Return the files that are read of a source, or None if the cache does not know them."""
    value = pinned_source(parse_source(source))
    pin = Lock(Path(), {}, Path(), cached=pins).cached_pin(str(value))
    if isinstance(value, Url):
        return pin.files or None
    names = pin.wants.get(want)
    return None if names is None else {name: pin.files.get(name, FilePin()) for name in names}
