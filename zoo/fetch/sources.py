"""Bytes by source, verified before anything reads them.

embedded:FILE                          a file of the starter suite, shipped in this package and pinned in the lock
file:PATH                              a file of your own, or a folder of data; not pinned, but hashed into the record
hub:[datasets/]OWNER/NAME[@REVISION]   a repository of the Hugging Face Hub, at the commit that the lock pins
https://HOST/PATH                      a file on a server, by the SHA-256 that the lock pins
https://HOST/PATH.zip#MEMBER           a file in an archive there, by the end of its path; the lock pins the archive
data:NAME                              a folder of yours, named by `--data NAME=DIR` or in ZOO_DATA; its rows are hashed

A mirror, a local folder, gives any file whose SHA-256 is known. A task that can read a local folder takes the one that
`--data NAME=DIR` names in place of a data set of the Hub of that name.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeGuard
from zipfile import is_zipfile

from zoo import paths
from zoo.errors import IntegrityError, MissingError, NoDataError, UsageError, ZooError, did_you_mean
from zoo.fetch import urls
from zoo.fetch.checksum import git_sha1, sha256
from zoo.fetch.hub import SCHEME, Hub, Listed, Repository
from zoo.fetch.lock import FilePin, Lock, Pin, read_lock
from zoo.fetch.mirror import Mirror
from zoo.fetch.urls import Urls

DATA = "data:"
SCHEMES = ("embedded:", "file:", SCHEME, DATA, *urls.SCHEMES)
HERE = f"{SCHEME}."

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""In the order in which they are taken, after one whose digest is locked."""
INDEX = "model.safetensors.index.json"
"""Of weights in several files, where there is no single one."""
WANTS: Mapping[str, tuple[str, ...]] = {
    "config": ("config.json",),
    "tokenizer": (
        "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
    ),
    "data": ("README.md", "*.parquet", "*.csv", "*.tsv", "*.jsonl", "*.json"),
}  # fmt: skip
"""The files of a repository that are read for something, as patterns; any other want is the name of one file."""


def is_source(value: Any) -> TypeGuard[str]:
    """Whether a value is a text that names a source."""
    return isinstance(value, str) and value.startswith(SCHEMES)


@dataclass(frozen=True)
class Fetched:
    """What a source gave: a file, or the folder of a repository's snapshot, and the SHA-256 of each file read of it."""

    source: str
    path: Path
    sha256: str
    """Of the file; of a repository's weights; else of the digests of its files."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Source and file -> SHA-256."""
    weights: str | None = None
    """The name of the weights in a folder."""
    revision: str | None = None
    """The commit of a repository."""
    locked: bool = False
    """Whether the lock names that commit; else it is the one that was there at first use."""

    def renamed(self, source: str) -> "Fetched":
        """The same under another name of the source."""
        files = {f"{source}/{name}": digest for name, digest in zip(self.names, self.files.values(), strict=True)}
        return replace(self, source=source, files=files)

    @property
    def paths(self) -> list[Path]:
        """The files that were read; of a folder of the user's own, the folder."""
        return [self.path / name for name in self.names] if self.path.is_dir() and self.files else [self.path]

    @property
    def names(self) -> list[str]:
        """The names of the files within a repository."""
        return [name.removeprefix(f"{_unpinned(self.source)}/") for name in self.files]


