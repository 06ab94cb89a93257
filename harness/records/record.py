"""Records: the public file format of a run. Never imports torch.

Each run has one folder that never changes: `record.json` beside the predictions, training log and weights that it
refers to. `record.schema.json` describes the file. The key of a record identifies what was computed: mode, recipe,
content of the sources, metric code, numerics and seed. Where it was computed is in the environment and not in the key.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache, lru_cache
from glob import escape
from pathlib import Path
from typing import Any, Literal

import jsonschema

from harness.records.digests import RECORD_DIGEST, json_digest, read_json, record_digest
from zoo.errors import IntegrityError, SourceError, UsageError
from zoo.fetch.checksum import sha256
from zoo.schema_versions import refuse_newer_schema
from zoo.tasks.thresholds import log_odds

SCHEMA = 2
"""The version of the file format that new records have. Records of schema 1 are read as they are: in schema 2 the
digests of the results and of the record are required."""
OPTIONAL_FIELDS = (
    "published", "provenance", "findings", "failure", "imported", "files", "results_sha256", RECORD_DIGEST,
)  # fmt: skip
"""Fields that the file omits if they are empty."""
REQUIRED_FIELDS = ("entry", "suite", "recipe", "weights", "environment", "cost", "created")
FILE = "record.json"
ADVICE = "restore the record, or make the run again with --fresh"
Mode = Literal["weights", "retrain"]
"""`weights`: published weights were evaluated. `retrain`: the model was trained, then evaluated."""
FIRST_REFERENCE_SEED = 1000
"""Reference runs have seeds from this number on, and a user's runs from 0. So no claim is judged by the runs that it
came from."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The inputs of a run that decide its results. A run with the identity of a recorded run need not be made."""

    mode: Mode
    digest: str
    """The SHA-256 of the recipe as sorted data, without its claims."""
    sources: Mapping[str, Any]
    """`files`: source -> SHA-256 of its bytes. `data`: split -> number of rows and SHA-256 of their content."""
    metric_code: Mapping[str, str]
    """Metric -> SHA-256 of its source code."""
    numerics: Mapping[str, Any]
    """Precision, device, and the micro-batch and number of processes where these change the result."""
    seed: int | None
    """The seed of a training; None for an evaluation of published weights, in which nothing is random."""

    @property
    def key(self) -> str:
        """The SHA-256 of the identity as sorted JSON."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def is_reference(self) -> bool:
        """Whether the run is a reference run, by its seed."""
        return self.seed is not None and self.seed >= FIRST_REFERENCE_SEED

    @property
    def folder(self) -> str:
        """The name of the run's folder, below the folder of its entry."""
        return "-".join([self.mode, *([f"seed{self.seed}"] if self.seed is not None else []), self.key[:12]])


@dataclass(frozen=True, kw_only=True)
class Result:
    """The scores on one split and the file with the predictions."""

    split: str
    n: int
    """The number of scored examples."""
    selection: str
    """The checkpoint that was scored: `last` or `best` epoch."""
    metrics: Mapping[str, Mapping[str, float | None]]
    """Metric -> `value`, and `one_prediction`: the largest change that a single prediction can cause."""
    predictions: Mapping[str, str]
    """`file`: the name of a file beside the record. `sha256`: its SHA-256."""
    inference: Mapping[str, Any] = field(default_factory=dict)
    """How the outputs were computed: rows and tokens of a batch, near-ties, the comparison with a strict evaluation.
    Records of earlier versions have none."""
    scoring: Mapping[str, Any] = field(default_factory=dict)
    """How the split was scored, if not as usual: the `rows` that were chosen, or the number of `classes`, and the
    number of rows `of` the whole split; of a multilabel task, the `threshold`, and the split `threshold_from`."""

    @property
    def cut(self) -> float:
        """The logit above which a label of a multilabel task was predicted; 0 for any other task."""
        return log_odds(self.scoring.get("threshold"))

    def data(self) -> dict[str, Any]:
        """Return the result as plain data; empty `inference` and `scoring` are left out."""
        return {name: value for name, value in asdict(self).items() if value or name not in ("inference", "scoring")}


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run, as `record.schema.json` describes it."""

    entry: str
    suite: str
    identity: Identity
    recipe: Mapping[str, Any]
    """The recipe as data, without its claims."""
    weights: str
    """The SHA-256 of the weights file that was scored, published or trained."""
    results: tuple[Result, ...]
    environment: Mapping[str, Any]
    """The commit of the code, package versions, processor, device and threads."""
    cost: Mapping[str, float]
    """`seconds`, `peak_memory_bytes`, and on a CUDA device `device_peak_memory_bytes`."""
    created: str
    """The time of the record in UTC, such as `2026-11-25T12:00:00Z`."""
    published: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The scores in files beside the published weights: file -> metric -> score as the file spells it."""
    provenance: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Repository -> the commit that was read, and what pins it: the lock, or the first use on this machine."""
    findings: tuple[str, ...] = ()
    """Observations that a reader of the scores should know."""
    failure: str = ""
    """Why the scores of a run mean nothing: losses or outputs that are not finite."""
    imported: Mapping[str, Any] = field(default_factory=dict)
    """The log of another tool that the record was made from; empty for a run of zoo."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The files in the folder of the record: path -> SHA-256. Records of version 0.1 have none."""
    results_sha256: str = ""
    """The SHA-256 of `results` as sorted JSON. Records of version 0.1 have none."""
    record_sha256: str = ""
    """The SHA-256 of the whole record as sorted JSON, without this field. Records of version 0.1 have none."""
    schema: int = SCHEMA
    """The version of the file format."""

    @property
    def may_lack_digests(self) -> bool:
        """Whether the record is of version 0.1, which wrote no digests of records."""
        version = str(self.environment["packages"].get("zoo-reproduce", ""))
        return self.schema == 1 and version.startswith("0.1.")

    @property
    def kept_epoch(self) -> str:
        """The epoch whose weights are in the folder of a training: `last`, or `best`."""
        return self.results[-1].selection

    def sealed(self, files: Mapping[str, str]) -> "Record":
        """Return the record in the newest schema, with the digests of the files beside it, its results and itself."""
        results = json_digest([result.data() for result in self.results])
        record = replace(self, schema=SCHEMA, files=files, results_sha256=results, record_sha256="")
        return replace(record, record_sha256=record_digest(json.loads(record.to_json())))

    def to_json(self) -> str:
        """Return the text of the record file."""
        identity = asdict(self.identity)
        data = {"key": self.identity.key, **identity, **asdict(self)}
        data["results"] = [result.data() for result in self.results]
        del data["identity"]
        data = {name: value for name, value in data.items() if value or name not in OPTIONAL_FIELDS}
        return json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"

    def result(self, split: str, selection: str | None = None) -> Result | None:
        """Return the result on a split, or None if there is none.

        If the split has several results, the result with this selection is returned, or else the first.
        """
        results = [result for result in self.results if result.split == split]
        return next((result for result in results if result.selection == selection), results[0] if results else None)


