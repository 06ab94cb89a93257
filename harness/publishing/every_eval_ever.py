"""A run as a record of Every Eval Ever, schema 0.3.0, with a line for each example.

The schema: https://github.com/evaleval/every_eval_ever (`eval.schema.json`, `instance_level_eval.schema.json`)
"""

import hashlib
import json
import math
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.publishing.scores import SOURCE, DataSet, PublishedScore, digest_of
from harness.records.arrays import read_arrays
from harness.records.record import Result
from harness.records.recorded_entry import model_of
from zoo.recipes.claim import CORRELATIONS, SHARES
from zoo.tracebacks import project_version

VERSION = "0.3.0"
OWNER = "zoo-reproduce"
"""Stands for the owner of a model that is in no repository of the Hub."""
_PLAIN = (str, int, float, bool, type(None))
"""Types of the parameters of a metric."""
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)


def files_of(record: Path, scores: Sequence[PublishedScore]) -> dict[str, str]:
    """Return the files of each split: path below the folder of a data store -> content.

    A record of Every Eval Ever is about one data set, so each split has one of its own.

    Args:
        record: The record file; predictions are beside it.
        scores: The scores.
    """
    files: dict[str, str] = {}
    results = {(score.result.split, score.result.selection): score.result for score in scores}
    for result in results.values():
        of_result = [score for score in scores if score.result is result]
        arrays = read_arrays(record.parent / result.predictions["file"])
        files |= _files(arrays, result, of_result, str(int(record.stat().st_mtime)))
    return files


def _files(
    arrays: Mapping[str, NDArray[Any]], result: Result, scores: Sequence[PublishedScore], retrieved: str
) -> dict[str, str]:
    """Return the files of a split. `retrieved` is when its log was imported, which may be all that is known."""
    first = scores[0]
    name = str(uuid.UUID(bytes=digest_of(first, "every-eval-ever")[:16], version=4))
    model = model_of(first.record)
    model_id = str(model.name) if model else f"{OWNER}/{first.record.entry}"
    data = first.data_set
    collection = _safe("-".join(filter(None, [data.type.rpartition("/")[2], data.config])))
    folder = "/".join(["data", collection, *map(_safe, model_id.split("/"))])
    created = _seconds(first.date) if first.date else retrieved
    evaluation_id = f"{collection}/{model_id.replace('/', '__')}/{created}"
    lines = [
        json.dumps({**_ids(evaluation_id, model_id, f"{collection}/{first.name}"), **line}, sort_keys=True)
        for line in _instances(arrays, data, result)
    ]
    samples = "".join(f"{line}\n" for line in lines)
    content = {
        "schema_version": VERSION,
        "evaluation_id": evaluation_id,
        **({"evaluation_timestamp": created} if first.date else {}),
        "retrieved_timestamp": created,
        "source_metadata": {
            "source_type": "evaluation_run", "source_organization_name": SOURCE,
            "evaluator_relationship": "third_party",
        },
        "eval_library": _library(first),
        "model_info": _model_info(first, model_id),
        "evaluation_results": [_result(score, data, collection) for score in scores],
    }  # fmt: skip
    files = {}
    if lines:
        path = f"{folder}/{name}_samples.jsonl"
        digest = hashlib.sha256(samples.encode()).hexdigest()
        content["detailed_evaluation_results"] = {
            "format": "jsonl", "file_path": path, "hash_algorithm": "sha256", "checksum": digest,
            "total_rows": len(lines),
        }  # fmt: skip
        files[path] = samples
    return {f"{folder}/{name}.json": json.dumps(content, indent=2, allow_nan=False) + "\n", **files}


def _ids(evaluation_id: str, model_id: str, evaluation_name: str) -> dict[str, str]:
    return {
        "schema_version": VERSION, "evaluation_id": evaluation_id, "model_id": model_id,
        "evaluation_name": evaluation_name,
    }  # fmt: skip


def _model_info(score: PublishedScore, model_id: str) -> dict[str, Any]:
    repo, record = model_of(score.record), score.record
    source = str(record.recipe.get("weights", ""))
    pinned = record.provenance.get(source, {}).get("revision") or (repo.revision if repo else None)
    revision = pinned or record.imported.get("revision")
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights" if repo else "unknown",
        **({"weights_sha256": record.weights} if "weights_sha256" in score.facts else {}),
        **({"revision": revision} if revision else {}),
    }
    return {"name": model_id.rpartition("/")[2], "id": model_id, "additional_details": details}


