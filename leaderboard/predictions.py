"""The pictures of the predictions in a record: a reliability diagram and a confusion matrix for each split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.judging.measure import read_decisions
from harness.records.arrays import rows_not_finite
from harness.records.record import RecordedRun, Result
from leaderboard.calibration import Diagram, diagram_of
from leaderboard.confusion_matrix import ConfusionMatrix, confusion_matrix
from zoo.recipes.catalogue import Entry

MOST_CLASSES = 100_000
"""A damaged record may have larger class numbers; counting them would fill the memory."""


@dataclass(frozen=True, kw_only=True)
class SplitPredictions:
    """The predictions of one run on one split. `why` says why there is no diagram."""

    split: str
    run: str
    confusion: ConfusionMatrix
    diagram: Diagram | None
    why: str


def predictions_of(entry: Entry, records: Sequence[RecordedRun]) -> list[SplitPredictions]:
    """Return the pictures of an entry by split: of the published weights, else of the training with the first seed.

    Tasks that do not predict one class for each example have none, and neither have runs with outputs that are not
    finite.
    """
    current = [run for run in records if run[1].identity.digest == entry.recipe.digest] or list(records)
    ordered = sorted(current, key=lambda run: (run[1].identity.mode == "retrain", run[1].identity.seed or 0))
    found: dict[str, SplitPredictions] = {}
    for run in ordered[:1]:
        for result in run[1].results:
            if (pictures := _of_result(run, result, _names(entry))) is not None:
                found[result.split] = pictures
    return list(found.values())


def _of_result(run: RecordedRun, result: Result, names: Sequence[str]) -> SplitPredictions | None:
    arrays, seed = read_decisions(run[0], result), run[1].identity.seed
    labels, predictions, logits = (arrays.get(name) for name in ("labels", "predictions", "logits"))
    if labels is None or predictions is None or rows_not_finite(arrays):
        return None
    if not all(array.ndim == 1 and array.dtype.kind in "iu" and array.min() >= 0 for array in (labels, predictions)):
        return None
    has_logits = logits is not None and logits.ndim == 2 and logits.shape[1] > 1
    if (classes := int(max(labels.max(), predictions.max())) + 1) > MOST_CLASSES:
        return None
    diagram, why = None, "The record has the predicted classes and no logits, so there is no reliability diagram."
    if logits is not None and not has_logits:
        why = "The logits in the record have no column for each class, so there is no reliability diagram."
    if logits is not None and has_logits:
        classes = max(classes, logits.shape[1])
        if np.array_equal(logits.argmax(axis=1), predictions):
            diagram, why = diagram_of(logits, predictions, labels), ""
        else:
            why = "The predictions are not the classes of the largest logits, so there is no reliability diagram."
    return SplitPredictions(
        split=result.split,
        run="the published weights" if seed is None else f"the training with seed {seed}",
        confusion=confusion_matrix(labels, predictions, classes, names),
        diagram=diagram,
        why=why,
    )


def _names(entry: Entry) -> tuple[str, ...]:
    """Return the names of the classes that the recipe lists; none if only the data set knows them."""
    for key in ("label_names", "classes"):
        listed = entry.recipe.task.args.get(key)
        if isinstance(listed, Iterable) and not isinstance(listed, str):
            return tuple(map(str, listed))
    return ()
