"""Make a record of an imported log: the correctness of each example, and where the log came from."""

import hashlib
import inspect
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import metrics
from harness.imported_logs.types import DOCUMENT, TASK, ImportedLog, TaskScores
from harness.metrics import measure
from harness.records.digests import json_digest
from harness.records.record import FILE, Identity, Record, Result, read_record
from harness.records.recorded_claims import CLAIMS, claims_text
from harness.records.run_folder import new_folder
from zoo.errors import SourceError
from zoo.fetch.checksum import sha256
from zoo.fetch.source_types import HUB, REPOSITORY
from zoo.recipes.claim import Claim, Precision
from zoo.tracebacks import project_version

SUITE = "imported"
PRECISIONS: Mapping[str, Precision] = {
    "float32": "fp32", "fp32": "fp32", "bfloat16": "bf16", "bf16": "bf16", "float16": "fp16", "fp16": "fp16",
}  # fmt: skip
UNKNOWN_PRECISION: Precision = "bf16"
"""The precision of a log that does not state one: the one with the largest tolerance."""
MOST_DATE = 32_503_680_000.0
"""The year 3000, in seconds since 1970."""


def entry_name(log: ImportedLog) -> str:
    """Return the name of a log's entry, such as `lm-eval-pythia-14m`."""
    model = re.sub(r"[^\w.-]+", "-", log.model.rstrip("/").rpartition("/")[2], flags=re.ASCII).strip(".-")
    return f"{log.tool}-{model or 'model'}"[:100]


def write_run(log: ImportedLog, group_by: str, folder: Path | None, runs: Path, claims: Sequence[Claim]) -> Path:
    """Write the run of a log, and return its record file. A run that exists already is not written again.

    Args:
        log: The log.
        group_by: How its samples were grouped.
        folder: The folder of the run; None for one in `runs`.
        runs: The folder of all runs.
        claims: Claims about the log, which are written beside the record.

    Raises:
        SourceError: The folder cannot be written, or holds another run or something else.
    """
    files = {f"predictions-{number}.npz": _arrays(scores) for number, scores in enumerate(log.scores)}
    results = [
        _result(scores, name, content) for scores, (name, content) in zip(log.scores, files.items(), strict=True)
    ]
    record = _record(log, group_by, results)
    final = folder or runs / record.entry / record.identity.folder
    is_there = _is_there(final, record)
    if is_there and not claims:
        return final / FILE
    with new_folder(final, record.identity.key, replaces=is_there) as partial:
        for name, arrays in files.items():
            (partial / name).write_bytes(_npz(arrays))
        if claims:
            (partial / CLAIMS).write_text(claims_text(claims), encoding="utf-8")
        sealed = record.sealed({file.name: sha256(file) for file in sorted(partial.iterdir())})
        (partial / FILE).write_text(sealed.to_json(), encoding="utf-8")
    return final / FILE


def _is_there(folder: Path, record: Record) -> bool:
    """Return whether a folder has the run of a record already. Raise SourceError if it has another run."""
    if not (folder / FILE).is_file():
        return False
    found = read_record(folder / FILE)
    if found.identity != record.identity:
        raise SourceError(f"{folder} has another run, of {found.entry}, which is not replaced; pass another --out")
    return True


def precision_of(log: ImportedLog) -> Precision:
    """Return the precision of a log's model."""
    return PRECISIONS.get(log.precision.lower(), UNKNOWN_PRECISION)


def _arrays(scores: TaskScores) -> dict[str, NDArray[Any]]:
    """Return the arrays of a result: whether each example is right, or its score, and the number of its group."""
    values = np.array([sample.score for sample in scores.samples], dtype=np.float64)
    is_binary = bool(np.isin(values, (0.0, 1.0)).all())
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(sample.group, len(numbers)) for sample in scores.samples]
    return {
        "predictions": values.astype(np.int64) if is_binary else values,
        "labels": np.ones(len(values), np.int64) if is_binary else np.zeros(len(values), np.float64),
        "groups": np.array(groups, dtype=np.int64),
    }


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _result(scores: TaskScores, name: str, arrays: Mapping[str, NDArray[Any]]) -> Result:
    metric = _metric_of(arrays)
    value, step = measure(getattr(metrics, metric), arrays)
    return Result(
        split=scores.split, n=len(scores.samples), selection="last",
        metrics={metric: {"value": value, "one_prediction": step}},
        predictions={"file": name, "sha256": hashlib.sha256(_npz(arrays)).hexdigest()},
    )  # fmt: skip


