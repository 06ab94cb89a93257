"""Find arrays of one evaluation that cannot be of the same outputs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.records.arrays import not_finite

Arrays = Mapping[str, NDArray[Any]]


def contradiction(arrays: Arrays) -> str:
    """Return how predictions differ from the logits or the ranks beside them, or an empty text.

    Several classes may have the largest logit; any of them can be the prediction. Rows whose outputs are not finite are
    left out.

    Args:
        arrays: The arrays of an evaluation by a task of zoo.
    """
    finite = ~not_finite(arrays)
    if not finite.any():
        return ""
    found = {name: array[finite] for name, array in arrays.items()}
    if "predictions" in found and "logits" in found and (rows := _not_predicted(found["predictions"], found["logits"])):
        return f"{rows:,} predictions differ from the logits beside them"
    if "ranked" in found and (rows := _not_ranked(found)):
        return f"{rows:,} rows of 'ranked' differ from the outputs beside them"
    return ""


def _not_predicted(predictions: NDArray[Any], logits: NDArray[Any]) -> int:
    """Return how many rows of predictions do not follow from their logits."""
    outputs = logits.reshape(len(logits), -1)
    if predictions.dtype.kind == "f":
        wrong = predictions.reshape(len(outputs), -1) != outputs
    elif predictions.ndim == 2:
        wrong = predictions != (outputs > 0)
    else:
        wrong = _chosen(outputs, predictions[:, None]) != outputs.max(axis=1, keepdims=True)
    return int(np.any(wrong, axis=1).sum())


def _not_ranked(arrays: Arrays) -> int:
    """Return how many rows of classes by rank do not follow from their logits; without logits, from the prediction."""
    ranked = arrays["ranked"]
    if "logits" in arrays:
        largest = -np.sort(-arrays["logits"], axis=1)[:, : ranked.shape[1]]
        return int(np.any(_chosen(arrays["logits"], ranked) != largest, axis=1).sum())
    if "predictions" in arrays and "margins" in arrays:
        return int(np.sum((ranked[:, 0] != arrays["predictions"]) & (arrays["margins"] > 0)))
    return 0


def _chosen(logits: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """Return the logits of classes, `(N, K)`; NaN for a number that is no class."""
    is_class = (classes >= 0) & (classes < logits.shape[1])
    values = np.take_along_axis(logits, np.where(is_class, classes, 0).astype(np.int64), axis=1)
    chosen: NDArray[Any] = np.where(is_class, values, np.nan)
    return chosen