@dataclass
class Sources:
    """Where bytes come from. What was verified once in a process is not verified again."""

    lock: Lock = field(default_factory=read_lock)
    hub: Hub = field(default_factory=Hub)
    urls: Urls = field(default_factory=Urls)
    mirror: Mirror | None = None
    """A folder that gives what it holds of what would be downloaded."""
    data: Mapping[str, Path] = field(default_factory=paths.data)
    """Data sets that are local folders, by name."""
    say: Callable[[str], None] = lambda message: None
    fetched: dict[tuple[str, str], Fetched] = field(default_factory=dict)
    archives: dict[str, Fetched | ZooError] = field(default_factory=dict)
    """What came of each archive: it is asked for once, whoever reads how many of its files."""
    alone: dict[str, threading.Lock] = field(default_factory=dict)
    """Held by who asks for one."""
    here: str | None = None
    """What `hub:.` stands for: the repository that a recipe is published in, at its commit."""
    told: set[str] = field(default_factory=set)
    """The sources of which it has been said that they are trusted."""

    def __post_init__(self) -> None:
        self.hub.say = self.say

    def fetch(self, source: str, want: str = "weights") -> Fetched:
        """The bytes of a source as local files; of a repository those for `want`: weights, or one of `WANTS`.

        `data/NAME` wants the data of one configuration, and any other want is the name of one file. Raises
        IntegrityError where bytes are not the expected ones, SourceError where they cannot be had, and UsageError for a
        source that is written wrongly.
        """
        if said := self.problem(source):
            raise UsageError(said)
        actual = self._actual(source)
        if (actual, want) not in self.fetched:
            self.fetched[actual, want] = self._fetch(actual, want)
        found = self.fetched[actual, want]
        return found if source != HERE else found.renamed(HERE)

    def _actual(self, source: str) -> str:
        return self.here if source == HERE and self.here is not None else source

    def problem(self, source: str) -> str | None:
        """What is wrong with a source as it is written; asks nobody, and reads no file."""
        if source.startswith("embedded:"):
            name, locked = source.removeprefix("embedded:"), list(self.lock.locked("embedded:").files)
            return None if name in locked else f"{source} is not in {self.lock.path}{did_you_mean(name, locked)}"
        if source == HERE and self.here is None:
            return f"{HERE} is the repository that a recipe is published in, and this one is in none"
        if source.startswith(SCHEME) and source != HERE:
            try:
                Repository.parse(source)
            except UsageError as error:
                return str(error)
        if source.startswith(urls.SCHEMES):
            return urls.problem(source)
        if not source.startswith(SCHEMES):
            return f"{source!r} is not a source; write {' or '.join(f'{scheme}NAME' for scheme in SCHEMES[:-2])}"
        return None

    def known(self, source: str) -> Pin:
        """All that is known of a source: what the lock says, and what this machine has seen."""
        endpoint = urls.origin(source) if source.startswith(urls.SCHEMES) else self.hub.shown
        return self.lock.pin(urls.address(source), endpoint)

    def is_locked(self, source: str) -> bool:
        """Whether the lock itself says which bytes a source is."""
        pin = self.lock.locked(urls.address(source))
        if source.startswith(SCHEME):
            return pin.revision is not None
        return source.startswith("embedded:") or any(file.sha256 is not None for file in pin.files.values())

    def pinned_by(self, source: str) -> str:
        """What says which bytes a source is: the lock, its first use, or nothing, or nothing yet."""
        if source.startswith(("file:", DATA)):
            return "nothing"
        pin = self.known(source)
        seen = pin.revision if source.startswith(SCHEME) else any(file.sha256 for file in pin.files.values())
        return "lock" if self.is_locked(source) else "first use" if seen else "nothing yet"

    def folder(self, source: str) -> Path | None:
        """The local folder that the user has named for a data set, of the Hub or not; None where there is none."""
        name = source.removeprefix(DATA) if source.startswith(DATA) else _repository_name(source)
        return self.data.get(name)

    def missing(self, source: str, want: str) -> int:
        """The size in bytes of what `fetch` would download."""
        source = urls.address(self._actual(source))
        if source.startswith(urls.SCHEMES):
            pin = self.known(source).files.get(urls.file_name(source), FilePin())
            there = self.urls.cached(source) or self._mirrored(pin)
            return 0 if there else pin.size or self.urls.size(source)
        if not source.startswith(SCHEME):
            return 0
        repo, known = Repository.parse(source), self.known(source)
        names, revision = self._wanted(source, want, known), known.revision
        if revision and names is not None and all(self.hub.cached(repo, revision, name) for name in names):
            return 0
        revision = revision or self.hub.commit(repo)
        listing = self.hub.listing(repo, revision)
        picked = names or self._chosen(source, want, revision, listing)
        return sum(
            listing[name].size for name in picked if name in listing and not self.hub.cached(repo, revision, name)
        )

    def _fetch(self, source: str, want: str) -> Fetched:
        if source.startswith("embedded:"):
            name = source.removeprefix("embedded:")
            path = paths.PACKAGE / "starter" / name
            found = _checked(path, self.lock.locked("embedded:").files[name])
            return Fetched(source, path, found, {source: found})
        if source.startswith("file:"):
            path = Path(source.removeprefix("file:")).expanduser()
            if path.is_dir():
                return Fetched(source, path, "", {})
            found = sha256(path)
            return Fetched(source, path, found, {source: found})
        if source.startswith(DATA):
            if (folder := self.folder(source)) is None:
                raise NoDataError(source.removeprefix(DATA))
            return Fetched(source, folder, "", {})
        if source.startswith(urls.SCHEMES):
            return self._url(source) if source == urls.address(source) else self._member(source)
        return self._repository(source, want)

    def _url(self, source: str, *, archive: bool = False) -> Fetched:
        """The file at a URL, verified; what is new is pinned, an archive only if it is a zip."""
        name, known = urls.file_name(source), self.known(source)
        pin, faults = known.files.get(name, FilePin()), list[str]()
        for _ in range(2):
            cached = self.urls.cached(source)
            mirrored = None if faults or cached else self._mirrored(pin)
            path = cached or mirrored or self.urls.download(source)
            found, size = sha256(path), path.stat().st_size
            fault = pin.refuses(found, size)
            if fault is None and archive and not is_zipfile(path):
                fault = "a zip archive"
            if fault is None:
                self._pin(source, urls.origin(source), known, Pin(files={name: FilePin(sha256=found, size=size)}))
                return Fetched(source, path, found, {source: found}, locked=self.is_locked(source))
            faults.append(f"{source}: expected {fault}, found sha256 {found}, {size:,} bytes")
            if mirrored is None:
                path.unlink(missing_ok=True)
        raise IntegrityError(faults[-1])

    def _member(self, source: str) -> Fetched:
        """A file in an archive that is verified first."""
        url = urls.address(source)
        with self.alone.setdefault(url, threading.Lock()):
            if url not in self.archives:
                try:
                    self.archives[url] = self._url(url, archive=True)
                except ZooError as error:
                    self.archives[url] = error
        archive = self.archives[url]
        if isinstance(archive, ZooError):
            raise archive
        path, found = self.urls.member(source, archive.path)
        return Fetched(source, path, found, {source: found}, locked=archive.locked)

    def _mirrored(self, pin: FilePin) -> Path | None:
        return self.mirror.find(pin.sha256, pin.size) if self.mirror is not None else None

    def _repository(self, source: str, want: str) -> Fetched:
        """The files of a repository for `want`, of the pinned commit, each verified; what is new is pinned.

        What is pinned and in the cache needs no request.
        """
        repo, known = Repository.parse(source), self.known(source)
        revision = known.revision or self.hub.commit(repo)
        listing: Mapping[str, Listed] = {}
        names = self._wanted(source, want, known)
        if names is None or not all(name in known.files for name in names):
            listing = self.hub.listing(repo, revision)
            try:
                names = self._chosen(source, want, revision, listing)
            except MissingError:
                if known.revision:  # a commit in use never gets what it does not have, so nobody is asked again
                    self.lock.trust(source, self.hub.shown, Pin(revision=revision, wants={want: ()}))
                raise
        if not names:
            raise MissingError(f"{repo.name} at {revision[:7]} has no {want}")
        paths, seen = {}, {}
        for name in names:
            paths[name], seen[name] = self._verified(repo, revision, name, known.files.get(name), listing.get(name))
        self.hub.sweep(repo)
        self._pin(source, self.hub.shown, known, Pin(revision=revision, files=seen, wants={want: names}))
        digests = {f"{_unpinned(source)}/{name}": str(pin.sha256) for name, pin in seen.items()}
        weights = next((name for name in names if name in (*WEIGHTS, INDEX)), None) if want == "weights" else None
        whole = hashlib.sha256(str(sorted(digests.items())).encode()).hexdigest()
        if weights in WEIGHTS:
            whole = digests[f"{_unpinned(source)}/{weights}"]
        root = paths[names[0]].parents[names[0].count("/")]
        return Fetched(source, root, whole, digests, weights, revision, self.lock.locked(source).revision == revision)

    def _chosen(self, source: str, want: str, revision: str, listing: Mapping[str, Listed]) -> tuple[str, ...]:
        at = f"{Repository.parse(source).name} at {revision[:7]}"
        return chosen(want, list(listing), self.lock.locked(source).files, at)

    def _wanted(self, source: str, want: str, known: Pin) -> tuple[str, ...] | None:
        """The names that were chosen before; None where none were, or the lock has since named other weights."""
        names = known.wants.get(want)
        locked = [name for name in WEIGHTS if name in self.lock.locked(source).files]
        if want == "weights" and names is not None and locked and locked[0] not in names:
            return None
        return names

    def _verified(
        self, repo: Repository, commit: str, name: str, pin: FilePin | None, listed: Listed | None
    ) -> tuple[Path, FilePin]:
        """A file that is what its pin and the listing say, and its pin; one that is not is downloaded once more."""
        faults = []
        for _ in range(2):
            path = self.hub.cached(repo, commit, name)
            if path is None and pin is not None and (copy := self._mirrored(pin)):
                path = self.hub.keep(repo, commit, name, copy)
            path = path or self.hub.download(repo, commit, name)
            found, size = sha256(path), path.stat().st_size
            fault = (pin.refuses(found, size) if pin else None) or (_differs(path, found, listed) if listed else None)
            named = _is_named(path, found)
            if fault is None:
                if not named:
                    self.hub.settle(path)
                return path, FilePin(sha256=found, size=size)
            faults.append(f"{repo.name}: {name}: expected {fault}, found sha256 {found}, {size:,} bytes")
            if self.hub.offline:
                break
            self.hub.forget(path, and_bytes=not named)
        raise IntegrityError(faults[-1])

    def _pin(self, source: str, endpoint: str, known: Pin, seen: Pin) -> None:
        """Keep what the lock does not say, and tell of a source that is trusted for the first time."""
        new = [name for name, pin in seen.files.items() if known.files.get(name, FilePin()).sha256 != pin.sha256]
        moved = seen.revision != known.revision
        if new or moved or not seen.wants.items() <= known.wants.items():
            self.lock.trust(source, endpoint, seen)
        fixed = [name for name in new if known.files.get(name, FilePin()).etag_sha256 is None]
        if (fixed or moved) and source not in self.told:
            self.told.add(source)
            at = f" at {seen.revision[:12]}" if seen.revision else ""
            self.say(f"{source}{at}: trusted on first use")


