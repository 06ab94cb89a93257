"""Score an existing training again if only the metrics of its recipe have changed, instead of training again."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from harness.evaluation.evaluate import Evaluation, score
from harness.evaluation.metric_trial import ranked_classes
from harness.judging.measure import read_predictions
from harness.metrics import Array, Metric, reads
from harness.records.check import verify_record
from harness.records.record import FILE, Identity, Record, RecordedRun, Result, read_record
from harness.runs.unfinished import training_key
from zoo.errors import IntegrityError, ZooError
from zoo.fetch.checksum import sha256
from zoo.progress import Report
from zoo.recipes.claim import Selection

SCORED_FILES = ("predictions-*.npz", FILE, "README.md", "*.yaml", "*.yml")
"""The files of a run that depend on its metrics, and the recipes of teachers, which are copied from the recipe."""


def find_same_training(
    folders: Sequence[Path], key: str, metrics: Mapping[str, Metric], report: Report
) -> RecordedRun | None:
    """Return a complete run with this training key whose predictions all the metrics can be computed from.

    Args:
        folders: The folders of runs to search.
        key: The training key.
        metrics: The metrics to compute.
        report: Called for a run that is not used because its files differ from its record.
    """
    for path in (folder / FILE for folder in folders):
        try:
            record = read_record(path)
            if training_key(record.identity, record.recipe) != key or record.failure:
                continue
            verify_record(path, record)
            arrays = [_arrays(path, result, metrics) for result in record.results]
        except IntegrityError as error:
            report(f"not scored again, because it is damaged: {error}")
            continue
        except ZooError:
            continue
        if all(set(reads(metric)) <= set(found) for metric in metrics.values() for found in arrays):
            return path, record
    return None


def score_again(run: RecordedRun, metrics: Mapping[str, Metric]) -> Iterator[tuple[Evaluation, Selection]]:
    """Yield the evaluations of a run, computed again from its predictions, each with the epoch that was scored."""
    path, record = run
    for result in record.results:
        scored = score(result.split, _arrays(path, result, metrics), metrics)
        scored = replace(scored, inference=result.inference, scoring=result.scoring)
        yield scored, cast(Selection, result.selection)


def copy_training(run: RecordedRun, weights: str, folder: Path) -> None:
    """Copy the files of a run that do not depend on its metrics into another folder.

    Args:
        run: The run.
        weights: The name of its weights file.
        folder: The folder.

    Raises:
        IntegrityError: The weights differ from the recorded ones.
    """
    path, record = run
    for file in sorted(path.parent.iterdir()):
        if file.is_file() and not any(file.match(pattern) for pattern in SCORED_FILES):
            shutil.copyfile(file, folder / file.name)
    if (found := sha256(folder / weights)) != record.weights:
        raise IntegrityError(f"{path.parent / weights}: expected sha256 {record.weights}, found {found}")


def same_training(record: Record, identity: Identity, recipe: Mapping[str, Any]) -> bool:
    """Return whether a recorded run is this training with other metrics."""
    return training_key(record.identity, record.recipe) == training_key(identity, recipe)


def _arrays(path: Path, result: Result, metrics: Mapping[str, Metric]) -> dict[str, Array]:
    """Return the arrays of a prediction file, and the most likely classes if a metric reads them."""
    arrays = read_predictions(path, result)
    if any("ranked" in reads(metric) for metric in metrics.values()) and "logits" in arrays:
        arrays["ranked"] = ranked_classes(torch.as_tensor(arrays["logits"])).numpy()
    return arrays
