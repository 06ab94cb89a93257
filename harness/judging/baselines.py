"""Scores and predictions of a model that has learned nothing. Never imports torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.records.arrays import RANKS
from zoo.recipes.claim import CORRELATIONS
from zoo.recipes.metric_names import metric_name

Array = NDArray[Any]
SAME = 1e-6
"""Real-valued predictions whose range is smaller, relative to their size, count as constant."""


def majority_baseline(metric: str, labels: Array) -> float | None:
    """Return the score of a model that always predicts the most frequent class.

    Of several labels at once it is the best score of always predicting the same labels.

    The F1 score of two classes is `2 p / (1 + p)` if the positive class, with share p, is the more frequent one, else
    0. A correlation is 0.

    Args:
        metric: The metric's name.
        labels: The labels, `(N,)`, or zeros and ones `(N, C)`.

    Returns:
        The score, or None if it is unknown for this metric.
    """
    if metric in CORRELATIONS:
        return 0.0
    if labels.ndim == 2:
        return _same_labels(metric, labels)
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        return None
    shares = np.sort(np.unique(labels, return_counts=True)[1])[::-1] / len(labels)
    if metric == "accuracy":
        return float(shares[0])
    if metric == "top5_accuracy":
        return float(shares[:RANKS].sum())
    if metric == "f1" and set(np.unique(labels)) <= {0, 1}:
        positive = float(np.mean(labels == 1))
        return 2 * positive / (1 + positive) if positive > 0.5 else 0.0
    return None


def tags_baseline(metric: str, words: Array) -> float | None:
    """Return the score of a tagger that always predicts the most frequent tag; None if it is unknown.

    Args:
        metric: The metric's name.
        words: The counts of `harness.entity_metrics`, `(N, 1 + C, 3)`.
    """
    if metric == "token_accuracy":
        true = words[..., 2].sum(axis=0)
        return float(true.max() / true.sum())
    outside_is_frequent = words[..., 2].sum(axis=0).argmax() == 0
    return 0.0 if outside_is_frequent and metric.startswith(("entity_", "token_")) else None


def _same_labels(metric: str, labels: Array) -> float | None:
    """Return the best score of predicting the same labels for every row: the most frequent ones, or for F1 of each
    class all of them.
    """
    rows, counts = len(labels), np.sort(labels.sum(axis=0, dtype=np.float64))[::-1]
    if metric == "f1_micro":
        predicted = rows * np.arange(1, len(counts) + 1)
        return float((2 * counts.cumsum() / (predicted + counts.sum())).max())
    return float((2 * counts / (rows + counts)).mean()) if metric == "f1_macro" else None


def without_arguments(recipe: Mapping[str, Any], metric: str) -> bool:
    """Return whether a recipe, as data, calls a metric without arguments: only then its baseline is known."""
    calls = [call for call in recipe.get("metrics", []) if isinstance(call, Mapping) and len(call) > 1]
    return all(metric_name(call) != metric for call in calls)


def constant_value(values: Array) -> Array | None:
    """Return the value that all rows have, or None if they differ."""
    if np.issubdtype(values.dtype, np.floating):
        same = bool(np.ptp(values) <= SAME * max(1.0, float(np.abs(values).max())))
    else:
        same = bool((values == values[0]).all())
    return np.asarray(values[0]) if same else None
