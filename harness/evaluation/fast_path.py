"""The rule for fast evaluations: a score counts if its predictions are those of a strict evaluation, up to near-ties.

A near-tie is a row whose prediction numeric noise can change: its two largest logits are closer than twice the largest
difference of a logit between two kernels (`harness.judging.near_ties.NOISE`). The record of a run has their number.

On a CPU, the evaluation is the one by which the claims were recorded. On other devices a sample of the rows is computed
again by a strict evaluation. If a prediction differs that is no near-tie, the whole split is computed strictly.
"""

import torch
from torch import Tensor

from harness.judging import near_ties as ties
from harness.judging.near_ties import NOISE
from zoo.recipes.claim import Precision
from zoo.tasks.base import Kind

SAMPLE = 256
"""The most rows that are computed again."""


def near_ties(logits: Tensor, kind: Kind, precision: Precision) -> Tensor:
    """Return which rows have a prediction that numeric noise can change, `(N,)` bool.

    Args:
        logits: `(N, C)`.
        kind: The kind of the task. A regression has no ties.
        precision: The precision of the logits.
    """
    if kind not in ("classification", "multilabel"):
        return torch.zeros(len(logits), dtype=torch.bool)
    return torch.from_numpy(ties.near_ties(logits.numpy(), NOISE[precision], of_labels=kind == "multilabel"))


def sample_rows(ties: Tensor) -> list[int]:
    """Return the rows to compute again, in ascending order: near-ties, and other rows at equal distances.

    Args:
        ties: Which rows are near-ties, `(N,)` bool.
    """
    close, others = ties.nonzero().flatten(), (~ties).nonzero().flatten()
    close = _spread(close, SAMPLE // 2)
    return sorted([*close.tolist(), *_spread(others, SAMPLE - len(close)).tolist()])


def disagreements(fast: Tensor, strict: Tensor, kind: Kind, precision: Precision) -> int:
    """Return how many rows have predictions that differ though numeric noise does not explain it.

    A row with a NaN or an infinite logit in one of the two evaluations only is one of them.

    Args:
        fast: The logits of rows in a fast evaluation, `(B, C)`.
        strict: The logits of the same rows in a strict evaluation.
        kind: The kind of the task.
        precision: The precision of both.
    """
    if kind == "regression":
        differs = (fast - strict).abs().reshape(len(fast), -1).amax(dim=1) > NOISE[precision]
    elif kind == "multilabel":
        differs = (((fast > 0) != (strict > 0)) & (fast.abs() > NOISE[precision])).any(dim=1)
    else:
        differs = (fast.argmax(dim=1) != strict.argmax(dim=1)) & ~near_ties(fast, kind, precision)
    is_finite = [logits.reshape(len(logits), -1).isfinite().all(dim=1) for logits in (fast, strict)]
    return int((differs | (is_finite[0] != is_finite[1])).sum())


def _spread(rows: Tensor, count: int) -> Tensor:
    """Return at most this many of the rows, at equal distances."""
    if len(rows) <= count:
        return rows
    return rows[torch.arange(count) * len(rows) // count]
