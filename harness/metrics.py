"""Metrics: plain functions of predictions and labels, both of shape `(N,)`, built on scikit-learn and scipy.

The name of a metric's first argument says what it reads. `ranked` is the five most likely classes of each example,
`(N, 5)`, most likely first. `confusion` is the number of pixels of class i predicted as class j in each image,
`(N, C, C)`. Metrics of structured predictions are in modules of their own, such as `harness.entity_metrics`. Any other
metric reads the predictions and the labels.

Scores are fractions; correlations lie in [-1, 1]. An undefined metric is NaN, such as the correlation of constant
predictions; no claim is compared with NaN. `harness.evaluate_metrics` offers the metrics as `evaluate.Metric` objects.

A record holds the SHA-256 of each metric's source text, including its docstring. So a change to a function below that
is a metric, or that a metric calls, changes the key of new records.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sklearn_metrics

from harness.answer_metrics import one_answer
from harness.detection_changes import one_detection
from harness.entity_metrics import one_entity, one_word
from harness.metric_changes import (
    AVERAGES,
    confusion_matrix,
    largest_f1_change,
    largest_matthews_change,
    trials,
)

Array = NDArray[np.generic]
Metric = Callable[..., float]
READS = {
    "ranked": ("ranked", "labels"), "confusion": ("confusion",), "entities": ("entities",), "words": ("words",),
    "answers": ("answers",), "detections": ("detections", "objects"),
}  # fmt: skip
"""First argument of a metric -> the arrays that it reads."""

MANY_CLASSES = 10
"""With more classes, trying every changed prediction takes long."""
CORRELATION_STEP = 5e-4
"""The tolerance of a correlation, because a single real-valued prediction has no fixed effect on it."""


def accuracy(predictions: Array, labels: Array) -> float:
    """The share of predictions that equal their label."""
    return float(sklearn_metrics.accuracy_score(labels, predictions))


def top5_accuracy(ranked: Array, labels: Array) -> float:
    """The share of labels that are among the five most likely classes."""
    return float(np.mean(np.any(ranked[:, :5] == labels[:, None], axis=1)))


def mean_iou(confusion: Array) -> float:
    """The mean over classes of intersection over union, `TP / (TP + FP + FN)`, of all pixels that are labelled.

    Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2015. NaN where a class neither occurs nor is
    predicted, as in torchvision's reference.
    """
    counts = confusion.sum(axis=0).astype(np.float64)
    right = np.diag(counts)
    with np.errstate(invalid="ignore"):
        return float(np.mean(right / (counts.sum(axis=1) + counts.sum(axis=0) - right)))


def pixel_accuracy(confusion: Array) -> float:
    """The share of labelled pixels that are predicted rightly."""
    counts = confusion.sum(axis=0).astype(np.float64)
    return float(np.trace(counts) / counts.sum())


def f1(predictions: Array, labels: Array, *, average: str = "binary") -> float:
    """`2 TP / (2 TP + FP + FN)`; `average` as in scikit-learn, 0 where nothing is predicted positive."""
    return float(sklearn_metrics.f1_score(labels, predictions, average=average, zero_division=0.0))


def f1_micro(predictions: Array, labels: Array) -> float:
    """F1 of several labels at once, `(N, C)`, every one counted alike: `2 TP / (2 TP + FP + FN)` over all of them."""
    return f1(predictions, labels, average="micro")


def f1_macro(predictions: Array, labels: Array) -> float:
    """The mean of the F1 of all classes, every class counted alike; also of several labels at once, `(N, C)`."""
    return f1(predictions, labels, average="macro")


def f1_of_class(predictions: Array, labels: Array, *, label: int) -> float:
    """`2 TP / (2 TP + FP + FN)` of one class, by its number; 0 where it neither occurs nor is predicted."""
    if predictions.ndim == 2:
        predicted, true = predictions[:, label] != 0, labels[:, label] != 0
    else:
        predicted, true = predictions == label, labels == label
    both, all_of_both = int(np.sum(predicted & true)), int(np.sum(predicted) + np.sum(true))
    return 2 * both / all_of_both if all_of_both else 0.0


def matthews_correlation(predictions: Array, labels: Array) -> float:
    """Matthews correlation coefficient, for two or more classes (Gorodkin 2004); 0 where either side is constant."""
    constant = len(np.unique(predictions)) == 1 or len(np.unique(labels)) == 1
    return 0.0 if constant else float(sklearn_metrics.matthews_corrcoef(labels, predictions))


def pearson(predictions: Array, labels: Array) -> float:
    """Pearson's correlation coefficient; NaN where either side is constant."""
    return _correlation(stats.pearsonr, predictions, labels)


