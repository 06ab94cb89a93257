"""The formulas behind the verdicts, each with its source. Pure functions of numbers or arrays of numbers; no torch.

The mean of `k` retrainings is compared with the mean of `r` reference runs. A standard deviation that is estimated has
degrees of freedom `dof`. With infinite `dof`, Student's t distribution becomes the normal distribution.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special

KNOWN = math.inf
"""The degrees of freedom of a standard deviation that is known."""
ALPHA = 0.05
"""The level of every test: of each equivalence test, and of all alarms of a family of claims together."""
PRIOR_DOF = 8
"""The degrees of freedom of a declared prior that no reference runs check: those of a standard deviation of nine runs,
which is right to about a quarter."""
CHECKED_PRIOR_DOF = 3
"""The degrees of freedom of a prior beside reference runs. A prior from another protocol is often wrong by half, and
few runs cannot show it; so they count more. With 4, a prior of half of sigma beside five reference runs raises alarms
in 6 % of correct catalogues; benchmarks/verdicts simulates it."""
LOOKS = 3
"""The most times that a claim is judged with more and more seeds."""
MOST_SEEDS = 1_000
"""The search for the number of further runs stops before this number."""
TRIED_IN_TURN = 16
"""Numbers of further runs below this are tried in turn, because the rule for the spread of few runs is another one."""


def standard_error(sigma: Any, k: Any, r: Any) -> Any:
    """Return the standard error of the difference between the means of k and r runs: `sigma sqrt(1/k + 1/r)`."""
    return sigma * np.sqrt(1 / k + 1 / r)


def p_value(difference: Any, error: Any, dof: Any) -> Any:
    """Return the two-sided p-value of a difference d between two means with standard error e: `2 T(-|d| / e)`.

    T is the distribution function of Student's t with `dof` degrees of freedom.

    Student, The probable error of a mean, Biometrika 1908.
    """
    return 2 * _cumulative(-np.abs(difference) / error, dof)


def quantile(p: Any, dof: Any) -> Any:
    """Return the p-quantile of Student's t distribution; of the normal distribution where `dof` is infinite."""
    return np.where(np.isinf(dof), special.ndtri(p), special.stdtrit(np.where(np.isinf(dof), 1.0, dof), p))


def welch(reference: tuple[Any, Any], own: tuple[Any, Any], r: Any, k: Any) -> tuple[Any, Any]:
    """Return the standard error of a difference between two means whose runs have different spreads, and its dof.

    `e^2 = s_r^2 / r + s_k^2 / k` with `dof = e^4 / ((s_r^2 / r)^2 / dof_r + (s_k^2 / k)^2 / dof_k)`.

    Welch, The generalization of Student's problem when several different population variances are involved, Biometrika
    1947; Satterthwaite 1946.

    Args:
        reference: The standard deviation of the reference runs, and its degrees of freedom.
        own: The same of the other runs.
        r: The number of reference runs.
        k: The number of the other runs.
    """
    parts = [(sigma**2 / runs, dof) for (sigma, dof), runs in ((reference, r), (own, k))]
    squared = sum(part for part, _ in parts)
    return np.sqrt(squared), squared**2 / sum(part**2 / dof for part, dof in parts)


def equivalence_bound(margin: Any, dof: Any, level: float) -> Any:
    """Return the largest `|d| / e` that shows a true difference smaller than the margin, at this level.

    The difference d has the estimated standard error e, and the true difference is `margin` true standard errors. Then
    `d / e` has a noncentral t distribution, and its square a noncentral F distribution, whose quantile is the square of
    the bound. So the test is exact although sigma, the unit of the margin, is estimated.

    Wellek, Testing statistical hypotheses of equivalence and noninferiority, 2010, section 6.1.

    Args:
        margin: The margin, in true standard errors of the difference.
        dof: The degrees of freedom of e.
        level: The probability that a true difference of exactly the margin passes.
    """
    known = np.isinf(dof)
    of_known = special.chndtrix(level, 1.0, margin**2)
    return np.sqrt(np.where(known, of_known, special.ncfdtri(1.0, np.where(known, 1.0, dof), margin**2, level)))


def equivalence_power(bound: Any, dof: Any) -> Any:
    """Return the probability that `|d| / e` of a correct retraining is within a bound: `1 - 2 T(-bound)`."""
    return 1 - 2 * _cumulative(-np.asarray(bound), dof)


def look_share(look: int) -> float:
    """Return the share of the level that is spent on a look, the first one counted as 1; 0 after `LOOKS` looks.

    A user who adds seeds until a verdict is settled tests several times. The Pocock-type spending function
    `ln(1 + (e - 1) t)` at `t = look / LOOKS` gives the share that is spent after a look.

    Lan and DeMets, Discrete sequential boundaries for clinical trials, Biometrika 1983; Pocock, Biometrika 1977.
    """
    spent = [math.log1p((math.e - 1) * number / LOOKS) for number in (look - 1, look)]
    return spent[1] - spent[0] if look <= LOOKS else 0.0


