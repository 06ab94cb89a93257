"""The lock: it pins the exact bytes of every source.

The project commits a lock with the full commit of each repository and the public sizes and SHA-256 of its files. Any
other file is pinned at first use in a file on the user's machine, under the Hub or server it came from. The pin is
enforced from then on.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from zoo import paths
from zoo.errors import IntegrityError, SourceError
from zoo.fetch.limits import deadline
from zoo.fetch.source_types import COMMIT, EMBEDDED, HubRepo, parse_or_none
from zoo.files import write_atomically

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class FilePin:
    """The known facts about the bytes of a file; all of them must hold."""

    sha256: str | None = None
    size: int | None = None
    """Bytes."""
    etag_sha256: str | None = None
    """The SHA-256 of the file's quoted SHA-256. Old caches name files by it, so for some files only this is public."""
    sha256_prefix: str | None = None
    """The first digits of the SHA-256, as in the names of torchvision's files."""

    def over(self, other: "FilePin") -> "FilePin":
        """Merge two pins; this one takes precedence."""
        return FilePin(**{**_file_data(other), **_file_data(self)})

    def mismatch(self, sha256: str, size: int) -> str | None:
        """Return the expected property that a file lacks, or None for a file that fits the pin."""
        if self.sha256 is not None and sha256 != self.sha256:
            return f"sha256 {self.sha256}"
        if self.sha256_prefix is not None and not sha256.startswith(self.sha256_prefix):
            return f"a sha256 that begins with {self.sha256_prefix}"
        if self.size is not None and size != self.size:
            return f"{self.size:,} bytes"
        if self.etag_sha256 is not None and hashlib.sha256(f'"{sha256}"'.encode()).hexdigest() != self.etag_sha256:
            return f"a file whose quoted sha256 has the sha256 {self.etag_sha256}"
        return None


