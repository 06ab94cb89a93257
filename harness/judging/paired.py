"""Compare two sets of predictions of the same examples: flips, whether chance explains them, and drift of the logits.

It imports numpy and scipy.special only, so that a command that only compares starts fast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from zoo.errors import UsageError

Array = NDArray[np.generic]
EDGES = tuple(10.0**power for power in range(-7, 2))
"""The edges of the histogram bins of a drift: 1e-7, 1e-6, ... 10."""


@dataclass(frozen=True, kw_only=True)
class Flips:
    """The examples that two models A and B predict differently.

    A margin is the lead of the largest logit over the second. For multi-label predictions it is the distance from zero
    of a logit: of the flipped label whose logit moved farthest. It is NaN if neither logits nor margins were recorded.
    """

    n: int
    """The number of examples."""
    flipped: int
    gained: int
    """Wrong in A, right in B. A multi-label example is right if all its labels are."""
    lost: int
    """Right in A, wrong in B."""
    p: float
    """The exact two-sided p-value of `gained` against `lost`, see `sign_test`."""
    rows: NDArray[np.int64]
    """The indices of the flipped examples, `(F,)`."""
    margins_a: NDArray[np.float64]
    """Their margins in A, `(F,)`."""
    margins_b: NDArray[np.float64]
    """Their margins in B, `(F,)`."""
    moving: int = 2
    """The number of logits that a margin depends on: two, or one for multi-label predictions."""

    def unexplained(self, noise: float) -> int:
        """Return the number of flips that numeric noise of at most `noise` in each logit cannot explain.

        Suppose class i leads in A by `a_i - a_j` and class j leads in B by `b_j - b_i`. The sum of these leads is the
        movement of two logits, so it is at most `2 noise`. No margin is larger than its lead, so the sum of both
        margins is at most `2 noise` too. A flip without any margin counts as unexplained.
        """
        unknown = np.isnan(self.margins_a) & np.isnan(self.margins_b)
        moved = np.nan_to_num(self.margins_a) + np.nan_to_num(self.margins_b)
        return int(np.sum(unknown | (moved > self.moving * noise)))


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The distribution of `|b - a|` over all logits; over margins or predictions where no logits were recorded."""

    of: Literal["logits", "margins", "predictions"]
    max: float
    mean: float
    p99: float
    """The 99th percentile."""
    counts: tuple[int, ...]
    """The counts of the histogram bins: below the first of `EDGES`, between each two, and from the last on."""


def find_flips(a: Mapping[str, Array], b: Mapping[str, Array]) -> Flips:
    """Compare the predictions of two prediction files, from A to B.

    Args:
        a: The arrays of the first file. `predictions` and `labels` are whole numbers `(N,)`, or zeros and ones `(N, C)`
            for multi-label tasks. `logits` `(N, C)` or `margins` `(N,)` are optional.
        b: The arrays of the second file.

    Raises:
        UsageError: The examples differ, or the predictions cannot flip: those of a segmentation or a regression.
    """
    check_same_examples(a, b)
    before, after, labels = a["predictions"], b["predictions"], a["labels"]
    if np.issubdtype(before.dtype, np.floating) or np.issubdtype(after.dtype, np.floating):
        raise UsageError("the predictions are real numbers, of a regression: they can drift but not flip")
    rows = np.flatnonzero(_any_in_row(before != after))
    changes = changes_of_correctness(a, b)
    gained, lost = int(np.sum(changes > 0)), int(np.sum(changes < 0))
    multi_label = before.ndim == 2
    margins = _multi_label_margins(a, b, rows) if multi_label else (_margins(a, rows), _margins(b, rows))
    return Flips(
        n=len(labels), flipped=len(rows), gained=gained, lost=lost, p=sign_test(gained, lost), rows=rows,
        margins_a=margins[0], margins_b=margins[1], moving=1 if multi_label else 2,
    )  # fmt: skip


def check_same_examples(a: Mapping[str, Array], b: Mapping[str, Array]) -> None:
    """Raise UsageError unless both sets of predictions have the same labels in the same order.

    Two data sets are assumed to hold the same rows if their sizes and labels match.
    """
    for name in ("predictions", "labels"):
        if name not in a or name not in b:
            present = ", ".join(sorted(a if name not in a else b))
            raise UsageError(f"the file records no {name} of each example, only {present}")
    if len(a["labels"]) != len(b["labels"]):
        raise UsageError(f"not the same examples: {len(a['labels']):,} and {len(b['labels']):,}")
    if a["predictions"].shape != b["predictions"].shape:
        raise UsageError(
            f"not the same task: predictions of shape {a['predictions'].shape} and {b['predictions'].shape}"
        )
    if not np.array_equal(a["labels"], b["labels"]):
        same_shape = a["labels"].shape == b["labels"].shape
        differ = int(np.sum(_any_in_row(a["labels"] != b["labels"]))) if same_shape else "all"
        raise UsageError(f"not the same examples: {differ} of {len(a['labels']):,} labels differ")


