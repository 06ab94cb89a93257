"""The formulas behind the verdicts, each with its source. Pure: numbers, or arrays of them, in and out; no torch.

`k` re-trainings are compared with the mean of `r` reference runs; every run is taken to be normal with the same
standard deviation sigma, which is known or estimated with `dof` degrees of freedom (infinity: known).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Numbers = float | NDArray[np.float64]
KNOWN = math.inf
"""The degrees of freedom of a sigma that is taken as known."""
ALPHA = 0.05
"""The level of every test: of an equivalence, and of all prediction bands of a suite together."""
PRIOR_DOF = 8
"""What a declared prior weighs beside measured runs: as the spread of nine runs, so right to about a quarter."""
MOST_SEEDS = 1_000


def standard_error(sigma: Any, k: Any, r: Any) -> Any:
    """Of the difference of two means: `sigma sqrt(1/k + 1/r)`."""
    return sigma * np.sqrt(1 / k + 1 / r)


def p_value(difference: Any, error: Any, dof: Any) -> Any:
    """Two-sided, of a difference of means where none is: `2 T(-|d| / e)`, T Student's distribution (normal where sigma
    is known). Student, The probable error of a mean, Biometrika 1908.
    """
    return 2 * _below(-np.abs(difference) / error, dof)


def quantile(p: Any, dof: Any) -> Any:
    """Of Student's distribution; of the normal one where `dof` is infinite."""
    return np.where(np.isinf(dof), special.ndtri(p), special.stdtrit(np.where(np.isinf(dof), 1.0, dof), p))


def half_band(error: Any, dof: Any, steps: Any = 1) -> Any:
    """Half the prediction band of the mean at one step of Holm's procedure: `t(1 - alpha / (2 steps)) e`."""
    return quantile(1 - ALPHA / (2 * steps), dof) * error


def half_equivalent(margin: Any, error: Any, dof: Any) -> Any:
    """How far the mean may be off for the equivalence test to succeed: `margin - t(1 - alpha) e`; none below zero.

    Two one-sided tests at level alpha both reject a difference of the margin or more. Schuirmann, A comparison of the
    two one-sided tests procedure and the power approach, J. Pharmacokinetics and Biopharmaceutics 1987.
    """
    return margin - quantile(1 - ALPHA, dof) * error


def power(margin: Any, error: Any, dof: Any) -> Any:
    """The chance that a correct re-training passes the equivalence test: `2 T(margin / e - t(1 - alpha)) - 1`."""
    return np.maximum(0.0, 2 * _below(half_equivalent(margin, error, dof) / error, dof) - 1)


def detection(shift: Any, error: Any, dof: Any, steps: Any = 1) -> Any:
    """The chance that a true shift leaves the prediction band (the noncentral t taken as a shifted one)."""
    bound = half_band(error, dof, steps) / error
    return _below(shift / error - bound, dof) + _below(-shift / error - bound, dof)


def pooled(parts: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Standard deviation and degrees of freedom of several `(sigma, dof)` of the same spread, weighted by the latter.

    `sigma^2 = sum(dof_i sigma_i^2) / sum(dof_i)`. With a prior among them it is the moderated variance of Smyth, Linear
    models and empirical Bayes methods, Stat. Appl. Genet. Mol. Biol. 2004, equation (1).
    """
    dof = sum(weight for _, weight in parts)
    return np.sqrt(sum(weight * sigma**2 for sigma, weight in parts) / dof), dof


def fits_prior(sigma: Any, dof: Any, prior: Any) -> Any:
    """The two-sided p-value of a measured spread, were the prior right as the spread of nine runs is: F of
    `sigma^2 / prior^2` with `dof` and eight degrees of freedom.
    """
    ratio = (sigma / prior) ** 2
    return 2 * np.minimum(special.fdtr(dof, PRIOR_DOF, ratio), special.fdtrc(dof, PRIOR_DOF, ratio))


def binomial_sigma(accuracy: float, n: int) -> float:
    """What the finite test set alone does to an accuracy: `sqrt(err / (2 n))`. A lower bound: too low for QNLI and QQP.

    Jordan, Calibrated chaos: variance between runs of neural network training is harmless and inevitable, 2023.
    """
    return math.sqrt((1 - accuracy) / (2 * n))


def holm(p_values: Sequence[float | None], family: int) -> list[int]:
    """At which step of Holm's procedure over `family` hypotheses each is tested: p is compared with `alpha / step`.

    The smallest p is tested at `family`, each next one at one less as long as all before it are rejected; hypotheses
    without a p count in `family` and are never rejected. Holm, A simple sequentially rejective multiple test procedure,
    Scandinavian J. of Statistics 1979.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None and not math.isnan(p))
    step = max(family, len(known))
    tested: dict[int, int] = {}
    for p, i in known:
        tested[i] = step
        if p > ALPHA / step:
            break
        step = max(step - 1, 1)
    return [tested.get(i, step) for i in range(len(p_values))]


def seeds_needed(k: int, enough: Any) -> int | None:
    """How many runs more than `k` until `enough(runs)` is true; None where not even a thousand more are."""
    return next((more for more in range(1, MOST_SEEDS) if enough(k + more)), None)


def excess_failures(failed: int, k: int, reference_failed: int, r: int) -> float:
    """The chance of so many failures or more among `k` runs, were they no likelier than in `r` others.

    One-sided exact test of Fisher: with `m` failures in all, `sum_{x >= failed} C(k, x) C(r, m - x) / C(k + r, m)`.
    Fisher, The design of experiments, 1935.
    """
    both = failed + reference_failed
    tail = (math.comb(k, x) * math.comb(r, both - x) for x in range(failed, min(k, both) + 1))
    return sum(tail) / math.comb(k + r, both)


def larger_spread(spread: float, k: int, sigma: float, dof: float) -> float:
    """The chance that `k` runs have so large a standard deviation, were theirs sigma: chi-square of
    `(k - 1) s^2 / sigma^2` where sigma is known, F of `s^2 / sigma^2` where it has `dof` degrees of freedom.
    """
    ratio = (spread / sigma) ** 2
    return float(special.chdtrc(k - 1, (k - 1) * ratio) if math.isinf(dof) else special.fdtrc(k - 1, dof, ratio))


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of `n` examples: `(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)`.

    Wilson, Probable inference, the law of succession, and statistical inference, J. American Statistical Assoc. 1927.
    """
    z = float(special.ndtri(0.975))
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def _below(x: Any, dof: Any) -> Any:
    """Student's distribution function, the normal one where `dof` is infinite."""
    return np.where(np.isinf(dof), special.ndtr(x), special.stdtr(np.where(np.isinf(dof), 1.0, dof), x))