@dataclass(frozen=True, kw_only=True)
class Pin:
    """The pinned commit and files of a source."""

    revision: str | None = None
    """The full commit of a repository."""
    files: Mapping[str, FilePin] = field(default_factory=dict)
    wants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of the files that were chosen for each purpose, such as `weights` or `tokenizer`."""

    def over(self, other: "Pin") -> "Pin":
        """Merge two pins; this one takes precedence. A pin of another commit is ignored."""
        if self.revision and other.revision and self.revision != other.revision:
            return self
        both = {name: pin.over(other.files.get(name, FilePin())) for name, pin in self.files.items()}
        files = {**other.files, **both}
        return Pin(revision=self.revision or other.revision, files=files, wants={**other.wants, **self.wants})


Pins = Mapping[str, Pin]
"""Pins by the text of their source; all files of the starter suite are under `embedded:`."""


@dataclass(frozen=True)
class Lock:
    """A lock file, and the file with the pins that this machine has added at first use."""

    path: Path
    pins: Pins
    trust_file: Path
    others: Pins = field(default_factory=dict)
    """For a lock that replaces the committed one: the committed pins that stay valid, of sources on no Hub."""
    cached: Pins = field(default_factory=dict)
    """The pins of a cache folder; they take precedence over those of this machine."""

    def pin(self, source: str, endpoint: str) -> Pin:
        """Return the pin of a source: of the lock, then of a cache folder, then of the first use of the endpoint."""
        first_use = self.cached_pin(source).over(_pin_of(self.trusted(endpoint), source))
        return self.locked(source).over(first_use)

    def cached_pin(self, source: str) -> Pin:
        """Return the pin that a cache folder has for a source."""
        return _pin_of(self.cached, source)

    def locked(self, source: str) -> Pin:
        """Return the pin that the lock has for a source."""
        return _pin_of({**self.others, **self.pins}, source)

    def trusted(self, endpoint: str) -> Pins:
        """Return the pins that were added at first use of a Hub or server."""
        return _parse_pins(self._endpoints().get(endpoint, {}), self.trust_file)

    def all_trusted(self) -> Pins:
        """Return the pins that were added at first use of any Hub or server."""
        by_endpoint = self._endpoints().values()
        return {name: pin for pins in by_endpoint for name, pin in _parse_pins(pins, self.trust_file).items()}

    def _endpoints(self) -> dict[str, Any]:
        endpoints: dict[str, Any] = _read(self.trust_file)["endpoints"] if self.trust_file.exists() else {}
        return endpoints

    def trust(self, source: str, endpoint: str, seen: Pin) -> None:
        """Pin a source at first use.

        Raises:
            IntegrityError: Another process has pinned something else in the meantime.
            SourceError: The file of trusted pins cannot be written.
        """
        try:
            self.trust_file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.trust_file}.lock", timeout=deadline()):
                endpoints = self._endpoints()
                pins = endpoints.setdefault(endpoint, {})
                before = _parse_pins(pins, self.trust_file).get(source, Pin())
                self._check_unchanged(source, before, seen)
                pins[source] = _pin_data(seen.over(before))
                _write(self.trust_file, {"schema": SCHEMA, "endpoints": endpoints})
        except Timeout:
            held = f"another process holds {self.trust_file}.lock"
            raise SourceError(f"{self.trust_file}: {held}; try again when it has ended") from None
        except OSError as error:
            raise SourceError(f"{self.trust_file}: cannot write there: {error.strerror or error}") from None

    def _check_unchanged(self, source: str, before: Pin, seen: Pin) -> None:
        if before.revision not in {None, seen.revision} and self.pins.get(source, Pin()).revision is None:
            raise IntegrityError(f"{source}: this machine has seen commit {before.revision} of it before")
        for name, pin in seen.files.items():
            if before.revision == seen.revision and before.files.get(name, pin) != pin:
                raise IntegrityError(f"{source}: {name} is not the file that this machine has seen before")


def _pin_of(pins: Pins, source: str) -> Pin:
    """Return the pin of a source.

    A pin without a revision also holds for the repository at any commit, and one with a revision for that commit.
    """
    repo, general = parse_or_none(source), Pin()
    if isinstance(repo, HubRepo) and repo.commit:
        general = pins.get(str(repo.without_revision), Pin())
        general = general if general.revision in (None, repo.commit) else Pin()
    return pins.get(source, Pin()).over(general)


def read_lock(path: Path | None = None) -> Lock:
    """Read a lock.

    Args:
        path: The lock to use instead of the committed one. A file that does not exist yet pins nothing.

    Raises:
        IntegrityError: The lock is damaged.
    """
    committed, trust_file = paths.lock(), paths.trusted()
    pins = _parse_pins(_read(committed)["sources"], committed)
    if path is None:
        return Lock(committed, pins, trust_file)
    replaced = _parse_pins(_read(path)["sources"], path) if path.exists() else {}
    replaced.pop(EMBEDDED, None)  # only the project's lock can pin the files that zoo ships
    others = {source: pin for source, pin in pins.items() if not isinstance(parse_or_none(source), HubRepo)}
    return Lock(path, replaced, trust_file, others)


def write_lock(path: Path, pins: Pins) -> None:
    """Write a lock; raises SourceError if it cannot be written."""
    try:
        _write(path, {"schema": SCHEMA, "sources": {source: _pin_data(pin) for source, pin in sorted(pins.items())}})
    except OSError as error:
        raise SourceError(f"{path}: cannot write there: {error.strerror or error}") from None


def difference(before: Pins, after: Pins) -> list[str]:
    """Return what an update changes, one line each: `- SOURCE FILE OLD` and `+ SOURCE FILE NEW`."""
    old, new = _lines(before), _lines(after)
    lines = []
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            lines += [f"- {key} {old[key]}"] if key in old else []
            lines += [f"+ {key} {new[key]}"] if key in new else []
    return lines


def _lines(pins: Pins) -> dict[str, str]:
    lines = {f"{source} revision": pin.revision for source, pin in pins.items() if pin.revision}
    for source, pin in pins.items():
        for name, file in pin.files.items():
            lines[f"{source} {name}"] = " ".join(f"{key} {value}" for key, value in _file_data(file).items())
    return lines


def _read(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: the lock cannot be read: {error}") from None
    parts = [data[key] for key in ("sources", "endpoints") if key in data] if isinstance(data, dict) else []
    if not parts or not all(isinstance(part, dict) for part in parts):
        raise IntegrityError(f"{path}: not a lock: it has neither 'sources' nor 'endpoints'")
    if data.get("schema", SCHEMA) != SCHEMA:
        raise IntegrityError(f"{path}: its schema is {data['schema']!r}; this version of zoo reads schema {SCHEMA}")
    return {"sources": {}, "endpoints": {}, **data}


def _write(path: Path, data: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(data, indent=1, sort_keys=True) + "\n")


def _parse_pins(data: Mapping[str, Any], path: Path) -> dict[str, Pin]:
    try:
        pins = {source: _parse_pin(entry) for source, entry in data.items()}
    except (TypeError, AttributeError, ValueError) as error:
        raise IntegrityError(f"{path}: the lock cannot be read: {error}") from None
    for source, pin in pins.items():
        if pin.revision is not None and not COMMIT.fullmatch(str(pin.revision)):
            raise IntegrityError(f"{path}: {source}: {pin.revision!r} is not a full commit")
    return pins


def _parse_pin(entry: Mapping[str, Any]) -> Pin:
    files = {name: FilePin(**file) for name, file in entry.get("files", {}).items()}
    for name, file in files.items():
        for key, value in _file_data(file).items():
            if not isinstance(value, int if key == "size" else str):
                raise TypeError(f"{name}: {key} cannot be {value!r}")
    wants = {want: tuple(names) for want, names in entry.get("wants", {}).items()}
    for want, names in wants.items():
        if isinstance(entry["wants"][want], str) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"{want} cannot be {entry['wants'][want]!r}")
    return Pin(revision=entry.get("revision"), files=files, wants=wants)


def _pin_data(pin: Pin) -> dict[str, Any]:
    data: dict[str, Any] = {"files": {name: _file_data(file) for name, file in pin.files.items()}}
    data |= {"revision": pin.revision} if pin.revision else {}
    data |= {"wants": {want: list(names) for want, names in pin.wants.items()}} if pin.wants else {}
    return data


def _file_data(file: FilePin) -> dict[str, Any]:
    return {key: value for key, value in vars(file).items() if value is not None}
