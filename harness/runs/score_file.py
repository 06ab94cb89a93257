"""Score a user's weights or predictions on an entry's task."""

from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from harness.evaluation.evaluate import Evaluation, check_finite, score
from harness.metrics import Array
from harness.runs.experiment import Experiment
from harness.runs.teachers import trained_weights
from zoo.errors import SourceError, UsageError, did_you_mean
from zoo.fetch.source_types import LocalFile

TABLES = (".csv", ".tsv", ".jsonl")
PREDICTIONS = (*TABLES, ".npz")


def score_file(experiment: Experiment, path: Path, split: str | None = None) -> Iterator[Evaluation]:
    """Score predictions or weights.

    Args:
        experiment: The entry whose task, model and metrics are used.
        path: A file of predictions (`.csv`, `.tsv`, `.jsonl`, `.npz`), any other file for weights, or the folder of a
            training run for the weights in it.
        split: The split that the predictions are for; the task's first scored one if left out. Weights are scored on
            all scored splits.

    Raises:
        SourceError: The file does not exist.
        UsageError: The predictions cannot be read or do not fit the split, or outputs of the model are not finite.
    """
    if path.is_dir():
        weights = trained_weights(path, str(LocalFile(str(path))))
        yield from _finite(path, experiment.evaluations(experiment.model_with(weights)))
        return
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    if path.suffix not in PREDICTIONS:
        weights = experiment.sources.fetch(LocalFile(str(path)))
        yield from _finite(path, experiment.evaluations(experiment.model_with(weights)))
        return
    task, name = experiment.task, split or experiment.task.scored[0]
    if task.kind == "segmentation":
        raise UsageError(f"{path}: predictions of {task.name} are masks, which cannot be read; pass weights instead")
    labels = task.load(name).labels.numpy()
    if name not in task.scored:
        raise UsageError(f"the split {name!r} is not scored; {', '.join(task.scored)} is")
    predictions = _read_predictions(path, task.kind, labels, task.class_names)
    yield score(name, {"predictions": predictions, "labels": labels}, experiment.metrics)


def _finite(path: Path, evaluations: Iterator[Evaluation]) -> Iterator[Evaluation]:
    """Yield the evaluations of weights; raises UsageError for one with outputs that are not finite."""
    for evaluation in evaluations:
        try:
            check_finite(evaluation.split, evaluation.arrays)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
        yield evaluation


def _read_predictions(path: Path, kind: str, labels: Array, class_names: tuple[str, ...]) -> Array:
    """Return predictions in the order of the split, as classes or targets; raises UsageError if they do not fit."""
    ids, predictions = _read(path)
    if ids is not None:
        predictions = predictions[_order(path, ids, len(labels))]
    if len(predictions) != len(labels):
        raise UsageError(f"{path}: {len(predictions)} predictions for {len(labels)} examples")
    if predictions.dtype.kind in "OUT":
        unknown = next((str(word) for word in predictions if word not in class_names), None)
        if unknown is not None:
            suggestion = did_you_mean(unknown, list(class_names))
            raise UsageError(f"{path}: {unknown!r} is not a label of this task{suggestion}")
        predictions = np.array([class_names.index(word) for word in predictions])
    if predictions.dtype.kind not in "iuf" or not np.isfinite(predictions).all():
        raise UsageError(f"{path}: predictions must be finite numbers or names of labels")
    if predictions.shape != labels.shape:
        raise UsageError(f"{path}: predictions have the shape {predictions.shape}, the labels {labels.shape}")
    if kind == "regression":
        return predictions.astype(np.float32)
    if (predictions != predictions.astype(np.int64)).any():
        raise UsageError(f"{path}: predictions of classes must be whole numbers")
    return predictions.astype(np.int64)


def _order(path: Path, ids: Array, rows: int) -> Array:
    """Return the positions of the ids 0, 1, 2, ...; raises UsageError unless each of them occurs once."""
    expected = np.arange(rows)
    missing, extra = np.setdiff1d(expected, ids), np.setdiff1d(ids, expected)
    if len(missing):
        problem = f"{missing[0]} is missing"
    elif len(extra):
        problem = f"there is no row {extra[0]}"
    elif len(ids) != rows:
        problem = f"some of the {len(ids)} occur twice"
    else:
        return np.argsort(ids)
    raise UsageError(f"{path}: ids must be 0 to {rows - 1}, each once: {problem}")


def _read(path: Path) -> tuple[Array | None, Array]:
    """Return the ids, None if the rows are in order, and the predictions of a table or an `.npz` file."""
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
