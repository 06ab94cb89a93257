"""A user's own weights or predictions on an entry's task."""

from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from harness.evaluation.evaluate import Evaluation, score
from harness.metrics import Array
from harness.runs.experiment import Experiment, trained_weights
from zoo.errors import SourceError, UsageError, did_you_mean

TABLES = (".csv", ".tsv", ".jsonl")
PREDICTIONS = (*TABLES, ".npz")


def score_file(study: Experiment, path: Path, split: str | None = None) -> Iterator[Evaluation]:
    """Score a file: predictions by their ending, else weights; a folder stands for the weights in it.

    `split` is the one that predictions are of, the task's first scored one when None; weights are scored on all.
    """
    if path.is_dir():
        yield from study.evaluations(study.model_with(trained_weights(path, f"file:{path}")))
        return
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    if path.suffix not in PREDICTIONS:
        yield from study.evaluations(study.model_with(study.sources.fetch(f"file:{path}")))
        return
    name = split or study.task.scored[0]
    if study.task.kind == "segmentation":
        raise UsageError(f"{path}: predictions of {study.task.name} are masks, which are not read; give weights")
    labels = study.task.load(name).labels.numpy()
    if name not in study.task.scored:
        raise UsageError(f"the split {name!r} is not scored; {', '.join(study.task.scored)} is")
    predictions = _matched(path, study.task.kind, labels, study.task.class_names)
    yield score(name, {"predictions": predictions, "labels": labels}, study.metrics)


def _matched(path: Path, kind: str, labels: Array, names: tuple[str, ...]) -> Array:
    """The file's predictions in the split's order, as classes or targets. Raises UsageError for what does not fit."""
    ids, given = _read(path)
    if ids is not None:
        expected = np.arange(len(labels))
        missing, extra = np.setdiff1d(expected, ids), np.setdiff1d(ids, expected)
        if len(missing) or len(extra) or len(ids) != len(labels):
            raise UsageError(f"{path}: ids must be 0 to {len(labels) - 1}, each once: {_ids(missing, extra, ids)}")
        given = given[np.argsort(ids)]
    if len(given) != len(labels):
        raise UsageError(f"{path}: {len(given)} predictions for {len(labels)} examples")
    if given.dtype.kind in "OUT":
        unknown = next((str(word) for word in given if word not in names), None)
        if unknown is not None:
            raise UsageError(f"{path}: {unknown!r} is no label of this task{did_you_mean(unknown, list(names))}")
        given = np.array([names.index(word) for word in given])
    if given.dtype.kind not in "iuf" or not np.isfinite(given).all():
        raise UsageError(f"{path}: predictions must be finite numbers or names of labels")
    if given.shape != labels.shape:
        raise UsageError(f"{path}: predictions are {given.shape}, the labels {labels.shape}")
    if kind != "regression":
        if (given != given.astype(np.int64)).any():
            raise UsageError(f"{path}: predictions of classes must be whole numbers")
        return given.astype(np.int64)
    return given.astype(np.float32)


def _ids(missing: Array, extra: Array, ids: Array) -> str:
    if len(missing):
        return f"{missing[0]} is missing"
    return f"{extra[0]} is too many" if len(extra) else f"{len(ids)} rows hold some twice"


def _read(path: Path) -> tuple[Array | None, Array]:
    """Ids (None: rows are in order) and predictions of a table with these columns, or of the arrays of an .npz."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return None, arrays["predictions"]
        separator = "\t" if path.suffix == ".tsv" else ","
        table = pd.read_json(path, lines=True) if path.suffix == ".jsonl" else pd.read_csv(path, sep=separator)
        prediction = next(name for name in ("prediction", "predictions") if name in table)
        return (table["id"].to_numpy() if "id" in table else None), table[prediction].to_numpy()
    except (KeyError, StopIteration):
        raise UsageError(f"{path}: no column 'prediction'") from None
    except (ValueError, OSError, BadZipFile) as error:
        raise UsageError(f"{path}: cannot be read as predictions: {error}") from None