REPLACED = ".replaced"
"""The end of the name of a run's folder while another one takes its place."""
LOOKS = 5
"""How often a reader looks for a run that another one may replace."""
SECONDS_OF_REPLACING = 10.0
"""The most seconds that two renames take on a busy machine. After a killed process the first folder stays away."""

RecordedRun = tuple[Path, Record]
"""The path of a record file, and the record."""


def read_record(path: Path) -> Record:
    """Return the record in a file.

    Raises:
        SourceError: The file cannot be read.
        UsageError: The file is not a record, or one of a newer version of zoo.
        IntegrityError: The key does not match the content.
    """
    gone, end = 0, time.monotonic() + SECONDS_OF_REPLACING
    while True:
        try:
            return _parse_record(path, path.read_text(encoding="utf-8"))
        except OSError as error:
            gone = 0 if _is_replaced_now(path) else gone + 1
            if gone == LOOKS or time.monotonic() > end:
                raise SourceError(f"{path}: {error.strerror or error}") from None
        except ValueError as error:
            raise UsageError(f"{path}: not JSON: {error}; {ADVICE}") from None


def _is_replaced_now(path: Path) -> bool:
    """Return whether another run takes the place of a record's folder, as with `--fresh`; if so, wait a little."""
    if any(path.parent.parent.glob(f".{escape(path.parent.name)}-*{REPLACED}")):
        time.sleep(0.02)
        return True
    return False


@lru_cache(maxsize=2048)  # a leaderboard reads each record several times, and validation is slow
def _parse_record(path: Path, text: str) -> Record:
    try:
        data = read_json(text)
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}; {ADVICE}") from None
    refuse_newer_schema(path, data, SCHEMA, "record")
    if isinstance(data, dict) and data.get("schema") == SCHEMA and RECORD_DIGEST not in data:
        raise IntegrityError(f"{path}: the record has no {RECORD_DIGEST}, which schema {SCHEMA} requires; {ADVICE}")
    if problem := jsonschema.exceptions.best_match(_validator().iter_errors(data)):
        raise UsageError(f"{path}: not a record: {problem.json_path}: {problem.message[:200]}")
    names = ("mode", "digest", "sources", "metric_code", "numerics", "seed")
    identity = Identity(**{name: data[name] for name in names})
    _check_digests(path, data, identity.key)
    fields = {name: data[name] for name in (*REQUIRED_FIELDS, "schema")}
    fields |= {name: data[name] for name in OPTIONAL_FIELDS if name in data}
    fields["findings"] = tuple(data.get("findings", ()))
    return Record(identity=identity, results=tuple(Result(**result) for result in data["results"]), **fields)


def _check_digests(path: Path, data: Mapping[str, Any], key: str) -> None:
    """Raise IntegrityError if a part of a record differs from its digest; the messages go from a part to the whole."""
    if key != data["key"]:
        raise IntegrityError(f"{path}: the key is {data['key']}, but the content has the key {key}")
    digests = {
        "digest": json_digest(data["recipe"]),
        "results_sha256": json_digest(data["results"]),
        RECORD_DIGEST: record_digest(data),
    }
    for name, found in digests.items():
        if data.get(name, found) != found:
            raise IntegrityError(
                f"{path}: the record was changed after the run: {name} is {data[name]}, but the content has {found};"
                f" {ADVICE}"
            )


def verify_files(path: Path, record: Record) -> None:
    """Check the SHA-256 of the prediction files beside a record file, and of the other recorded files that are there.

    Raises:
        IntegrityError: A file differs from the recorded one.
    """
    for name, expected in record.files.items():  # committed records leave out weights and logs
        file = path.parent / name
        if file.is_file() and (actual := sha256(file)) != expected:
            raise IntegrityError(f"{file}: expected sha256 {expected}, found {actual}")
    for result in record.results:
        file, expected = path.parent / result.predictions["file"], result.predictions["sha256"]
        if (actual := sha256(file)) != expected:
            raise IntegrityError(f"{file}: expected sha256 {expected}, found {actual}")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a record file."""
    data: dict[str, Any] = json.loads(Path(__file__).with_name("record.schema.json").read_text(encoding="utf-8"))
    return data


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())
