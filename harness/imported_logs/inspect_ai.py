"""Logs of inspect-ai: `.eval` (a zip file with a JSON file for each sample) and `.json`.

As inspect_ai 0.3 writes them (`inspect_ai/log/_recorders/eval.py`, `json.py`, `inspect_ai/log/_log.py`).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.imported_logs.collect import Collector
from harness.imported_logs.reading import (
    MAX_BYTES,
    check_size,
    digest,
    group_of,
    identifier,
    mapping,
    number,
    parse_object,
    part,
    read_document,
    stated,
    text_of,
    type_of,
)
from harness.imported_logs.types import ImportedLog, Sample
from harness.imported_logs.zip_members import ZipMembers
from zoo.errors import UsageError
from zoo.fetch.checksum import sha256
from zoo.safe_text import one_line

HEADER, START = "header.json", "_journal/start.json"
SAMPLES = "samples/"
WORDS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""Scores that inspect writes as texts: correct, incorrect, partial, no answer."""
MEANS = ("accuracy", "mean")
"""Metrics of inspect that are the mean of the samples."""


def read_log(path: Path, group_by: str) -> ImportedLog:
    """Return the log of a run of inspect-ai.

    Args:
        path: The log, `.eval` or `.json`.
        group_by: See `harness.imported_logs.reading.group_of`.

    Raises:
        UsageError: It is no log with samples.
        SourceError: The file cannot be read.
    """
    check_size(path, MAX_BYTES)
    is_zip = path.suffix == ".eval" or _starts_as_zip(path)
    header, samples = _of_zip(path) if is_zip else _of_json(path)
    spec = mapping(header.get("eval"))
    task = text_of(spec.get("task"))
    if not task:
        raise UsageError(f"{path}: no log of inspect-ai: it has no 'eval' with a 'task'")
    collector, unscored, findings = Collector(where=str(path)), 0, list[str]()
    for where, data in samples:
        scores = _scores(data)
        unscored += not scores
        if scores:
            collector.add(task, scores, _sample(data, task, group_by, where))
    if unscored:
        findings.append(f"{unscored:,} samples have no score and are left out")
    findings += _remarks(header)
    reported = {(task, name): score for name, score in _reported(header).items()}
    found = tuple(collector.scores(reported, findings, has_reported=bool(reported)))
    data_set = text_of(part(spec, "dataset", "location"))
    return ImportedLog(
        tool="inspect", version=text_of(part(spec, "packages", "inspect_ai")) or "unknown",
        model=text_of(spec.get("model")) or "unknown", revision="", precision=_precision(spec),
        device=text_of(part(spec, "model_args", "device")), created=_time(spec.get("created")),
        seconds=max(_time(part(header, "stats", "completed_at")) - _time(part(header, "stats", "started_at")), 0.0),
        scores=found, files={path.name: sha256(path)}, data_sets=stated({task: data_set}),
        details={"task_version": text_of(spec.get("task_version")), "epochs": _epochs(header)},
        findings=tuple(findings),
    )  # fmt: skip


def _of_zip(path: Path) -> tuple[Mapping[str, Any], Iterator[tuple[str, Mapping[str, Any]]]]:
    members = ZipMembers(path)
    names = list(members.names())
    header = next((name for name in (HEADER, START) if name in names), None)
    if header is None:
        raise UsageError(f"{path}: no log of inspect-ai: it has no {HEADER}")
    files = [name for name in names if name.startswith(SAMPLES) and name.endswith(".json")]
    read = (
        (f"{path}/{one_line(name)}", parse_object(members.read(name), f"{path}/{one_line(name)}")) for name in files
    )
    return parse_object(members.read(header), f"{path}/{header}"), read


def _of_json(path: Path) -> tuple[Mapping[str, Any], Iterator[tuple[str, Mapping[str, Any]]]]:
    data = read_document(path)
    samples = data.get("samples")
    if not isinstance(samples, list):
        raise UsageError(f"{path}: no log of inspect-ai with samples")
    return data, ((f"{path}, sample {number_ + 1}", mapping(sample)) for number_, sample in enumerate(samples))


def _starts_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _sample(data: Mapping[str, Any], task: str, group_by: str, where: str) -> Sample:
    document, epoch = identifier(data.get("id")), data.get("epoch", 1)
    if not document or type(epoch) is not int:
        raise UsageError(f"{where}: no sample of inspect-ai: it has no 'id' or no 'epoch'")
    fields = {**mapping(data.get("metadata")), "id": document, "input": data.get("input")}
    return Sample(
        document=document, content=digest(data.get("target"), data.get("choices"), _input(data.get("input"))),
        score=0.0, repeat=epoch,
        group=group_of(group_by, task=task, document=document, fields=fields, where=where),
    )  # fmt: skip


def _input(value: Any) -> Any:
    """Return the input without the identifiers of its messages, which are drawn at random."""
    if isinstance(value, list):
        return [[mapping(message).get("role"), mapping(message).get("content")] for message in value]
    return value


def _scores(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of a sample; those of a scorer with several values are named `scorer.value`."""
    found: dict[str, Any] = {}
    for scorer, score in mapping(data.get("scores")).items():
        value = mapping(score).get("value")
        if isinstance(value, dict):
            found |= {f"{text_of(scorer)}.{text_of(name)}": _number(inner) for name, inner in value.items()}
        else:
            found[text_of(scorer)] = _number(value)
    return found


def _number(value: Any) -> Any:
    """Return the number that a text of inspect stands for; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value in WORDS or value.lower() in WORDS:
        return WORDS.get(value, WORDS.get(value.lower()))
    try:
        return float(value)
    except ValueError:
        return value


def _reported(header: Mapping[str, Any]) -> dict[str, float]:
    """Return the means that the log states, by scorer; those of other reducers than the mean are not comparable."""
    found: dict[str, float] = {}
    scores = part(header, "results", "scores")
    for score in map(mapping, scores if isinstance(scores, list) else []):
        name, scorer = text_of(score.get("name")), text_of(score.get("scorer"))
        if score.get("reducer") not in (None, "mean"):
            continue
        for metric in MEANS:
            value = number(part(score, "metrics", metric, "value"))
            if value is not None:
                found[name if name == scorer or not scorer else f"{scorer}.{name}"] = value
    return found


def _remarks(header: Mapping[str, Any]) -> list[str]:
    """Return what a reader of the scores should know of the run."""
    remarks = []
    if (status := text_of(header.get("status"))) != "success":
        remarks.append(f"the run did not finish: its status is {status or 'unknown'}")
    scores = part(header, "results", "scores")
    reducers = {text_of(mapping(score).get("reducer")) for score in (scores if isinstance(scores, list) else [])}
    remarks += [
        f"the log reduces epochs by {name!r}; here each epoch is a sample, and the score is their mean"
        for name in sorted(reducers - {"", "mean"})
    ]
    return remarks


def _epochs(header: Mapping[str, Any]) -> str:
    return text_of(part(header, "eval", "config", "epochs")) or "1"


def _precision(spec: Mapping[str, Any]) -> str:
    found = part(spec, "model_args", "torch_dtype") or part(spec, "model_args", "dtype")
    return type_of(found)


def _time(value: Any) -> float:
    """Return a time in seconds since 1970; 0 if it is none."""
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else 0.0
    except (ValueError, OverflowError):
        return 0.0