def pool(parts: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Pool several estimates of one standard deviation: `sigma^2 = sum(dof_i sigma_i^2) / sum(dof_i)`.

    With a prior among the estimates, this is the moderated variance of Smyth, Linear models and empirical Bayes
    methods, Stat. Appl. Genet. Mol. Biol. 2004, equation (1).

    Args:
        parts: Pairs `(sigma_i, dof_i)`.

    Returns:
        The pooled standard deviation and its degrees of freedom.
    """
    dof = sum(weight for _, weight in parts)
    return np.sqrt(sum(weight * sigma**2 for sigma, weight in parts) / dof), dof


def prior_p_value(sigma: Any, dof: Any, prior: Any) -> Any:
    """Return the two-sided p-value of a measured standard deviation if the prior were right.

    F test of `sigma^2 / prior^2` with `dof` and `CHECKED_PRIOR_DOF` degrees of freedom.
    """
    ratio = (sigma / prior) ** 2
    tails = special.fdtr(dof, CHECKED_PRIOR_DOF, ratio), special.fdtrc(dof, CHECKED_PRIOR_DOF, ratio)
    return 2 * np.minimum(*tails)


def holm_steps(p_values: Sequence[float | None], family: int) -> list[int]:
    """Return the divisor of alpha with which Holm's procedure tests each hypothesis.

    The smallest p-value is compared with `alpha / family`. Each following one is compared with alpha over one less, as
    long as all smaller p-values are rejected. Hypotheses without a p-value count in `family` and are never rejected.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian J. of Statistics 1979.
    """
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None and not math.isnan(p))
    step = max(family, len(tested))
    steps: dict[int, int] = {}
    for p, i in tested:
        steps[i] = step
        if p > ALPHA / step:
            break
        step = max(step - 1, 1)
    return [steps.get(i, step) for i in range(len(p_values))]


def seeds_needed(k: int, enough: Callable[[int], bool]) -> int | None:
    """Return how many runs beyond `k` are needed until `enough(runs)` is true; None if even 999 are too few.

    The first `TRIED_IN_TURN` numbers are tried in turn. Beyond them what is enough nearly always stays enough with more
    runs, so the search bisects.
    """
    few = next((more for more in range(1, min(TRIED_IN_TURN, MOST_SEEDS)) if enough(k + more)), None)
    if few is not None or not enough(k + MOST_SEEDS - 1):
        return few
    return bisect_left(range(MOST_SEEDS), True, lo=TRIED_IN_TURN, key=lambda more: enough(k + more))


def fisher_p_value(failed: int, k: int, reference_failed: int, r: int) -> float:
    """Return the one-sided p-value of Fisher's exact test for `failed` of k runs against `reference_failed` of r.

    With m failures in all, it is `sum_{x >= failed} C(k, x) C(r, m - x) / C(k + r, m)`.

    Fisher, The design of experiments, 1935.
    """
    both = failed + reference_failed
    tail = (math.comb(k, x) * math.comb(r, both - x) for x in range(failed, min(k, both) + 1))
    return sum(tail) / math.comb(k + r, both)


def binomial_p_value(failed: int, k: int, rate: float) -> float:
    """Return the probability that at least `failed` of k runs fail if runs fail at this rate: a binomial tail."""
    return float(special.bdtrc(failed - 1, k, rate)) if failed else 1.0


def spread_p_value(spread: float, k: int, sigma: float, dof: float) -> float:
    """Return the probability that k runs have a standard deviation of at least `spread` if theirs is sigma.

    Chi-square test of `(k - 1) spread^2 / sigma^2` where sigma is known; F test of `spread^2 / sigma^2` where sigma has
    `dof` degrees of freedom.
    """
    ratio = (spread / sigma) ** 2
    return float(special.chdtrc(k - 1, (k - 1) * ratio) if math.isinf(dof) else special.fdtrc(k - 1, dof, ratio))


def shares_error(share: float, m: int, other: float, n: int, *, is_part: bool) -> float:
    """Return the standard error of the difference between a share of m examples and another share of n examples.

    Both samples have an error. For separate samples it is that of the two-proportion z test,
    `sqrt(p (1 - p) (1/m + 1/n))` with the pooled share p (Newcombe, Interval estimation for the difference between
    independent proportions, Statistics in Medicine 1998). If the m examples are a part of the n examples, the error is
    smaller by the finite population correction: `sqrt(s^2 (1/m - 1/n))` with `s^2 = q (1 - q) n / (n - 1)` and q the
    share of all n (Cochran, Sampling techniques, 1977, theorems 2.2 and 3.1). This is the standard deviation of the
    hypergeometric distribution.

    Args:
        share: The share of the m examples.
        m: The size of the first sample.
        other: The share of the n examples.
        n: The size of the second sample; more than m if `is_part`.
        is_part: Whether the first sample is a part of the second.
    """
    if is_part:
        return math.sqrt(other * (1 - other) * n / (n - 1) * (1 / m - 1 / n))
    pooled = (m * share + n * other) / (m + n)
    return math.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))


def _cumulative(x: Any, dof: Any) -> Any:
    """Return Student's distribution function at x; the normal one where `dof` is infinite."""
    return np.where(np.isinf(dof), special.ndtr(x), special.stdtr(np.where(np.isinf(dof), 1.0, dof), x))