def measure_drift(a: Mapping[str, Array], b: Mapping[str, Array]) -> Drift | None:
    """Measure how far the logits moved from A to B; or the margins, or the predictions of a regression.

    Returns:
        The drift, or None if neither file records real numbers of the same shape.

    Raises:
        UsageError: The examples differ.
    """
    check_same_examples(a, b)
    for of in ("logits", "margins", "predictions"):
        recorded = of in a and of in b and a[of].shape == b[of].shape
        if recorded and np.issubdtype(a[of].dtype, np.floating):
            moved = np.abs(b[of].astype(np.float64) - a[of].astype(np.float64)).ravel()
            counts = np.bincount(np.digitize(moved, EDGES), minlength=len(EDGES) + 1)
            return Drift(
                of=of, max=float(moved.max()), mean=float(moved.mean()), p99=float(np.percentile(moved, 99)),
                counts=tuple(map(int, counts)),
            )  # fmt: skip
    return None


def sign_test(gained: int, lost: int) -> float:
    """Return the exact two-sided p-value of McNemar's test; 1 if nothing changed.

    `min(1, 2 P(X <= min(gained, lost)))` for X binomial with `gained + lost` trials and probability 1/2.

    McNemar, Psychometrika 1947; in the exact form of Fagerland, Lydersen and Laake, BMC Medical Research Methodology
    2013.
    """
    return float(min(1.0, 2 * special.bdtr(min(gained, lost), gained + lost, 0.5))) if gained + lost else 1.0


def group_sign_test(changes: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    """Return the exact two-sided p-value of McNemar's test for groups of dependent examples.

    Let `s_g` be the examples that group g gains, less those that it loses. If A and B are alike, exchanging them in any
    group changes no probability, so every sign of `s_g` is equally likely. The p-value is the share of all signs whose
    sum is at least as far from 0 as the observed one. If each example is a group, it is that of `sign_test`.

    Pitman, Supplement to the Journal of the Royal Statistical Society 1937, on the sums of groups, as the asymptotic
    test of Durkalski et al., Statistics in Medicine 2003, uses them.

    Args:
        changes: 1 for an example that only B predicts right, -1 for one that only A does, else 0, `(N,)`.
        groups: The number of the group of each example, `(N,)`, from 0 on.
    """
    sums = np.bincount(groups, weights=changes).astype(np.int64)
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    positive = np.ones(1)  # the probability of each sum of the positive s_g
    for size, count in zip(sizes, counts, strict=True):
        of_size = np.zeros(size * count + 1)
        of_size[::size] = _binomial_half(int(count))
        positive = np.convolve(positive, of_size)
    lowest = (len(positive) - 1 - abs(int(sums.sum()))) // 2
    return float(min(1.0, 2 * positive[: lowest + 1].sum()))


def _binomial_half(n: int) -> NDArray[np.float64]:
    """Return the probabilities of 0 to n successes in n trials with probability 1/2."""
    k = np.arange(n + 1)
    return np.asarray(
        np.exp(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1) - n * np.log(2))
    )


def changes_of_correctness(a: Mapping[str, Array], b: Mapping[str, Array]) -> NDArray[np.int64]:
    """Return 1 for each example that only B predicts right, -1 for each that only A does, else 0, `(N,)`."""
    was_right, is_right = (~_any_in_row(arrays["predictions"] != arrays["labels"]) for arrays in (a, b))
    return is_right.astype(np.int64) - was_right.astype(np.int64)


def _any_in_row(differs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether any element of a row is true: `(N,)` or `(N, C)` to `(N,)`."""
    return np.asarray(differs.reshape(len(differs), -1).any(axis=1))


def _margins(arrays: Mapping[str, Array], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the lead of the largest logit over the second in the given rows."""
    if "margins" in arrays:
        return arrays["margins"][rows].astype(np.float64)
    if "logits" not in arrays or arrays["logits"].shape[1] < 2:
        return np.full(len(rows), np.nan)
    best = np.sort(arrays["logits"][rows].astype(np.float64), axis=1)
    return best[:, -1] - best[:, -2]


def _multi_label_margins(
    a: Mapping[str, Array], b: Mapping[str, Array], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances from zero, in A and B, of the flipped label of each row whose logit moved farthest."""
    if "logits" not in a or "logits" not in b or not len(rows):
        return np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    before, after = (np.abs(arrays["logits"][rows].astype(np.float64)) for arrays in (a, b))
    moved = np.where(a["predictions"][rows] != b["predictions"][rows], before + after, -1.0)
    chosen = moved.argmax(axis=1)[:, None]
    return np.take_along_axis(before, chosen, axis=1)[:, 0], np.take_along_axis(after, chosen, axis=1)[:, 0]
