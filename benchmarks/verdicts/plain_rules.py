"""The rules of docs/verdicts.md once more, for arrays of claims: numpy and scipy only, nothing of `harness`.

A test judges random claims by these rules and by `harness.judging.verdict`, and expects the same verdicts. The two
share no code: equivalence, for example, follows from the noncentral t distribution here, and from the noncentral F
distribution there. Arrays have the shape `(Z, E)` of Z zoos with E claims each, or `(Z, E, K)` with K runs of each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
REPRODUCED, INCONCLUSIVE, NOT_REPRODUCED, NOT_COMPARED = range(4)
ALPHA, EXACT = 0.05, 1e-9


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Claims about retrainings with their runs; NaN where a claim does not give a number."""

    value: Floats
    rounding: Floats
    """Half a unit of the last decimal of the claim."""
    references: Integers
    """The number of runs behind `value`."""
    reference_failures: Integers
    sigma: Floats
    prior: Floats
    sampling: Floats
    """The sampling error of the test set."""
    baseline: Floats
    runs: Floats
    """`(Z, E, K)`; NaN for a run without a score."""
    count: Integers
    """The number of runs; those of `runs` after it do not exist."""
    flagged: Flags
    """`(Z, E, K)`: whether a run failed or predicts a constant."""
    above: Flags
    """`(Z, E, K)`: whether another metric of the run is above its baseline."""
    look: Integers


@dataclass(frozen=True, kw_only=True)
class Tests:
    """The results of the tests of each claim. Its alarm still depends on the other claims."""

    equivalent: Flags
    difference_p: Floats
    """The p-value of the difference between the means, 1 where none can be calculated."""
    failed: Integers
    count: Integers
    reference_failures: Integers
    all_references: Integers
    parts: Integers
    """How many tests a claim has: two if any run failed, its own or the reference's."""
    share: Floats
    """The share of 5 % that the look may spend."""

    @property
    def trained(self) -> Integers:
        return self.count - self.failed

    @property
    def ordering_p(self) -> Floats:
        """The p-value by which Holm's procedure orders the claims."""
        smallest = np.minimum(self.difference_p, self.failure_p) * self.parts
        ordinary = np.where(self.share > 0, np.minimum(smallest / np.maximum(self.share, 1e-300), 1), 1.0)
        return np.where(self.trained > 0, ordinary, self.failure_p)

    @cached_property
    def failure_p(self) -> Floats:
        """The p-value of the number of failed runs: Fisher's, or a binomial tail if that can be smaller."""
        p = np.ones_like(self.difference_p)
        some, columns = self.failed > 0, (self.failed, self.count, self.reference_failures, self.all_references)
        failed, count, of_reference, references = (column[some] for column in columns)
        least = _of_distinct(_fisher, count, count, of_reference, references)
        fisher = _of_distinct(_fisher, failed, count, of_reference, references)
        tail = _of_distinct(_binomial, failed, count)
        p[some] = np.where((of_reference / references > 0.1) | (least <= 0.1**count), fisher, tail)
        return p


def test_claims(claims: Claims) -> Tests:
    """Apply the tests of mean, equivalence and failures to each claim."""
    sigma, dof, is_bound = _reference_sigma(claims)
    exists = np.arange(claims.runs.shape[-1]) < claims.count[..., None]
    is_failed = exists & _is_failed(claims, sigma)
    trained = exists & ~is_failed
    k = trained.sum(axis=-1)
    mean, spread = _moments(claims.runs, trained, k)
    share = _spending(claims.look) - _spending(claims.look - 1)
    difference = np.abs(mean - claims.value)
    with np.errstate(divide="ignore", invalid="ignore"):
        equivalent = _is_equivalent(difference, claims, sigma, dof, spread, k, ALPHA * share) & ~is_bound & (k > 0)
        p = _difference_p(np.maximum(difference - claims.rounding - EXACT, 0), claims, sigma, dof, spread, k)
        of_bound = _p(difference - claims.rounding - EXACT, np.maximum(sigma, spread) * _root(k, claims), k - 1)
    p = np.where(is_bound, np.where(k >= 3, of_bound, 1.0), p)
    failed = is_failed.sum(axis=-1)
    return Tests(
        equivalent=equivalent, difference_p=np.where(k > 0, p, 1.0), failed=failed, count=claims.count,
        reference_failures=claims.reference_failures, all_references=claims.references + claims.reference_failures,
        parts=1 + ((failed > 0) | (claims.reference_failures > 0)), share=share,
    )  # fmt: skip


