"""95 % intervals for the difference of a metric between two models, paired on the examples that both saw."""

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
    """Where the difference B - A of a metric lies, with 95 % confidence; `kind` says how it was found."""

    low: float
    high: float
    kind: str


def adjusted_wald(gained: int, lost: int, n: int) -> Interval:
    """Of a difference of two shares of the same `n` examples, `(gained - lost) / n`.

    Agresti and Min, Statistics in Medicine 2005: half an example is added to each of the four cells, so that with
    `b = gained + 1/2`, `c = lost + 1/2` and `m = n + 2` it is `(b - c) / m +- z sqrt(b + c - (b - c)^2 / m) / m`.
    """
    b, c, m = gained + 0.5, lost + 0.5, n + 2
    middle, half = (b - c) / m, Z * sqrt(b + c - (b - c) ** 2 / m) / m
    return Interval(low=max(middle - half, -1.0), high=min(middle + half, 1.0), kind=ADJUSTED_WALD)


def bootstrap(metric: Metric, a: Mapping[str, Array], b: Mapping[str, Array]) -> Interval | None:
    """Of any metric: the 2.5th and 97.5th percentile of its difference over 1,000 resamples of the examples.

    Each draws as many examples as there are, with replacement, and the same for A and B; the draws are the same at
    every call. None where the metric is not defined (a constant prediction) in one resample of twenty or more.
    """
    differences = _counted(metric, a, b) if metric in COUNTED else _drawn(metric, a, b)
    defined = differences[np.isfinite(differences)]
    if len(defined) <= 0.95 * RESAMPLES:
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(low=float(low), high=float(high), kind=BOOTSTRAP)


def paired(metric: Metric, a: Mapping[str, Array], b: Mapping[str, Array]) -> Interval | None:
    """The interval that suits a metric: adjusted Wald for a share of right examples, the bootstrap for any other."""
    if metric is metrics.accuracy or metric is metrics.top5_accuracy:
        was, now = (_right(metric, arrays) for arrays in (a, b))
        return adjusted_wald(int(np.sum(now & ~was)), int(np.sum(was & ~now)), len(was))
    return bootstrap(metric, a, b)


def _right(metric: Metric, arrays: Mapping[str, Array]) -> NDArray[np.bool_]:
    """Which examples count as right, `(N,)`."""
    labels = arrays["labels"]
    if metric is metrics.top5_accuracy:
        return np.asarray(np.any(arrays["ranked"][:, :5] == labels[:, None], axis=1))
    return np.asarray((arrays["predictions"] == labels).reshape(len(labels), -1).all(axis=1))


def _drawn(metric: Metric, a: Mapping[str, Array], b: Mapping[str, Array]) -> NDArray[np.float64]:
    random, names = np.random.default_rng(SEED), reads(metric)
    n = len(a[names[0]])
    found = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        rows = random.integers(0, n, n)
        before, after = (metric(*(arrays[name][rows] for name in names)) for arrays in (a, b))
        found[i] = after - before if isfinite(before) and isfinite(after) else np.nan
    return found


def _counted(metric: Any, a: Mapping[str, Array], b: Mapping[str, Array]) -> NDArray[np.float64]:
    """Examples with the same label and the same two predictions are alike, so it is enough to draw how many of each."""
    kinds, counts = np.unique(np.stack([a["labels"], a["predictions"], b["predictions"]]), axis=1, return_counts=True)
    classes, codes = np.unique(kinds, return_inverse=True)
    labels, before, after = codes.reshape(kinds.shape)
    drawn = np.random.default_rng(SEED).multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES)
    tables = (_tables(drawn, labels, predicted, len(classes)) for predicted in (before, after))
    first, second = (COUNTED[metric](table, classes) for table in tables)
    return second - first


def _tables(drawn: Counts, labels: Counts, predicted: Counts, classes: int) -> NDArray[np.float64]:
    """Confusion matrices `(R, C, C)` of resamples `(R, K)` of kinds of examples: of class i, predicted as class j."""
    cells = np.zeros((drawn.shape[1], classes * classes))
    cells[np.arange(drawn.shape[1]), labels * classes + predicted] = 1
    return np.asarray((drawn @ cells).reshape(-1, classes, classes))


def _f1(tables: NDArray[np.float64], classes: Array) -> NDArray[np.float64]:
    """`2 TP / (2 TP + FP + FN)` of class 1 of each confusion matrix; 0 where that is nowhere."""
    at = np.flatnonzero(classes == 1)
    if not len(at):
        return np.zeros(len(tables))
    both = tables[:, at[0], :].sum(axis=1) + tables[:, :, at[0]].sum(axis=1)
    return np.asarray(2 * tables[:, at[0], at[0]] / np.maximum(both, 1))


def _matthews(tables: NDArray[np.float64], _: Array) -> NDArray[np.float64]:
    """Gorodkin's coefficient of each confusion matrix: with s examples, c of them right, p predicted as and t of each
    class, `(c s - sum p t) / sqrt((s^2 - sum p^2) (s^2 - sum t^2))`; 0 where either side is constant."""
    true, predicted = tables.sum(axis=2), tables.sum(axis=1)
    right, total = np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2))
    below = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
    above = right * total - (predicted * true).sum(axis=1)
    return np.asarray(np.divide(above, np.sqrt(below), out=np.zeros(len(tables)), where=below > 0))


COUNTED: Mapping[Any, Callable[[NDArray[np.float64], Array], NDArray[np.float64]]] = {
    metrics.f1: _f1, metrics.matthews_correlation: _matthews,
}  # fmt: skip
"""Metrics that are functions of a confusion matrix, of many at once: scikit-learn takes milliseconds for each."""
