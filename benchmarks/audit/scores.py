"""Scores of a confusion matrix, in plain code that shares nothing with the audit."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.int64]
"""Rows of class i predicted as class j, `(C, C)`."""


def make_matrix(counts: tuple[int, ...], generator: np.random.Generator) -> Matrix:
    """Return the confusion matrix of a classifier that is better than chance, and has its own skill for each class."""
    classes = len(counts)
    skill = generator.uniform(0.3, 0.99)
    rows = []
    for label, count in enumerate(counts):
        right = np.clip(generator.normal(skill, 0.08), 0.05, 0.999)
        others = generator.dirichlet(np.full(classes - 1, 0.7)) * (1 - right)
        rows.append(generator.multinomial(count, np.insert(others, label, right)))
    return np.array(rows, dtype=np.int64)


def accuracy(matrix: Matrix) -> float:
    """The share of the diagonal."""
    return float(np.trace(matrix) / matrix.sum())


def matthews(matrix: Matrix) -> float:
    """Gorodkin's coefficient; for two classes Matthews'."""
    c, s = float(np.trace(matrix)), float(matrix.sum())
    t, p = matrix.sum(axis=1).astype(float), matrix.sum(axis=0).astype(float)
    below = np.sqrt((s * s - p @ p) * (s * s - t @ t))
    return float((c * s - t @ p) / below) if below else 0.0


def of_classes(metric: str, matrix: Matrix) -> NDArray[np.float64]:
    """Return precision, recall or F1 of each class; 0 where it is undefined."""
    right = np.diag(matrix).astype(float)
    labels, predicted = matrix.sum(axis=1).astype(float), matrix.sum(axis=0).astype(float)
    below = {"precision": predicted, "recall": labels, "f1": (labels + predicted) / 2}[metric]
    return np.divide(right, below, out=np.zeros(len(right)), where=below > 0)


def averaged(metric: str, matrix: Matrix, average: str, positive: int = 1) -> float:
    """Return precision, recall or F1 with an average over the classes."""
    scores, counts = of_classes(metric, matrix), matrix.sum(axis=1)
    if average == "micro":
        return accuracy(matrix)
    if average == "binary":
        return float(scores[positive])
    return float(np.average(scores, weights=counts if average == "weighted" else None))


SCORES: dict[str, Callable[[Matrix], float]] = {
    "accuracy": accuracy,
    "matthews_correlation": matthews,
    "balanced_accuracy": lambda matrix: averaged("recall", matrix, "macro"),
}
AVERAGED = ("f1", "precision", "recall")