def holm_divisors(p: Floats, family: int) -> Integers:
    """Return by what the level of each claim is divided: the i-th smallest p-value by `family - i`, i = 0, 1, ...

    Claims after the first one that does not reject share its divisor.
    """
    order = np.argsort(p, axis=1, kind="stable")
    divisors = np.maximum(family - np.arange(p.shape[1]), 1)
    rejects = np.take_along_axis(p, order, axis=1) <= ALPHA / divisors
    first_kept = np.where(rejects.all(axis=1), p.shape[1] - 1, np.argmin(rejects, axis=1))
    ranks = np.argsort(order, axis=1)
    return divisors[np.minimum(ranks, first_kept[:, None])]


def decide(tests: Tests, divisors: Integers) -> Integers:
    """Return the verdicts at these divisors of the level."""
    level = ALPHA * tests.share / (divisors * tests.parts)
    verdict = np.where(tests.difference_p < level, NOT_REPRODUCED, INCONCLUSIVE)
    verdict = np.where(tests.equivalent, np.where(tests.failure_p <= ALPHA, INCONCLUSIVE, REPRODUCED), verdict)
    verdict = np.where(tests.failure_p < level, NOT_REPRODUCED, verdict)
    return np.where(tests.trained > 0, verdict, np.where(tests.count < 3, INCONCLUSIVE, NOT_REPRODUCED))


def judge_count(value: float, decimals: int, n: int, right: int, near_ties: int) -> int:
    """Return the verdict on a published score of fixed weights that has `right` of n predictions right."""
    if decimals == 0:
        return NOT_COMPARED
    counts, unit = np.arange(n + 1), 10.0**-decimals
    rounds = np.abs(counts / n - value) <= unit / 2 + EXACT
    truncates = (counts / n >= value - EXACT) & (counts / n < value + unit - min(EXACT, unit / 1000))
    prints = rounds | truncates
    if not prints.any() or prints[right]:
        return REPRODUCED if prints.any() else NOT_COMPARED
    distance = np.abs(counts[rounds if rounds.any() else truncates] - right).min()
    by_chance = max(1, int(np.sqrt(4 * near_ties)))
    if distance <= by_chance:
        return REPRODUCED
    return INCONCLUSIVE if distance <= near_ties else NOT_REPRODUCED


def _reference_sigma(claims: Claims) -> tuple[Floats, Floats, Flags]:
    """Return sigma as the reference gives it, its degrees of freedom, and whether it is only a lower bound."""
    r, measured, prior = claims.references, claims.sigma, claims.prior
    dof = np.maximum(r - 1, 1).astype(float)
    ratio = (measured / prior) ** 2
    contradicts = 2 * np.minimum(special.fdtr(dof, 3, ratio), special.fdtrc(dof, 3, ratio)) < ALPHA
    pools = ~np.isnan(prior) & ~contradicts
    both = np.sqrt((dof * measured**2 + 3 * np.nan_to_num(prior) ** 2) / (dof + 3))
    from_runs, from_runs_dof = np.where(pools, both, measured), np.where(pools, dof + 3, dof)
    declared = np.where(np.isnan(prior), measured, prior)
    alone = np.where(np.isnan(declared), claims.sampling, np.fmax(declared, claims.sampling))
    has_runs = (r > 1) & ~np.isnan(measured)
    return np.where(has_runs, from_runs, alone), np.where(has_runs, from_runs_dof, 8.0), np.isnan(declared)


def _is_failed(claims: Claims, sigma: Floats) -> Flags:
    """A low score counts as a failure if the claim lies more than 8 sigma above the baseline."""
    is_far = claims.value - 8 * sigma > claims.baseline
    low = claims.runs <= (claims.baseline + EXACT)[..., None]
    return claims.flagged | (is_far[..., None] & low & ~claims.above)


