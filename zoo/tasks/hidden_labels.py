"""Splits whose labels are hidden, as those of the test splits of GLUE: a model can predict them, and nothing more."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.tasks.base import Kind
from zoo.tasks.labels import to_text
from zoo.tasks.tokens import NO_LABEL

HIDDEN = -1
"""Data sets of the Hub have this number in the place of a hidden label."""


def are_hidden_values(values: Sequence[Any]) -> bool:
    """Return whether all values of a column, or all items of its lists, stand for hidden labels."""
    items = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return bool(items) and all(to_text(item) in ("-1", "-1.0") for item in items)


def hidden_labels(rows: int, kind: Kind, classes: int) -> Tensor:
    """Return labels that are all hidden.

    Returns:
        -1, `(N,)`; NaN for a regression; -1, `(N, C)`, if multilabel; -100, `(N, 1)`, if structured.
    """
    if kind == "structured":
        return torch.full((rows, 1), NO_LABEL)
    if kind == "regression":
        return torch.full((rows,), torch.nan)
    return torch.full((rows, max(classes, 1)), float(HIDDEN)) if kind == "multilabel" else torch.full((rows,), HIDDEN)


def are_hidden(labels: Tensor, kind: Kind | None = None) -> bool:
    """Return whether labels of a split are hidden, so that nothing can be learned from it or scored.

    A structured row has -100 where there is no label, so only a split without any label counts as hidden.
    """
    if kind == "structured":
        return bool((labels < 0).all())
    return bool((labels < 0).any()) if not labels.is_floating_point() or labels.ndim > 1 else bool(labels.isnan().any())
