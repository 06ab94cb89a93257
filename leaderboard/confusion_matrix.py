"""Count which classes a model confuses: a matrix of few classes, and of many classes the most confused pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_CLASSES = 12
"""A matrix of more classes does not fit a page; its most confused pairs are listed."""
MOST_PAIRS = 15
SHADES = 6
"""The number of shades of a cell; 0 is an empty one."""
Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The number of examples of a label with one prediction, and the shade for its share of the label's examples."""

    count: int
    shade: int
    is_right: bool


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """Two classes: examples of `label` were predicted as `predicted`."""

    label: str
    predicted: str
    count: int
    of: int
    """The number of examples with this label."""


@dataclass(frozen=True, kw_only=True)
class ConfusionMatrix:
    """The matrix of few classes with a row for each label, or the most confused pairs of many classes.

    Attributes:
        names: The names of the classes.
        rows: For each label the number of its examples, and a cell for each predicted class; empty for many classes.
        pairs: The most confused pairs of many classes.
        errors: The number of wrong predictions.
        n: The number of predictions.
        distinct: The number of different confused pairs.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[int, tuple[Cell, ...]], ...]
    pairs: tuple[ConfusedPair, ...]
    errors: int
    n: int
    distinct: int


def confusion_matrix(labels: Array, predictions: Array, classes: int, names: Sequence[str] = ()) -> ConfusionMatrix:
    """Count the predictions of each class for each label.

    Args:
        labels: The labels `(N,)`, class numbers.
        predictions: The predicted classes `(N,)`.
        classes: The number of classes.
        names: The names of the classes; without them, or with another number of names, the numbers.
    """
    shown = tuple(names) if len(names) == classes else tuple(map(str, range(classes)))
    wrong = labels != predictions
    pairs, counts = np.unique(np.stack([labels[wrong], predictions[wrong]], axis=1), axis=0, return_counts=True)
    of_label = np.bincount(labels, minlength=classes)
    is_small = classes <= MOST_CLASSES
    order = np.argsort(-counts, kind="stable")[:MOST_PAIRS]
    return ConfusionMatrix(
        names=shown,
        rows=_rows(labels, predictions, classes) if is_small else (),
        pairs=()
        if is_small
        else tuple(
            ConfusedPair(label=shown[a], predicted=shown[b], count=int(counts[n]), of=int(of_label[a]))
            for n in order
            for a, b in [pairs[n]]
        ),
        errors=int(wrong.sum()),
        n=len(labels),
        distinct=len(pairs),
    )


def _rows(labels: Array, predictions: Array, classes: int) -> tuple[tuple[int, tuple[Cell, ...]], ...]:
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (labels, predictions), 1)
    return tuple(
        (
            int(row.sum()),
            tuple(
                Cell(count=int(count), shade=_shade(count / row.sum()) if count else 0, is_right=label == predicted)
                for predicted, count in enumerate(row)
            ),
        )
        for label, row in enumerate(matrix)
    )


def _shade(share: float) -> int:
    """Return the shade of a share: a few mistakes have a visible one."""
    return int(np.searchsorted([0.02, 0.1, 0.3, 0.6], share, side="right")) + 1
