"""Splits whose labels are hidden, as those of the test splits of GLUE: a model can predict them, and nothing more."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.tasks.base import Kind
from zoo.tasks.labels import to_text

HIDDEN = -1
"""Data sets of the Hub have this number in the place of a hidden label."""


def are_hidden_values(values: Sequence[Any]) -> bool:
    """Return whether all values of a column stand for hidden labels."""
    return bool(values) and all(to_text(value) in ("-1", "-1.0") for value in values)


def hidden_labels(rows: int, kind: Kind, classes: int) -> Tensor:
    """Return labels `(N,)`, or `(N, C)` if multilabel, that are all hidden: -1, or NaN for a regression."""
    if kind == "regression":
        return torch.full((rows,), torch.nan)
    return torch.full((rows, max(classes, 1)), float(HIDDEN)) if kind == "multilabel" else torch.full((rows,), HIDDEN)


def are_hidden(labels: Tensor) -> bool:
    """Return whether a label of a split is hidden, so that nothing can be learned from it or scored."""
    return bool((labels < 0).any()) if not labels.is_floating_point() or labels.ndim > 1 else bool(labels.isnan().any())