def _moments(runs: Floats, used: Flags, k: Integers) -> tuple[Floats, Floats]:
    values, k = np.where(used, runs, 0.0), np.maximum(k, 1)
    mean = values.sum(axis=-1) / k
    squares = np.where(used, (values - mean[..., None]) ** 2, 0.0).sum(axis=-1)
    return mean, np.sqrt(squares / np.maximum(k - 1, 1))


def _spending(look: Integers) -> Floats:
    """The share of the level that is spent after a look: ln(1 + (e - 1) t) with t = look / 3, at most 1."""
    return np.log(1 + (np.e - 1) * np.minimum(look, 3) / 3)


def _root(k: Integers, claims: Claims) -> Floats:
    return np.sqrt(1 / k + 1 / claims.references)


def _p(difference: Floats, error: Floats, dof: Floats) -> Floats:
    return np.where(difference > 0, 2 * special.stdtr(np.maximum(dof, 1), -difference / error), 1.0)


def _difference_p(
    difference: Floats, claims: Claims, sigma: Floats, dof: Floats, spread: Floats, k: Integers
) -> Floats:
    """Return the larger p-value of the pooled test and Welch's; of few runs, whose spread may be double, another."""
    own, r = np.maximum(k - 1, 0), claims.references
    both = np.sqrt((dof * sigma**2 + own * spread**2) / (dof + own))
    pooled = _p(difference, both * _root(k, claims), dof + own)
    of_own, of_reference = np.maximum(spread, 0.8 * sigma) ** 2 / k, sigma**2 / r
    welch_dof = (of_own + of_reference) ** 2 / (of_own**2 / own + of_reference**2 / dof)
    welch = _p(difference, np.sqrt(of_own + of_reference), welch_dof)
    narrow = np.sqrt((dof * sigma**2 + own * (spread / 2) ** 2) / (dof + own))
    few = _p(difference, narrow * np.sqrt(4 / k + 1 / r), dof + own)
    return np.where(k >= 5, np.fmax(pooled, welch), few)


def _is_equivalent(
    difference: Floats, claims: Claims, sigma: Floats, dof: Floats, spread: Floats, k: Integers, level: Floats
) -> Flags:
    """Whether the difference, with the rounding, is so small that a true one of the margin shows it at this level."""
    own = np.maximum(k - 1, 0)
    error = np.sqrt((dof * sigma**2 + own * spread**2) / (dof + own)) * _root(k, claims)
    margin = np.where(claims.references > 1, 2.0, 3.4) / _root(k, claims)
    bound = _of_distinct(_equivalence_bound, np.where(k > 0, margin, 1.0), dof + own, level)
    return (difference + claims.rounding - EXACT <= bound * error) & (level > 0)


@cache
def _equivalence_bound(margin: float, dof: float, level: float) -> float:
    """Return the b with `P(|T| <= b) = level`, for T with a noncentral t distribution; by bisection."""
    low, high = 0.0, margin + 1
    for _ in range(50):
        middle = (low + high) / 2
        inside = special.nctdtr(dof, margin, middle) - special.nctdtr(dof, margin, -middle)
        low, high = (middle, high) if inside < level else (low, middle)
    return low


@cache
def _fisher(failed: int, count: int, of_reference: int, references: int) -> float:
    return float(stats.hypergeom.sf(failed - 1, count + references, failed + of_reference, count))


@cache
def _binomial(failed: int, count: int) -> float:
    return float(stats.binom.sf(failed - 1, count, 0.1))


def _of_distinct(function: Callable[..., float], *columns: NDArray[Any]) -> Floats:
    """Call a slow function of numbers once for each distinct combination of its arguments."""
    codes = np.zeros(columns[0].size, dtype=np.int64)
    for column in columns:
        values, numbers = np.unique(column.ravel(), return_inverse=True)
        codes = codes * len(values) + numbers
    _, first, where = np.unique(codes, return_index=True, return_inverse=True)
    rows = zip(*(column.ravel()[first].tolist() for column in columns), strict=True)
    results = np.array([function(*row) for row in rows])
    return results[where].reshape(columns[0].shape) if len(results) else np.empty(columns[0].shape)
