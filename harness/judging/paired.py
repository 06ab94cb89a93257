"""Two sets of predictions of the same examples: what flipped, whether chance explains it, and how far logits drifted.

Light: numpy and scipy.special alone, so that a command that only compares starts at once.
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
"""Of a histogram of drift: 1e-7, 1e-6, ... 10."""


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Which of `n` examples two models predict differently.

    `rows`, `margins_a` and `margins_b` are of the `flipped` ones, `(F,)`. A margin is the lead of the largest logit
    over the second; of several labels the distance from zero of that flipped label's logit which moved farthest; NaN
    where neither logits nor margins were kept.
    """

    n: int
    flipped: int
    gained: int
    """Wrong before, right now; of several labels a row is right if all of them are."""
    lost: int
    """Right before, wrong now."""
    p: float
    """The exact two-sided p-value of `gained` against `lost`, see `sign_test`."""
    rows: NDArray[np.int64]
    margins_a: NDArray[np.float64]
    margins_b: NDArray[np.float64]
    moving: int = 2
    """How many logits a margin is the difference of: two, or of several labels one, which is compared with zero."""

    def unexplained(self, noise: float) -> int:
        """How many flips a noise of at most `noise` in each logit cannot explain.

        Where class i led in A by `a_i - a_j` and j leads in B by `b_j - b_i`, these two sum to what two logits moved:
        at most `2 noise`. A margin is no larger than that lead, so both together are no larger than `2 noise` either.
        A flip without any margin is not explained.
        """
        unknown = np.isnan(self.margins_a) & np.isnan(self.margins_b)
        moved = np.nan_to_num(self.margins_a) + np.nan_to_num(self.margins_b)
        return int(np.sum(unknown | (moved > self.moving * noise)))


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far numbers moved, `|b - a|`: of all logits, or where these were not kept of the margins or predictions.

    `counts` are of the bins that `EDGES` bound: below the first, between each two, and from the last on.
    """

    of: Literal["logits", "margins", "predictions"]
    max: float
    mean: float
    p99: float
    """The 99th percentile."""
    counts: tuple[int, ...]


def flips(a: Mapping[str, Array], b: Mapping[str, Array]) -> Flips:
    """Compare the arrays of two predictions files, from A to B.

    `predictions` and `labels` are `(N,)` whole numbers, or `(N, C)` zeros and ones of several labels; `logits` `(N, C)`
    or `margins` `(N,)` may be there. Raises UsageError where the examples are not the same, and for what has no flips:
    the counts of a segmentation, the numbers of a regression.
    """
    check_same_examples(a, b)
    before, after, labels = a["predictions"], b["predictions"], a["labels"]
    if np.issubdtype(before.dtype, np.floating) or np.issubdtype(after.dtype, np.floating):
        raise UsageError("predictions of a regression are numbers: they drift, and none flips")
    rows = np.flatnonzero(_any(before != after))
    was, now = ~_any(before != labels), ~_any(after != labels)
    gained, lost = int(np.sum(now & ~was)), int(np.sum(was & ~now))
    several = before.ndim == 2
    margins = _distances(a, b, rows) if several else (_leads(a, rows), _leads(b, rows))
    return Flips(
        n=len(labels), flipped=len(rows), gained=gained, lost=lost, p=sign_test(gained, lost), rows=rows,
        margins_a=margins[0], margins_b=margins[1], moving=1 if several else 2,
    )  # fmt: skip


def check_same_examples(a: Mapping[str, Array], b: Mapping[str, Array]) -> None:
    """Raise UsageError for predictions that are not of the same examples, as far as their labels tell."""
    for name in ("predictions", "labels"):
        if name not in a or name not in b:
            raise UsageError(f"no {name} were kept of each example, but {', '.join(sorted(a if name not in a else b))}")
    if len(a["labels"]) != len(b["labels"]):
        raise UsageError(f"not the same examples: {len(a['labels']):,} and {len(b['labels']):,}")
    if a["predictions"].shape != b["predictions"].shape:
        raise UsageError(f"not the same task: predictions {a['predictions'].shape} and {b['predictions'].shape}")
    if not np.array_equal(a["labels"], b["labels"]):
        differ = int(np.sum(_any(a["labels"] != b["labels"]))) if a["labels"].shape == b["labels"].shape else "all"
        raise UsageError(f"not the same examples: {differ} of {len(a['labels']):,} labels differ")


def drift(a: Mapping[str, Array], b: Mapping[str, Array]) -> Drift | None:
    """How far the logits, else the margins, else the numbers that are predicted moved; None where none were kept.

    Raises UsageError where the examples are not the same.
    """
    check_same_examples(a, b)
    for of in ("logits", "margins", "predictions"):
        kept = of in a and of in b and a[of].shape == b[of].shape
        if kept and np.issubdtype(a[of].dtype, np.floating):
            moved = np.abs(b[of].astype(np.float64) - a[of].astype(np.float64)).ravel()
            counts = np.bincount(np.digitize(moved, EDGES), minlength=len(EDGES) + 1)
            return Drift(
                of=of, max=float(moved.max()), mean=float(moved.mean()), p99=float(np.percentile(moved, 99)),
                counts=tuple(map(int, counts)),
            )  # fmt: skip
    return None


def sign_test(gained: int, lost: int) -> float:
    """The two-sided p-value of so uneven a split of examples that changed, if either side were as likely.

    McNemar's test (Psychometrika 1947) in its exact form: `2 P(X <= min(gained, lost))` for X binomial with 1/2, at
    most 1 (Fagerland, Lydersen and Laake, BMC Medical Research Methodology 2013). 1 where nothing changed.
    """
    return float(min(1.0, 2 * special.bdtr(min(gained, lost), gained + lost, 0.5))) if gained + lost else 1.0


def _any(differs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether anything of a row differs: `(N,)` or `(N, C)` to `(N,)`."""
    return np.asarray(differs.reshape(len(differs), -1).any(axis=1))


def _leads(arrays: Mapping[str, Array], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The lead of the largest logit over the second in some rows."""
    if "margins" in arrays:
        return arrays["margins"][rows].astype(np.float64)
    if "logits" not in arrays or arrays["logits"].shape[1] < 2:
        return np.full(len(rows), np.nan)
    best = np.sort(arrays["logits"][rows].astype(np.float64), axis=1)
    return best[:, -1] - best[:, -2]


def _distances(
    a: Mapping[str, Array], b: Mapping[str, Array], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far from zero the logit was and is of that flipped label of each row which moved farthest."""
    if "logits" not in a or "logits" not in b or not len(rows):
        return np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    before, after = (np.abs(arrays["logits"][rows].astype(np.float64)) for arrays in (a, b))
    moved = np.where(a["predictions"][rows] != b["predictions"][rows], before + after, -1.0)
    chosen = moved.argmax(axis=1)[:, None]
    return np.take_along_axis(before, chosen, axis=1)[:, 0], np.take_along_axis(after, chosen, axis=1)[:, 0]
