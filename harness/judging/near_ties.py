"""Near-ties: examples whose prediction numeric noise can change. Imports numpy only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOISE = {"fp32": 1e-4, "tf32": 0.02, "fp16": 0.02, "bf16": 0.165}
"""The largest difference of a logit between two kernels, by precision.

Measured on a BERT-base: 1.1e-5 in fp32 (other processors move it more) and 0.165 in bf16. fp16 and TF32 have three
more bits than bf16."""
FLIPS = {"fp32": 0.0, "tf32": 0.001, "fp16": 0.001, "bf16": 0.005}
"""The share of predictions that flip against fp32, where no logits are recorded. docs/speed.md has measured shares: up
to 0.08 % in fp16 and 0.17 % in bf16."""


def noise_between(precisions: Sequence[str]) -> float:
    """Return the largest difference of a logit between two of these precisions."""
    return max(NOISE[precision] for precision in precisions)


def near_ties(logits: NDArray[Any], noise: float, *, of_labels: bool = False) -> NDArray[np.bool_]:
    """Return which rows have a prediction that a change of every logit by `noise` can change, `(N,)`.

    Args:
        logits: `(N, C)`.
        noise: The largest change of a logit.
        of_labels: Whether each logit is compared with zero, as in a multi-label task; else the largest logit decides.
    """
    if of_labels:  # the noise of one logit decides
        return np.asarray(np.abs(logits).min(axis=1) <= noise)
    if logits.ndim != 2 or logits.shape[1] < 2:
        return np.zeros(len(logits), dtype=bool)
    top = np.partition(logits, -2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0] <= 2 * noise)


def expected_flips(n: int, precisions: Sequence[str]) -> int:
    """Return about how many of n predictions flip between two precisions, where no logits are recorded."""
    return round(max(FLIPS[precision] for precision in precisions) * n)
