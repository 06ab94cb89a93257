"""Estimate the effect of a variant on a large split from some of its rows, so that few variants need all rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from harness import metrics
from harness.diagnosis.explain.variant import UNCHANGED, Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from harness.metrics import Array, Metric
from zoo.recipes.claim import Claim

ROWS = 2048
"""The number of rows, spread evenly, because a split may be sorted by its classes."""
LARGE = 4
"""A split with more than this many times as many rows is large."""
ERRORS = 5
"""A variant whose estimate is this many standard errors from a claim is not evaluated on all rows."""
OTHER_ROWS = frozenset({"split", "task", "train", "metric"})
"""Fields of a variant that need all rows: they change the rows or the metric, or a row depends on its batch."""
TOP = 5


def _is_right(arrays: Mapping[str, Array]) -> Array:
    return np.asarray(arrays["predictions"] == arrays["labels"])


def _is_among_top(arrays: Mapping[str, Array]) -> Array:
    return np.asarray((arrays["ranked"][:, :TOP] == arrays["labels"][:, None]).any(axis=1))


BY_ROW: Mapping[str, tuple[Metric, Callable[[Mapping[str, Array]], Array]]] = {
    "accuracy": (metrics.accuracy, _is_right),
    "top5_accuracy": (metrics.top5_accuracy, _is_among_top),
}
"""Metrics that are the mean of a value of each row, with the function that returns these values."""


@dataclass(frozen=True, kw_only=True)
class Screening:
    """Estimates scores of the claims that failed, all of which are about one split."""

    runner: VariantRunner
    claims: tuple[Claim, ...]
    tolerances: Mapping[tuple[str, str], float]
    """Split and metric -> the largest difference from the claim that counts as reproduced."""

    @property
    def rows(self) -> Sequence[int] | None:
        """The rows that are computed first; None if all rows are needed."""
        names, splits = {claim.metric for claim in self.claims}, {claim.split for claim in self.claims}
        count = len(self.runner.split(self.claims[0].split))
        measured = self.runner.experiment.metrics
        is_known = all(name in BY_ROW and measured.get(name) is BY_ROW[name][0] for name in names)
        if not is_known or len(splits) > 1 or count <= LARGE * ROWS or self.runner.task.kind != "classification":
            return None
        return [row * count // ROWS for row in range(ROWS)]

    def estimates(self, variant: Variant, progress: VariantRunner) -> dict[str, float] | None:
        """Return the estimated scores of a variant by the names of the claims; None if it may reproduce all of them.

        Args:
            variant: A variant that changes the outputs.
            progress: The runner that reports the progress of this variant.
        """
        rows, split = self.rows, self.claims[0].split
        if rows is None or variant.changed & OTHER_ROWS:
            return None
        before, after = self.runner.arrays(split, UNCHANGED, ()), progress.arrays_of_rows(split, variant, rows)
        values, is_far = dict[str, float](), False
        for claim in self.claims:
            by_row = BY_ROW[claim.metric][1]
            was_right = by_row(before).astype(float)
            gained = by_row(after) - was_right[rows]
            values[f"{claim.metric} on {split}"] = estimate = float(was_right.mean() + gained.mean())
            error = ERRORS * float(gained.std()) / sqrt(len(rows)) + ERRORS / len(rows)
            tolerance = self.tolerances.get((split, claim.metric), inf)
            is_far |= abs(estimate - (claim.value or 0.0)) > error + tolerance
        return values if is_far else None
