"""The largest change that one prediction can make to a metric of many classes, from counts instead of trials.

F1 and the Matthews correlation depend on the predictions only through the confusion matrix. A prediction that moves
from class j to class k changes two columns of it, so all changes are computed at once.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
AVERAGES = ("macro", "micro", "weighted")
"""The averages of F1 over classes that `largest_f1_change` computes."""
MOST_TRIALS = 2_000
"""The most changed predictions that are tried with any other metric; the largest of them is then a lower bound."""


def confusion_matrix(predictions: NDArray[np.generic], labels: NDArray[np.generic]) -> Counts:
    """Return the number of rows of class i that are predicted as class j, `(C, C)`, for the classes that occur."""
    classes = np.union1d(predictions, labels)
    rows, columns = np.searchsorted(classes, labels), np.searchsorted(classes, predictions)
    counts = np.bincount(rows * len(classes) + columns, minlength=len(classes) ** 2)
    return counts.reshape(len(classes), len(classes))


def largest_f1_change(confusion: Counts, average: str) -> float:
    """Return the largest change of F1, with an average of `AVERAGES`, that one changed prediction can cause.

    `F1_c = 2 TP_c / (true_c + predicted_c)`. As in scikit-learn, the macro average is over the classes that occur in
    the labels or the predictions, so a class can drop out of it.
    """
    right, true, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    total, classes = confusion.sum(), len(confusion)
    weights = {"macro": np.full(classes, 1.0), "weighted": true / total, "micro": np.zeros(classes)}[average]
    scores = _ratio(2 * right, true + predicted)
    # the scores of a class that loses or gains a prediction which is wrong (row 0) or right (row 1)
    fewer = np.stack([_ratio(2 * (right - hit), true + predicted - 1) for hit in (0, 1)])
    more = np.stack([_ratio(2 * (right + hit), true + predicted + 1) for hit in (0, 1)])
    before = float(weights @ scores)

    def changes(rows: Counts, column: int) -> Floats:
        others = np.arange(classes)
        hits = rows[:, None] == others
        if average == "micro":
            changed: Floats = (hits.astype(float) - (rows == column)[:, None]) / total
            return changed
        lost = weights[column] * (fewer[(rows == column).astype(int), column] - scores[column])
        gained = weights * (more[hits.astype(int), others] - scores)
        after = before + lost[:, None] + gained
        if average == "weighted":
            return np.asarray(after - before)
        remaining = classes - int(true[column] + predicted[column] == 1)
        return np.asarray(after / remaining - before / classes)

    return _largest(confusion, changes)


def largest_matthews_change(confusion: Counts) -> float:
    """Return the largest change of the Matthews correlation (Gorodkin 2004) that one changed prediction can cause."""
    counts = confusion.astype(np.float64)
    true, predicted, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    right, products, squares = np.trace(counts), float(true @ predicted), float(predicted @ predicted)
    spread = total**2 - float(true @ true)
    before = float(_correlation(right * total - products, spread, total**2 - squares))

    def changes(rows: Counts, column: int) -> Floats:
        others = np.arange(len(confusion))
        hits = (rows[:, None] == others).astype(float) - (rows == column)[:, None]
        moved = true[others] - true[column]
        grown = 2 * (predicted[others] - predicted[column]) + 2
        after = _correlation((right + hits) * total - products - moved, spread, total**2 - squares - grown)
        return np.asarray(after - before)

    return _largest(confusion, changes)


def trials(rows: NDArray[np.int64], classes: NDArray[np.generic]) -> list[tuple[int, np.generic]]:
    """Return the rows to change and the classes to change them to: all pairs, or `MOST_TRIALS` evenly spaced ones."""
    count = len(rows) * len(classes)
    if count <= MOST_TRIALS:
        return list(product(rows, classes))
    chosen = np.linspace(0, count - 1, MOST_TRIALS).astype(np.int64)
    return [(rows[index // len(classes)], classes[index % len(classes)]) for index in chosen]


def _largest(confusion: Counts, changes: Callable[[Counts, int], Floats]) -> float:
    """Return the largest absolute change over all predictions that occur and all classes that they can move to."""
    largest = 0.0
    for column in range(len(confusion)):
        rows = np.flatnonzero(confusion[:, column])
        if len(rows):
            moved = np.abs(changes(rows, column))
            moved[:, column] = 0.0
            largest = max(largest, float(moved.max()))
    return largest


def _ratio(numerator: Counts, denominator: Counts) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)


def _correlation(covariance: Floats | float, spread: float, predicted_spread: Floats | float) -> Floats:
    """Return the correlation; 0 where labels or predictions are constant."""
    product_of_spreads = np.asarray(spread * np.asarray(predicted_spread))
    root = np.sqrt(np.maximum(product_of_spreads, 0))
    shape = np.broadcast_shapes(np.shape(covariance), root.shape)
    return np.divide(covariance, root, out=np.zeros(shape), where=np.broadcast_to(root > 0, shape))