@dataclass(frozen=True)
class Source:
    """A source as an argument of what a recipe names: fetched when it is needed."""

    sources: Sources
    name: str

    def fetch(self, want: str = "weights") -> Fetched:
        """See `Sources.fetch`."""
        return self.sources.fetch(self.name, want)

    def folder(self) -> Path | None:
        """See `Sources.folder`."""
        return self.sources.folder(self.name)

    @staticmethod
    def needed(value: Any, name: str = "data") -> "Source":
        """The value, an argument called `name`, if it is a source; raises UsageError for any other."""
        if not isinstance(value, Source):
            raise UsageError(f"{name}: {value!r} is no source; write file:{value} for a file of yours")
        return value


def chosen(want: str, names: list[str], locked: Mapping[str, FilePin], at: str) -> tuple[str, ...]:
    """The names of a repository's files that are read for `want`; raises MissingError where it lacks what is needed."""
    if want == "weights":
        pinned = [name for name in WEIGHTS if name in locked]
        shards = [name for name in names if fnmatchcase(name, "model-*-of-*.safetensors")]
        if pinned and pinned[0] not in names:
            raise MissingError(f"{at} does not have {pinned[0]}, which the lock names; it has {_some(names)}")
        weights = next((name for name in (*pinned, *WEIGHTS) if name in names), None)
        if weights is None and not shards:
            raise MissingError(f"{at} has neither {' nor '.join(WEIGHTS)}; it has {_some(names)}")
        found = [weights] if weights else [INDEX, *shards]
        wanted = ["config.json", *found]
    elif want.startswith("data/"):
        folder = want.removeprefix("data/")
        wanted = [name for name in names if name == "README.md" or _is_data(name, f"{folder}/")]
        if not any(name != "README.md" for name in wanted):
            folders = sorted({name.split("/")[0] for name in names if "/" in name})
            raise MissingError(f"{at} has no data {folder!r}{did_you_mean(folder, folders)}")
    elif want in WANTS:
        wanted = [name for name in names if any(fnmatchcase(name, pattern) for pattern in WANTS[want])]
        if not wanted:
            raise MissingError(f"{at} has no {want}: it has {_some(names)}")
    else:
        wanted = [want]
    for name in wanted:
        if name not in names:
            raise MissingError(f"{at} has no file {name!r}; it has {_some(names)}")
    return tuple(sorted(wanted))


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:12]) or "no file"


