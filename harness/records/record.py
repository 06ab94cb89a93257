"""Records: one immutable folder per run, `record.json` beside the predictions, log and weights it speaks of.

A record's key is what was computed: mode, recipe, content of the sources, metric code, numerics and seed. Where it was
computed is in its environment. A folder is written under a hidden name and renamed: a half-written one is never seen.
Nothing here imports torch.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import jsonschema

from zoo.errors import IntegrityError, SourceError, UsageError
from zoo.fetch.checksum import sha256

SCHEMA = 1
ADDED = ("published", "provenance", "findings")
"""Fields that are left out where there is nothing to tell."""
FILE = "record.json"
Mode = Literal["weights", "retrain"]
FIRST_REFERENCE_SEED = 1000
"""Recorded references use seeds from here on, a user's runs from 0: no claim is judged by the runs it came from."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a run computes; equal identities need not be run twice."""

    mode: Mode
    digest: str
    sources: Mapping[str, Any]
    metric_code: Mapping[str, str]
    numerics: Mapping[str, Any]
    seed: int | None

    @property
    def key(self) -> str:
        """SHA-256 of the identity as sorted JSON."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def is_reference(self) -> bool:
        """Whether its seed is one of those that references are recorded with."""
        return self.seed is not None and self.seed >= FIRST_REFERENCE_SEED

    @property
    def folder(self) -> str:
        """The run's folder below its entry's."""
        return "-".join([self.mode, *([f"seed{self.seed}"] if self.seed is not None else []), self.key[:12]])


@dataclass(frozen=True, kw_only=True)
class Result:
    """One split's scores, metric -> {value, one_prediction}; `predictions`: a file beside it and its SHA-256."""

    split: str
    n: int
    selection: str
    metrics: Mapping[str, Mapping[str, float | None]]
    predictions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run, as `record.schema.json` describes it. `weights` is the SHA-256 of the weights file that was scored."""

    entry: str
    suite: str
    identity: Identity
    recipe: Mapping[str, Any]
    weights: str
    results: tuple[Result, ...]
    environment: Mapping[str, Any]
    cost: Mapping[str, float]
    created: str
    published: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Scores that files beside the weights hold, as they are written there: file -> metric -> value."""
    provenance: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Repository -> the commit that was read, and what pins it: the lock, or this machine since its first use."""
    findings: tuple[str, ...] = ()
    """What was noticed that a reader of the scores should know."""

    def to_json(self) -> str:
        """The record as the text of its file."""
        identity = asdict(self.identity)
        data = {"schema": SCHEMA, "key": self.identity.key, **identity, **asdict(self)}
        del data["identity"]
        data = {name: value for name, value in data.items() if value or name not in ADDED}
        return json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"

    def result(self, split: str, selection: str | None = None) -> Result | None:
        """The result on that split, of that selection if there is one; a record of one selection has no other."""
        found = [result for result in self.results if result.split == split]
        return next((result for result in found if result.selection == selection), found[0] if found else None)


def read_record(path: Path) -> Record:
    """The record in a file.

    Raises SourceError where it cannot be read, UsageError where it is no record, and IntegrityError where its key is
    not that of its content.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    return _parsed(path, text)


@lru_cache(
    maxsize=2048
)  # a leaderboard asks for each several times, and to look through one costs more than to read it
def _parsed(path: Path, text: str) -> Record:
    """The record in the text of a file."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    if problem := jsonschema.exceptions.best_match(_validator().iter_errors(data)):
        raise UsageError(f"{path}: not a record: {problem.json_path}: {problem.message[:200]}")
    names = ("mode", "digest", "sources", "metric_code", "numerics", "seed")
    identity = Identity(**{name: data[name] for name in names})
    if identity.key != data["key"]:
        raise IntegrityError(f"{path}: the key is {data['key']}, that of its content {identity.key}")
    rest = {name: data[name] for name in ("entry", "suite", "recipe", "weights", "environment", "cost", "created")}
    told = {name: data[name] for name in ("published", "provenance") if name in data}
    told["findings"] = tuple(data.get("findings", ()))
    return Record(identity=identity, results=tuple(Result(**result) for result in data["results"]), **rest, **told)


def verify_files(path: Path, record: Record) -> None:
    """Check the prediction files beside a record; raises IntegrityError for one that is not the recorded one."""
    for result in record.results:
        file, expected = path.parent / result.predictions["file"], result.predictions["sha256"]
        if (found := sha256(file)) != expected:
            raise IntegrityError(f"{file}: expected sha256 {expected}, found {found}")


def read_all(root: Path) -> list[tuple[Path, Record]]:
    """Every record below a folder, in a stable order."""
    paths = sorted(root.glob(f"*/[!.]*/{FILE}"))
    records = [(path, read_record(path)) for path in paths]
    return sorted(records, key=lambda pair: (pair[1].entry, pair[1].identity.folder))


@contextmanager
def new_folder(final: Path, key: str, *, writes: bool = True, replaces: bool = False) -> Iterator[Path]:
    """A folder to write into, which becomes `final` when the `with` ends well and vanishes when it does not.

    One that is there already stays, and raises SourceError, unless it `replaces` that. What a killed process of the
    same `key` left of it is swept away. Of many processes one writes; the others only get its path.
    """
    partial, before = (final.with_name(f".{final.name}-{key[:12]}.{stage}") for stage in ("partial", "replaced"))
    if not writes:
        yield partial
        return
    try:
        _put_back(before, final)  # a process was killed between the two renames
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as error:
        raise SourceError(f"{final}: cannot write there: {error.strerror or error}") from None
    try:
        yield partial
        if final.exists() and any(final.iterdir()):  # a rename replaces no folder that holds something
            if not replaces:
                raise SourceError(f"{final} is there already, and is no run, since it has no {FILE}; move it away")
            final.replace(before)
        partial.replace(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _put_back(before, final)
        shutil.rmtree(before, ignore_errors=True)


def _put_back(before: Path, final: Path) -> None:
    """What was to be replaced, and was not."""
    if before.exists() and not final.exists():
        before.replace(final)


def schema() -> dict[str, Any]:
    """The published JSON Schema of a record file."""
    data: dict[str, Any] = json.loads(Path(__file__).with_name("record.schema.json").read_text(encoding="utf-8"))
    return data


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())