def spearman(predictions: Array, labels: Array) -> float:
    """Spearman's rank correlation coefficient; NaN where either side is constant."""
    return _correlation(stats.spearmanr, predictions, labels)


def mean_score(predictions: Array, labels: Array) -> float:
    """The mean of scores that another tool gave each example; the labels are not read."""
    return float(np.mean(predictions.astype(np.float64)))


def reads(metric: Metric) -> tuple[str, ...]:
    """Return the names of the arrays that a metric reads."""
    first = next(iter(inspect.signature(metric).parameters), "")
    return READS.get(first, ("predictions", "labels"))


def measure(metric: Metric, arrays: Mapping[str, Array]) -> tuple[float, float]:
    """Compute a metric.

    Returns:
        The value, and the largest change of it that one prediction can cause (one pixel, for a segmentation).
    """
    inputs = [arrays[name] for name in reads(metric)]
    if step_of := STEPS.get(reads(metric)[0]):
        return float(metric(*inputs)), step_of(metric, *inputs)
    step = 1 / len(inputs[1]) if reads(metric) == READS["ranked"] else one_prediction(metric, *inputs)
    return float(metric(*inputs)), step


def one_pixel(metric: Metric, confusion: Array) -> float:
    """Return the share of one pixel among all of a segmentation."""
    return 1 / max(int(confusion.sum()), 1)


def one_prediction(metric: Metric, predictions: Array, labels: Array) -> float:
    """Return the largest change of a metric that one changed prediction can cause; 5e-4 for real-valued predictions.

    Equal rows have equal effects, so one row of every (prediction, label) pair is tried with every other class. With
    more than `MANY_CLASSES` classes, F1 and the Matthews correlation are computed from the confusion matrix, and any
    other metric is tried with a sample of the pairs. For multi-label predictions `(N, C)` one prediction is one label
    of one row.
    """
    if np.issubdtype(predictions.dtype, np.floating):
        return CORRELATION_STEP
    if predictions.ndim == 2:
        return max(_label_changes(metric, predictions, labels), default=0.0)
    if metric is accuracy:
        return 1 / len(labels)
    classes = np.union1d(predictions, labels)
    average = "micro" if metric is f1_micro else _average_of_f1(metric)
    if len(classes) > MANY_CLASSES and average in AVERAGES:
        return largest_f1_change(confusion_matrix(predictions, labels), average)
    if len(classes) > MANY_CLASSES and metric is matthews_correlation:
        return largest_matthews_change(confusion_matrix(predictions, labels))
    before, largest = metric(predictions, labels), 0.0
    _, rows = np.unique(np.stack([predictions, labels]), axis=1, return_index=True)
    for row, other in trials(rows, classes):
        changed = predictions.copy()
        changed[row] = other
        largest = max(largest, abs(metric(changed, labels) - before))
    return largest


def _average_of_f1(metric: Metric) -> str:
    """Return the average of `f1` with no other argument, or an empty text for another metric."""
    keywords = getattr(metric, "keywords", {})
    is_f1 = getattr(metric, "func", None) is f1 and not getattr(metric, "args", ()) and set(keywords) == {"average"}
    return str(keywords["average"]) if is_f1 else ""


def _label_changes(metric: Metric, predictions: Array, labels: Array) -> Iterator[float]:
    """Yield the change of the metric when one label is flipped: for each class, one row of each kind."""
    before = metric(predictions, labels)
    for column, (predicted, true) in product(range(predictions.shape[1]), product((0, 1), repeat=2)):
        rows = np.flatnonzero((predictions[:, column] == predicted) & (labels[:, column] == true))
        if len(rows):
            changed = predictions.copy()
            changed[rows[0], column] = 1 - predicted
            yield abs(metric(changed, labels) - before)


def _correlation(function: Callable[..., tuple[float, float]], predictions: Array, labels: Array) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return float(function(predictions, labels)[0])


STEPS: Mapping[str, Callable[..., float]] = {
    "confusion": one_pixel, "entities": one_entity, "words": one_word, "answers": one_answer,
    "detections": one_detection,
}  # fmt: skip
"""First array of a metric -> the function that returns the largest change that one prediction can cause."""