def _result(score: PublishedScore, data: DataSet, collection: str) -> dict[str, Any]:
    details = {name: str(value) for name, value in score.facts.items() if name not in ("n", "weights_sha256")}
    return {
        "evaluation_name": f"{collection}/{score.name}",
        "source_data": _source_data(score, data),
        "metric_config": {**_metric_names(score), "lower_is_better": False, **_bounds(score.metric)},
        "score_details": {"score": score.value, "details": details, "uncertainty": _uncertainty(score)},
    }  # fmt: skip


def _metric_names(score: PublishedScore) -> dict[str, Any]:
    """Return the metric with its arguments; its id has the average, as in `f1_macro`."""
    if not score.arguments:
        return {"metric_id": score.name}
    average = score.arguments.get("average")
    parameters = {name: value if isinstance(value, _PLAIN) else str(value) for name, value in score.arguments.items()}
    metric_id = f"{score.hub_metric}_{average}" if isinstance(average, str) else score.hub_metric
    return {"metric_id": metric_id, "metric_name": score.title, "metric_parameters": parameters}


def _bounds(metric: str) -> dict[str, Any]:
    """Return the lowest and highest value of a metric; nothing for scores of other tools, which can be any number."""
    if metric == "mean_score":
        return {}
    return {"score_type": "continuous", "min_score": -1 if metric in CORRELATIONS else 0, "max_score": 1}


def _source_data(score: PublishedScore, data: DataSet) -> dict[str, Any]:
    rows = score.record.identity.sources["data"].get(score.result.split, {}).get("sha256")
    extra = {"rows_sha256": rows, "config": data.config, "revision": data.revision, "split": data.split}
    extra |= {"task": data.task}
    extra |= {"holdout": json.dumps(dict(data.holdout), sort_keys=True)} if data.holdout else {}
    extra |= {"chosen_rows": data.rows}
    details = {name: value for name, value in extra.items() if value}
    if not data.is_on_hub:
        return {"dataset_name": data.name, "source_type": "other", "additional_details": details}
    return {
        "dataset_name": data.name, "source_type": "hf_dataset", "hf_repo": data.type, "hf_split": data.split,
        "samples_number": score.result.n, "additional_details": details,
    }  # fmt: skip


def _uncertainty(score: PublishedScore) -> dict[str, Any]:
    n = score.result.n
    if score.metric not in SHARES:
        return {"num_samples": n}
    error = math.sqrt(max(score.value * (1 - score.value), 0.0) / n)
    return {"num_samples": n, "standard_error": {"value": error, "method": "binomial"}}


def _instances(arrays: Mapping[str, NDArray[Any]], data: DataSet, result: Result) -> Iterator[dict[str, Any]]:
    """Yield a line for each example, without its input, which a record does not hold.

    There are none for segmentations, regressions and imported logs, and for outputs of which only ranks are recorded.
    """
    predictions, labels = arrays.get("predictions"), arrays.get("labels")
    if predictions is None or labels is None or "groups" in arrays or np.issubdtype(predictions.dtype, np.floating):
        return
    for row, (prediction, label) in enumerate(zip(predictions.tolist(), labels.tolist(), strict=True)):
        is_right = prediction == label
        yield {
            "sample_id": str(row),
            "interaction_type": "single_turn",
            "input": {"raw": f"row {row} of {result.split} of {data.name}", "reference": [str(label)]},
            "output": {"raw": [str(prediction)]},
            "answer_attribution": [
                {
                    "turn_idx": 0, "source": "output.raw", "extracted_value": str(prediction),
                    "extraction_method": "class number", "is_terminal": True,
                }
            ],
            "evaluation": {"score": float(is_right), "is_correct": is_right},
        }  # fmt: skip


def _library(score: PublishedScore) -> dict[str, str]:
    """Return the tool that made the evaluation."""
    if log := score.record.imported:
        return {"name": log["tool"], "version": log["version"]}
    return {"name": SOURCE, "version": str(score.record.environment["packages"].get(SOURCE) or project_version())}


def _seconds(date: str) -> str:
    return str(int(datetime.fromisoformat(date).timestamp()))


def _safe(name: str) -> str:
    return _UNSAFE.sub("-", name).strip(".-") or "unnamed"