def _is_data(name: str, folder: str) -> bool:
    return name.startswith(folder) and any(fnmatchcase(name, pattern) for pattern in WANTS["data"])


def _unpinned(source: str) -> str:
    """A source without the revision: a record's key is of bytes, wherever they came from."""
    return source.partition("@")[0]


def _repository_name(source: str) -> str:
    """The last part of a repository's name; nothing for any other source."""
    return _unpinned(source).rpartition("/")[2] if source.startswith(f"{SCHEME}datasets/") else ""


def _checked(path: Path, pin: FilePin) -> str:
    found = sha256(path)
    if found != pin.sha256:
        raise IntegrityError(f"{path}: expected sha256 {pin.sha256}, found {found}")
    return found


def _differs(path: Path, found: str, listed: Listed) -> str | None:
    """What the Hub's listing says a file is, where it is not; small files are listed by git's SHA-1 alone."""
    if listed.sha256 is not None:
        return None if found == listed.sha256 else f"sha256 {listed.sha256}, as the Hub lists it"
    return None if git_sha1(path) == listed.git_sha1 else f"git sha1 {listed.git_sha1}, as the Hub lists it"


def _is_named(path: Path, found: str) -> bool:
    """Whether the cache calls the bytes what they are: their SHA-256, or git's SHA-1."""
    name = path.resolve().name
    return name == found or (len(name) == 40 and name == git_sha1(path))
