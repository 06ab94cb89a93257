"""Which bytes a source is: the committed lock, and what a user's own machine has seen and keeps to.

A lock names, by source, a repository's full commit and the size and SHA-256 of its files, as far as they are known.
What it does not know is fixed at first use in the user's own file, by the Hub it came from, and is enforced from then
on. `etag_sha256` pins a file of which only the SHA-256 of its quoted SHA-256 is public: its name in an old cache;
`sha256_prefix` one whose own name holds the first digits, as the files of torchvision do.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from zoo import paths
from zoo.errors import IntegrityError, SourceError
from zoo.fetch.retry import deadline

SCHEMA = 1
EMBEDDED = "embedded:"
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class FilePin:
    """What is known of a file's bytes."""

    sha256: str | None = None
    size: int | None = None
    etag_sha256: str | None = None
    sha256_prefix: str | None = None

    def over(self, other: "FilePin") -> "FilePin":
        """This and what the other knows beside it."""
        return FilePin(**{**_file_data(other), **_file_data(self)})

    def refuses(self, sha256: str, size: int) -> str | None:
        """What the file was expected to be, where it is not; None where it may be this one."""
        if self.sha256 is not None and sha256 != self.sha256:
            return f"sha256 {self.sha256}"
        if self.sha256_prefix is not None and not sha256.startswith(self.sha256_prefix):
            return f"a sha256 that begins with {self.sha256_prefix}"
        if self.size is not None and size != self.size:
            return f"{self.size:,} bytes"
        if self.etag_sha256 is not None and hashlib.sha256(f'"{sha256}"'.encode()).hexdigest() != self.etag_sha256:
            return f"a sha256 whose own, quoted, is {self.etag_sha256}"
        return None


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What is known of a source: a repository's commit, its files, and which of them are read for what."""

    revision: str | None = None
    files: Mapping[str, FilePin] = field(default_factory=dict)
    wants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def over(self, other: "Pin") -> "Pin":
        """This and what the other knows beside it; of another commit it knows nothing."""
        if self.revision and other.revision and self.revision != other.revision:
            return self
        both = {name: pin.over(other.files.get(name, FilePin())) for name, pin in self.files.items()}
        files = {**other.files, **both}
        return Pin(revision=self.revision or other.revision, files=files, wants={**other.wants, **self.wants})


Pins = Mapping[str, Pin]


@dataclass(frozen=True)
class Lock:
    """A file of pins, and the user's own beside it."""

    path: Path
    pins: Pins
    own: Path
    others: Pins = field(default_factory=dict)
    """What the committed lock says of what is on no Hub, where this is another lock: the same bytes for every one."""

    def pin(self, source: str, endpoint: str) -> Pin:
        """All that is known of a source; the lock's word counts before the user's own."""
        return self.locked(source).over(_of(self.trusted(endpoint), source))

    def locked(self, source: str) -> Pin:
        """What the lock itself says of a source, without what was seen at first use."""
        return _of({**self.others, **self.pins}, source)

    def trusted(self, endpoint: str) -> Pins:
        """What was fixed at first use of that Hub, or that server."""
        return _pins(self._endpoints().get(endpoint, {}), self.own)

    def all_trusted(self) -> Pins:
        """What was fixed at first use of any."""
        return {name: pin for found in self._endpoints().values() for name, pin in _pins(found, self.own).items()}

    def _endpoints(self) -> dict[str, Any]:
        found: dict[str, Any] = _read(self.own)["endpoints"] if self.own.exists() else {}
        return found

    def trust(self, source: str, endpoint: str, seen: Pin) -> None:
        """Fix what was seen of a source and is not in the lock.

        Raises IntegrityError where another process has meanwhile seen something else, SourceError where it cannot be
        written.
        """
        try:
            self.own.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.own}.lock", timeout=deadline()):
                data: dict[str, Any] = _read(self.own) if self.own.exists() else {"schema": SCHEMA, "endpoints": {}}
                known = data["endpoints"].setdefault(endpoint, {})
                before = _pins(known, self.own).get(source, Pin())
                if before.revision not in {None, seen.revision} and self.pins.get(source, Pin()).revision is None:
                    raise IntegrityError(f"{source}: this machine has seen commit {before.revision} of it before")
                for name, pin in seen.files.items():
                    if before.revision == seen.revision and before.files.get(name, pin) != pin:
                        raise IntegrityError(f"{source}: {name} is not the file that this machine has seen before")
                known[source] = _data(seen.over(before))
                _write(self.own, data)
        except Timeout:
            raise SourceError(f"{self.own}: another process holds {self.own}.lock") from None
        except OSError as error:
            raise SourceError(f"{self.own}: cannot write there: {error.strerror or error}") from None


