"""Compute 95 % intervals for the difference of a metric between two models on the same examples (paired)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import metrics
from harness.metrics import Array, Metric, reads

Z = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""
RESAMPLES = 1000
SEED = 0
ADJUSTED_WALD, BOOTSTRAP = "adjusted Wald", "paired bootstrap"
Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The 95 % confidence interval of the difference B - A of a metric; `kind` names the method."""

    low: float
    high: float
    kind: str


def adjusted_wald(gained: int, lost: int, n: int) -> Interval:
    """Return the interval for the difference of two accuracies on the same `n` examples, `(gained - lost) / n`.

    Agresti and Min, Statistics in Medicine 2005: half an example is added to each of the four cells. With
    `b = gained + 1/2`, `c = lost + 1/2` and `m = n + 2` the interval is
    `(b - c) / m +- z sqrt(b + c - (b - c)^2 / m) / m`.

    Args:
        gained: The number of examples that only B predicts right.
        lost: The number of examples that only A predicts right.
        n: The number of examples.
    """
    b, c, m = gained + 0.5, lost + 0.5, n + 2
    middle, half = (b - c) / m, Z * sqrt(b + c - (b - c) ** 2 / m) / m
    return Interval(low=max(middle - half, -1.0), high=min(middle + half, 1.0), kind=ADJUSTED_WALD)


def bootstrap(metric: Metric, a: Mapping[str, Array], b: Mapping[str, Array]) -> Interval | None:
    """Return the 2.5th and 97.5th percentiles of the difference of a metric over 1,000 resamples of the examples.

    Each resample draws n of the n examples with replacement, the same ones for A and B. The seed is fixed.

    Returns:
        The interval; None if the metric is not defined, as for constant predictions, in 5 % of the resamples or more.
    """
    differences = _from_counts(metric, a, b) if metric in COUNTED else _from_rows(metric, a, b)
    defined = differences[np.isfinite(differences)]
    if len(defined) <= 0.95 * RESAMPLES:
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(low=float(low), high=float(high), kind=BOOTSTRAP)


def paired(metric: Metric, a: Mapping[str, Array], b: Mapping[str, Array]) -> Interval | None:
    """Return the adjusted Wald interval for accuracies, and the bootstrap interval for any other metric."""
    if metric is metrics.accuracy or metric is metrics.top5_accuracy:
        right_a, right_b = (_right(metric, arrays) for arrays in (a, b))
        gained, lost = int(np.sum(right_b & ~right_a)), int(np.sum(right_a & ~right_b))
        return adjusted_wald(gained, lost, len(right_a))
    return bootstrap(metric, a, b)


def _right(metric: Metric, arrays: Mapping[str, Array]) -> NDArray[np.bool_]:
    """Return whether each example is right, `(N,)`."""
    labels = arrays["labels"]
    if metric is metrics.top5_accuracy:
        return np.asarray(np.any(arrays["ranked"][:, :5] == labels[:, None], axis=1))
    return np.asarray((arrays["predictions"] == labels).reshape(len(labels), -1).all(axis=1))


def _from_rows(metric: Metric, a: Mapping[str, Array], b: Mapping[str, Array]) -> NDArray[np.float64]:
    random, names = np.random.default_rng(SEED), reads(metric)
    n = len(a[names[0]])
    differences = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        rows = random.integers(0, n, n)
        before, after = (metric(*(arrays[name][rows] for name in names)) for arrays in (a, b))
        differences[i] = after - before if isfinite(before) and isfinite(after) else np.nan
    return differences


def _from_counts(metric: Any, a: Mapping[str, Array], b: Mapping[str, Array]) -> NDArray[np.float64]:
    """Draw only how many examples there are of each kind: the same label and the same predictions of A and B."""
    kinds, counts = np.unique(np.stack([a["labels"], a["predictions"], b["predictions"]]), axis=1, return_counts=True)
    classes, codes = np.unique(kinds, return_inverse=True)
    labels, before, after = codes.reshape(kinds.shape)
    drawn = np.random.default_rng(SEED).multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES)
    tables = (_tables(drawn, labels, predicted, len(classes)) for predicted in (before, after))
    first, second = (COUNTED[metric](table, classes) for table in tables)
    return second - first


def _tables(drawn: Counts, labels: Counts, predicted: Counts, classes: int) -> NDArray[np.float64]:
    """Return the confusion matrices `(R, C, C)` of resamples, given the counts `(R, K)` of K kinds of examples.

    Entry i, j counts examples of class i that are predicted as class j.
    """
    cells = np.zeros((drawn.shape[1], classes * classes))
    cells[np.arange(drawn.shape[1]), labels * classes + predicted] = 1
    return np.asarray((drawn @ cells).reshape(-1, classes, classes))


def _f1(tables: NDArray[np.float64], classes: Array) -> NDArray[np.float64]:
    """Return `2 TP / (2 TP + FP + FN)` of class 1 for each confusion matrix; 0 if class 1 does not occur."""
    indices = np.flatnonzero(classes == 1)
    if not len(indices):
        return np.zeros(len(tables))
    positive = indices[0]
    labeled_and_predicted = tables[:, positive, :].sum(axis=1) + tables[:, :, positive].sum(axis=1)
    return np.asarray(2 * tables[:, positive, positive] / np.maximum(labeled_and_predicted, 1))


def _matthews(tables: NDArray[np.float64], _: Array) -> NDArray[np.float64]:
    """Return Gorodkin's correlation coefficient for each confusion matrix.

    With s examples, c of them right, p predictions and t labels of each class, it is
    `(c s - sum p t) / sqrt((s^2 - sum p^2) (s^2 - sum t^2))`, or 0 if the predictions or the labels are constant.
    """
    true, predicted = tables.sum(axis=2), tables.sum(axis=1)
    right, total = np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2))
    below = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
    above = right * total - (predicted * true).sum(axis=1)
    return np.asarray(np.divide(above, np.sqrt(below), out=np.zeros(len(tables)), where=below > 0))


COUNTED: Mapping[Any, Callable[[NDArray[np.float64], Array], NDArray[np.float64]]] = {
    metrics.f1: _f1, metrics.matthews_correlation: _matthews,
}  # fmt: skip
"""Metrics that are computed from many confusion matrices at once; scikit-learn takes milliseconds for each one."""