def _metric_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    return "mean_score" if np.issubdtype(arrays["predictions"].dtype, np.floating) else "accuracy"


def _record(log: ImportedLog, group_by: str, results: Sequence[Result]) -> Record:
    names = list(dict.fromkeys(metric for result in results for metric in result.metrics))
    recipe = _recipe(log, names)
    rows = {
        scores.split: {
            "rows": len(scores.samples),
            "sha256": json_digest([[sample.document, sample.repeat, sample.content] for sample in scores.samples]),
        }
        for scores in log.scores
    }
    identity = Identity(
        mode="weights", digest=json_digest(recipe), sources={"files": dict(log.files), "data": rows},
        metric_code={name: _code(name) for name in names},
        numerics={"precision": precision_of(log), "device": log.device or "unknown"}, seed=None,
    )  # fmt: skip
    findings = list(log.findings)
    if not log.precision or log.precision.lower() not in PRECISIONS:
        findings.append(f"the log states no precision that zoo knows, so it counts as {UNKNOWN_PRECISION}")
    return Record(
        entry=entry_name(log), suite=SUITE, identity=identity, recipe=recipe, weights=_model_digest(log),
        results=tuple(results), environment=_environment(log),
        cost={"seconds": round(log.seconds, 3), "peak_memory_bytes": 0}, created=_created(log.created),
        findings=tuple(findings), imported=_imported(log, group_by),
    )  # fmt: skip


def _recipe(log: ImportedLog, names: Sequence[str]) -> dict[str, Any]:
    """Return what stands for a recipe: the tasks of the tool and the model, by which publications name them."""
    sets = list(dict.fromkeys(log.data_sets.values()))
    on_hub = len(sets) == 1 and REPOSITORY.fullmatch(sets[0])
    task = {"use": f"{SUITE}.{log.tool}", "tasks": list(dict.fromkeys(scores.task for scores in log.scores))}
    task |= {"data": f"{HUB}datasets/{sets[0]}"} if on_hub else {}
    weights = {"weights": f"{HUB}{log.model}"} if REPOSITORY.fullmatch(log.model) and "/" in log.model else {}
    return {"name": entry_name(log), "task": task, "metrics": [{"use": name} for name in names], **weights}


def _imported(log: ImportedLog, group_by: str) -> dict[str, Any]:
    shared = {DOCUMENT: "a document", TASK: "a task"}.get(group_by, f"the field {group_by}")
    reported = {scores.split: scores.reported for scores in log.scores if scores.reported is not None}
    subsets = {task: dict(subset) for task, subset in log.subsets.items() if subset}
    return {
        "tool": log.tool, "version": log.version, "model": log.model, "groups": shared, "reported": reported,
        "subsets": subsets, "states": {"precision": log.precision.lower() in PRECISIONS, "date": log.created > 0},
        **({"revision": log.revision} if log.revision else {}),
        **({"details": dict(log.details)} if log.details else {}),
    }  # fmt: skip


def _environment(log: ImportedLog) -> dict[str, Any]:
    packages = {log.tool: log.version, **log.packages, "zoo-reproduce": project_version()}
    return {
        "commit": None, "dirty": None, "python": "unknown", "platform": "unknown", "packages": packages,
        "device": log.device or "unknown", "threads": 1, "deterministic": False,
    }  # fmt: skip


def _model_digest(log: ImportedLog) -> str:
    text = json.dumps({"model": log.model, "revision": log.revision}, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _code(name: str) -> str:
    return hashlib.sha256(inspect.getsource(getattr(metrics, name)).encode()).hexdigest()


def _created(seconds: float) -> str:
    known = seconds if math.isfinite(seconds) and 0 <= seconds < MOST_DATE else 0.0
    return datetime.fromtimestamp(known, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
