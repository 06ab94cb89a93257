"""Remark scores at chance level: of constant predictions, or no better than always predicting one class.

Never imports torch.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.judging.baselines import constant_value, majority_baseline, without_arguments
from harness.judging.paired import sign_test
from harness.judging.statistics import ALPHA
from harness.records.arrays import rows_not_finite
from zoo.recipes.claim import CORRELATIONS, SHARES

Array = NDArray[Any]
CHANCE = "chance level: "
"""How every remark begins."""
QUANTILE = 1.645
"""The one-sided 95 % quantile of the normal distribution: chance alone rarely exceeds it."""
ROUNDING = 1e-9
NOT_LEARNED = "the model has not learned"


def chance_remarks(
    split: str,
    arrays: Mapping[str, Array],
    scores: Mapping[str, float | None],
    *,
    recipe: Mapping[str, Any],
    class_names: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return a sentence for each score of an evaluation that shows nothing learned; none if all are above chance.

    A score of predictions that vary is at chance level if it does not exceed that of always predicting the most
    frequent class, or 0 for a correlation, by more than the sampling error of the rows. Labels that are all the same
    cannot show what a model has learned, so nothing is remarked then.

    Args:
        split: The name of the split, for the sentences.
        arrays: The arrays of the evaluation, see `harness.evaluation.evaluate.Evaluation`.
        scores: Metric -> score; None or NaN if it is not defined.
        recipe: The recipe as data. The baselines of metrics that it calls with arguments are not known.
        class_names: The names of the classes in order.
    """
    if rows_not_finite(arrays):
        return ()
    known = {name: _not_nan(value) for name, value in scores.items() if without_arguments(recipe, name)}
    if "confusion" in arrays:
        remarks = _of_pixels(split, arrays["confusion"].sum(axis=0), known, class_names)
    elif "predictions" not in arrays:
        return ()
    else:
        remarks = _of_rows(split, arrays["predictions"], arrays["labels"], known, class_names)
    return tuple(f"{CHANCE}{remark}" for remark in remarks)


def _of_rows(
    split: str, predictions: Array, labels: Array, scores: Mapping[str, float | None], class_names: Sequence[str]
) -> Iterator[str]:
    if constant_value(labels) is not None:
        return
    value = constant_value(predictions)
    if value is None:
        yield from _no_better(split, scores, predictions, labels, class_names)
        return
    shown = "; ".join(filter(None, (_beside_majority(name, score, labels) for name, score in scores.items())))
    what = _described(value, class_names)
    yield f"all {len(labels):,} predictions on {split} are {what}: {NOT_LEARNED}{f' ({shown})' if shown else ''}"


def _of_pixels(
    split: str, counts: Array, scores: Mapping[str, float | None], class_names: Sequence[str]
) -> Iterator[str]:
    """Yield the remarks on the number of pixels of class i that are predicted as class j, `(C, C)`."""
    labels, predicted = counts.sum(axis=1), np.flatnonzero(counts.sum(axis=0))
    baseline, score = float(labels.max() / max(1, labels.sum())), scores.get("pixel_accuracy")
    if np.count_nonzero(labels) < 2:
        return
    if len(predicted) == 1:
        name = _class_name(int(predicted[0]), class_names)
        shown = "" if score is None else f" (pixel_accuracy {score:.4f}, of the most frequent class {baseline:.4f})"
        yield f"all pixels on {split} are predicted as {name}: {NOT_LEARNED}{shown}"
    elif score is not None and score <= baseline + ROUNDING:
        name = _class_name(int(labels.argmax()), class_names)
        yield f"pixel_accuracy {score:.4f} on {split} is no better than always predicting {name}, {baseline:.4f}"


def _described(value: Array, class_names: Sequence[str]) -> str:
    """Return the prediction that all rows have: a number, a class, or zeros and ones `(C,)`."""
    if value.ndim:
        chosen = [_class_name(int(number), class_names) for number in np.flatnonzero(value)]
        return f"the same classes, {', '.join(chosen)}" if chosen else "without any class"
    if np.issubdtype(value.dtype, np.floating):
        return f"{float(value):.4g}"
    return f"class {_class_name(int(value), class_names)}"


def _beside_majority(metric: str, score: float | None, labels: Array) -> str:
    """Return a score of constant predictions beside that of the most frequent class."""
    if metric in CORRELATIONS:
        return f"{metric} is {'not defined' if score is None else f'{score:.4f}'}"
    baseline = majority_baseline(metric, labels)
    if baseline is None or score is None:
        return ""
    if abs(score - baseline) < ROUNDING:
        return f"{metric} {score:.4f} is the majority rate" if metric in SHARES else f"{metric} {score:.4f}"
    constant = "the same classes for every row" if labels.ndim == 2 else "the most frequent class"
    return f"{metric} {score:.4f}, of {constant} {baseline:.4f}"


def _no_better(
    split: str, scores: Mapping[str, float | None], predictions: Array, labels: Array, class_names: Sequence[str]
) -> Iterator[str]:
    """Yield the remarks on scores of predictions that vary."""
    rows = len(labels)
    for metric, score in scores.items():
        baseline = majority_baseline(metric, labels)
        if score is None or baseline is None:
            continue
        error = _sampling_error(metric, baseline, rows)
        if metric == "accuracy" and labels.ndim == 1 and _beats_majority(predictions, labels):
            continue
        if score <= baseline + error + ROUNDING:
            chance = "0"
            if metric not in CORRELATIONS:
                chance = f"always predicting {_constant(labels, metric, class_names)}, {baseline:.4f}"
            within = f" (sampling error of {rows:,} rows: {error:.4f})" if error else ""
            yield f"{metric} {score:.4f} on {split} is no better than {chance}{within}"


def _constant(labels: Array, metric: str, class_names: Sequence[str]) -> str:
    """Return the prediction that a baseline is the score of."""
    if labels.ndim == 2:
        return "the same classes for every row"
    return " or ".join(_class_name(number, class_names) for number in _most_frequent(labels, metric))


def _beats_majority(predictions: Array, labels: Array) -> bool:
    """Return whether more rows are right than by always predicting the most frequent class, by an exact sign test.

    Both scores are of the same rows, so only the rows that one of them has right count: with rare classes the
    sampling error of the rows says little.
    """
    frequent = labels == _most_frequent(labels, "accuracy")[0]
    right = predictions == labels
    gained, lost = int(np.sum(right & ~frequent)), int(np.sum(~right & frequent))
    return gained > lost and sign_test(gained, lost) < ALPHA


def _sampling_error(metric: str, baseline: float, rows: int) -> float:
    """Return by how much a score may exceed its baseline by chance; 0 where it is unknown."""
    if metric in CORRELATIONS:
        return QUANTILE / math.sqrt(rows)
    return QUANTILE * math.sqrt(baseline * (1 - baseline) / rows) if metric in SHARES else 0.0


def _most_frequent(labels: Array, metric: str) -> list[int]:
    """Return the most frequent class, or the five most frequent ones for the top-5 accuracy."""
    classes, counts = np.unique(labels, return_counts=True)
    order = classes[np.argsort(-counts, kind="stable")]
    return [int(number) for number in order[: 5 if metric == "top5_accuracy" else 1]]


def _class_name(number: int, class_names: Sequence[str]) -> str:
    return repr(class_names[number]) if number < len(class_names) else str(number)


def _not_nan(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
