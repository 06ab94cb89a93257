"""The formulas behind the verdicts, each with its source. Pure functions of numbers or arrays of numbers; no torch.

The mean of `k` retrainings is compared with the mean of `r` reference runs. Runs are assumed to be normally
distributed with one standard deviation, sigma. Sigma is known (`dof` is infinite), or estimated with `dof` degrees of
freedom. Where sigma is known, Student's t distribution becomes the normal distribution.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special

KNOWN = math.inf
"""The degrees of freedom of a sigma that is taken as known."""
ALPHA = 0.05
"""The level of every test: of each equivalence test, and of all prediction bands of a suite together."""
PRIOR_DOF = 8
"""The weight of a declared prior in degrees of freedom. A prior counts like the standard deviation of nine runs, which
is right to about a quarter."""
MOST_SEEDS = 1_000
"""The search for the number of further runs stops before this number."""


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


def band_half_width(error: Any, dof: Any, steps: Any = 1) -> Any:
    """Return half the width of the prediction band of the mean: `t(1 - alpha / (2 steps)) e`.

    Args:
        error: The standard error e of the difference between the two means.
        dof: The degrees of freedom of sigma.
        steps: The divisor of alpha in Holm's procedure, see `holm_steps`.
    """
    return quantile(1 - ALPHA / (2 * steps), dof) * error


def equivalence_half_width(margin: Any, error: Any, dof: Any) -> Any:
    """Return the largest difference that passes the equivalence test: `margin - t(1 - alpha) e`.

    Two one-sided tests (TOST), each at level alpha, must both reject a difference of `margin` or more. This is the same
    as a `1 - 2 alpha` interval of the difference that lies within the margin. A negative result means that no
    difference passes.

    Schuirmann, A comparison of the two one-sided tests procedure and the power approach, J. Pharmacokinetics and
    Biopharmaceutics 1987.
    """
    return margin - interval_half_width(error, dof)


def interval_half_width(error: Any, dof: Any) -> Any:
    """Return half the width of the `1 - 2 alpha` interval of a difference between two means: `t(1 - alpha) e`."""
    return quantile(1 - ALPHA, dof) * error


def power(margin: Any, error: Any, dof: Any) -> Any:
    """Return the probability that a correct retraining passes the equivalence test.

    `max(0, 2 T(margin / e - t(1 - alpha)) - 1)`, with the true difference at zero.
    """
    return np.maximum(0.0, 2 * _cumulative(equivalence_half_width(margin, error, dof) / error, dof) - 1)


def detection_power(shift: Any, error: Any, dof: Any, steps: Any = 1) -> Any:
    """Return the probability that the mean leaves the prediction band when the true difference is `shift`.

    The noncentral t distribution is approximated by a shifted t distribution.
    """
    bound = band_half_width(error, dof, steps) / error
    return _cumulative(shift / error - bound, dof) + _cumulative(-shift / error - bound, dof)


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

    F test of `sigma^2 / prior^2` with `dof` and `PRIOR_DOF` degrees of freedom.
    """
    ratio = (sigma / prior) ** 2
    return 2 * np.minimum(special.fdtr(dof, PRIOR_DOF, ratio), special.fdtrc(dof, PRIOR_DOF, ratio))


def binomial_sigma(accuracy: float, n: int) -> float:
    """Return the standard deviation that a test set of n examples alone gives an accuracy: `sqrt(err / (2 n))`.

    This is a lower bound. It is too low for QNLI and QQP.

    Jordan, Calibrated chaos: variance between runs of neural network training is harmless and inevitable, 2023.
    """
    return math.sqrt((1 - accuracy) / (2 * n))


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
    """Return how many runs beyond `k` are needed until `enough(runs)` is true; None if even 999 are too few."""
    return next((more for more in range(1, MOST_SEEDS) if enough(k + more)), None)


def failure_p_value(failed: int, k: int, reference_failed: int, r: int) -> float:
    """Return the one-sided p-value of Fisher's exact test for `failed` of k runs against `reference_failed` of r.

    With m failures in all, it is `sum_{x >= failed} C(k, x) C(r, m - x) / C(k + r, m)`.

    Fisher, The design of experiments, 1935.
    """
    both = failed + reference_failed
    tail = (math.comb(k, x) * math.comb(r, both - x) for x in range(failed, min(k, both) + 1))
    return sum(tail) / math.comb(k + r, both)


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
