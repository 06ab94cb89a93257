"""Compute 95 % intervals for the difference of a metric between two models on the same examples (paired)."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, isfinite

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness import metrics
from harness.diagnosis.diff.groups import Groups
from harness.diagnosis.diff.leave_out import without_each_group
from harness.judging.paired import changes_of_correctness
from harness.metrics import Array, Metric
from zoo.recipes.claim import CORRELATIONS

LEVEL = 0.975
JACKKNIFE, CLUSTERED = "jackknife", "cluster jackknife"
SIGNED = tuple(getattr(metrics, name) for name in CORRELATIONS)
"""The metrics that lie between -1 and 1; the others lie between 0 and 1."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The 95 % confidence interval of the difference B - A of a metric; `kind` names its standard error."""

    low: float
    high: float
    kind: str
    standard_error: float


def paired(
    metric: Metric, a: Mapping[str, Array], b: Mapping[str, Array], *, difference: float, step: float, groups: Groups
) -> Interval | None:
    """Return the interval of the difference of a metric, `difference +- t * standard error`.

    Let `d_g` be the difference without group g, and m the mean of these G values. The squared standard error is
    `(G - 1) / G sum (d_g - m)^2 + step_g^2`. The first term is the cluster jackknife: MacKinnon, Nielsen and Webb,
    Fast and Reliable Jackknife and Bootstrap Methods for Cluster-Robust Inference, Journal of Applied Econometrics
    2023. With a mean and equal groups it is the variance of Liang and Zeger (1986) times G / (G - 1). The second term
    is the effect of one more flip, which models that hardly differ have not shown by chance: Agresti and Min
    (Statistics in Medicine 2005) count it so for accuracies. The examples of a group may flip together, so `step_g` is
    `step` times the number that do, see `_changed_together`. Student's t has `n^2 / sum n_g^2 - 1` degrees of freedom.

    Args:
        metric: The metric.
        a: The arrays of A.
        b: The arrays of B.
        difference: The difference of all examples.
        step: The largest change of the metric that one prediction can cause.
        groups: The groups of dependent examples.

    Returns:
        The interval; None if there are fewer than two groups' worth of examples, or the metric is not defined without
        some group.
    """
    count, effective = len(groups.sizes), groups.effective
    if effective < 2:
        return None
    before, after = (without_each_group(metric, arrays, groups.ids) for arrays in (a, b))
    moved = after - before
    jackknife = float(np.sqrt((count - 1) / count * np.sum((moved - moved.mean()) ** 2)))
    error = hypot(jackknife, step * _changed_together(a, b, groups))
    if not isfinite(error):
        return None
    half, most = float(special.stdtrit(effective - 1, LEVEL)) * error, 2.0 if metric in SIGNED else 1.0
    low, high = max(difference - half, -most), min(difference + half, most)
    return Interval(low=low, high=high, kind=JACKKNIFE if groups.are_single else CLUSTERED, standard_error=error)


def _changed_together(a: Mapping[str, Array], b: Mapping[str, Array], groups: Groups) -> float:
    """Return how many examples of a group change together.

    It is the mean net change `s_g` of a group, weighted by itself, `sum s_g^2 / sum |s_g|`, over that of an example: 1
    if changes are independent and rare, the size of a group if all of its examples change alike. If no group has a net
    change, nothing is known of it, and it is the mean size of the group of an example.
    """
    if groups.are_single or "predictions" not in a:
        return len(groups.ids) / groups.effective
    changes = _changes(a, b)
    net = np.bincount(groups.ids, weights=changes)
    if np.allclose(net, 0):
        return len(groups.ids) / groups.effective
    of_groups, of_examples = (float(np.sum(x**2) / np.sum(np.abs(x))) for x in (net, changes))
    return of_groups / of_examples


def _changes(a: Mapping[str, Array], b: Mapping[str, Array]) -> NDArray[np.float64]:
    """Return the change of each example: of correctness, or of a prediction that is a real number, `(N,)`."""
    if a["predictions"].ndim == 1 and np.issubdtype(a["predictions"].dtype, np.floating):
        return b["predictions"].astype(np.float64) - a["predictions"].astype(np.float64)
    return changes_of_correctness(a, b).astype(np.float64)