def _of(pins: Pins, source: str) -> Pin:
    """What pins say of a source.

    Of a repository at a full commit they also say what they say of it without one, unless that is of another commit.
    """
    name, _, revision = source.partition("@")
    general = pins.get(name, Pin()) if COMMIT.fullmatch(revision) else Pin()
    return pins.get(source, Pin()).over(general if general.revision in (None, revision) else Pin())


def read_lock(path: Path | None = None) -> Lock:
    """The lock in a file, the committed one when None; raises IntegrityError for a damaged one.

    A file that is not there yet pins nothing.
    """
    committed, trusted = paths.lock(), paths.trusted()
    pins = _pins(_read(committed)["sources"], committed)
    if path is None:
        return Lock(committed, pins, trusted)
    own = _pins(_read(path)["sources"], path) if path.exists() else {}
    own.pop(EMBEDDED, None)  # what is shipped is what the project says
    others = {source: pin for source, pin in pins.items() if not source.startswith("hub:")}
    return Lock(path, own, trusted, others)


def write_lock(path: Path, pins: Pins) -> None:
    """Write a lock; raises SourceError where it cannot be written."""
    try:
        _write(path, {"schema": SCHEMA, "sources": {source: _data(pin) for source, pin in sorted(pins.items())}})
    except OSError as error:
        raise SourceError(f"{path}: cannot write there: {error.strerror or error}") from None


def _write(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON in one rename."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def difference(before: Pins, after: Pins) -> list[str]:
    """What an update changes, a line each: `- source file old`, `+ source file new`."""
    old, new = _lines(before), _lines(after)
    changed = sorted(old.keys() | new.keys())
    lines = []
    for key in changed:
        if old.get(key) != new.get(key):
            lines += [f"- {key} {old[key]}"] if key in old else []
            lines += [f"+ {key} {new[key]}"] if key in new else []
    return lines


def _lines(pins: Pins) -> dict[str, str]:
    found = {f"{source} revision": pin.revision for source, pin in pins.items() if pin.revision}
    for source, pin in pins.items():
        for name, file in pin.files.items():
            found[f"{source} {name}"] = " ".join(f"{key} {value}" for key, value in _file_data(file).items())
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path}: the lock cannot be read: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("sources", data.get("endpoints")), dict):
        raise IntegrityError(f"{path}: this is no lock: it has neither 'sources' nor 'endpoints'")
    if data.get("schema", SCHEMA) != SCHEMA:
        raise IntegrityError(f"{path}: its schema is {data['schema']!r}, known is {SCHEMA}")
    return {"sources": {}, "endpoints": {}, **data}


def _pins(data: Mapping[str, Any], path: Path) -> dict[str, Pin]:
    try:
        pins = {source: _pin(entry) for source, entry in data.items()}
    except (TypeError, AttributeError, ValueError) as error:
        raise IntegrityError(f"{path}: the lock cannot be read: {error}") from None
    for source, pin in pins.items():
        if pin.revision is not None and not COMMIT.fullmatch(str(pin.revision)):
            raise IntegrityError(f"{path}: {source}: {pin.revision!r} is not a full commit")
    return pins


def _pin(entry: Mapping[str, Any]) -> Pin:
    files = {name: FilePin(**file) for name, file in entry.get("files", {}).items()}
    for name, file in files.items():
        for key, value in _file_data(file).items():
            if not isinstance(value, int if key == "size" else str):
                raise TypeError(f"{name}: {key} cannot be {value!r}")
    wants = {want: tuple(names) for want, names in entry.get("wants", {}).items()}
    return Pin(revision=entry.get("revision"), files=files, wants=wants)


def _data(pin: Pin) -> dict[str, Any]:
    data: dict[str, Any] = {"files": {name: _file_data(file) for name, file in pin.files.items()}}
    data |= {"revision": pin.revision} if pin.revision else {}
    data |= {"wants": {want: list(names) for want, names in pin.wants.items()}} if pin.wants else {}
    return data


def _file_data(file: FilePin) -> dict[str, Any]:
    return {key: value for key, value in vars(file).items() if value is not None}
