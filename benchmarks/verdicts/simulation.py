"""Count how often the verdicts on simulated zoos are wrong, by zoo's rules and by those of other programs."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.verdicts import plain_rules
from benchmarks.verdicts.plain_rules import ALPHA, INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED, Floats, Integers
from benchmarks.verdicts.samples import FAMILY, MOST_LOOKS, Sample, one_of_each, random_of, simulate
from benchmarks.verdicts.settings import Setting

SHIFTS = (1, 2, 3, 4)
"""The losses of one entry, in sigma."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of simulated cases with its 95 % interval."""

    count: int
    of: int

    @property
    def value(self) -> float:
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """The exact interval of Clopper and Pearson, Biometrika 1934."""
        low = special.betaincinv(self.count, self.of - self.count + 1, 0.025) if self.count else 0.0
        high = special.betaincinv(self.count + 1, self.of - self.count, 0.975) if self.count < self.of else 1.0
        return float(low), float(high)

    def __str__(self) -> str:
        """Return percentages, such as `1.2 [0.9, 1.5]`."""
        value, low, high = (100 * share for share in (self.value, *self.interval))
        decimals = 1 if value < 9.95 else 0
        return f"{value:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"


Rates = dict[str, Rate]


def rates(setting: Setting, zoos: int) -> Rates:
    """Return the rates of zoo's verdicts: of 41 correct entries, and of one entry that is worse."""
    random = random_of(setting)
    sample = simulate(setting, zoos, random)
    verdicts, p = judge_looks(sample)
    found = {
        "alarm": _rate((verdicts == NOT_REPRODUCED).any(axis=1)),
        "inconclusive": _rate(verdicts == INCONCLUSIVE),
    }
    for shift in SHIFTS:
        verdicts, _ = judge_looks(sample.one_worse(shift), p)
        found |= {f"found {shift}": _rate(verdicts == NOT_REPRODUCED), f"passed {shift}": _rate(verdicts == REPRODUCED)}
    for share in (0.5, 1.0):
        verdicts, _ = judge_looks(sample.one_collapses(share, random), p)
        found[f"collapsed {share}"] = _rate(verdicts == NOT_REPRODUCED)
    return found


def judge_looks(sample: Sample, others: list[Floats] | None = None) -> tuple[Integers, list[Floats]]:
    """Judge the claims look by look. At each look, claims that are not settled are judged again with more seeds.

    Args:
        sample: The sample; with `others`, one entry of each zoo.
        others: The p-values of all entries at each look.

    Returns:
        The last verdicts, and the p-values at each look.
    """
    verdicts = np.full(sample.claims.count.shape, INCONCLUSIVE)
    last, looks = np.ones(verdicts.shape), list[Floats]()
    for look in range(1, 1 + (MOST_LOOKS if sample.setting.looks else 1)):
        is_open = verdicts == INCONCLUSIVE
        claims = replace(sample.claims, count=sample.seeds_at(look), look=np.full(verdicts.shape, look))
        tests = plain_rules.test_claims(claims)
        last = np.where(is_open, tests.ordering_p, last)
        looks.append(last)
        divisors = _divisors(last, others[look - 1] if others else None)
        verdicts = np.where(is_open, plain_rules.decide(tests, divisors), verdicts)
    return verdicts, looks


def welch(sample: Sample) -> Floats:
    """Return the p-values of Welch's test between the runs and the reference runs."""
    (mean, variance, k), (claimed, reference_variance, r) = _moments_of(sample)
    of_own, of_reference = variance / k, reference_variance / r
    error = np.sqrt(of_own + of_reference)
    dof = error**4 / (of_own**2 / (k - 1) + of_reference**2 / (r - 1))
    return np.asarray(2 * special.stdtr(dof, -np.abs(mean - claimed) / error))


def convergence_check(sample: Sample) -> Floats:
    """Return one-sided p-values in the manner of MLPerf's reference convergence points (RCP).

    The mean without the best and the worst run is compared with that of the reference, by a t test with the standard
    deviation of the reference runs and r + k - 2 degrees of freedom. Only a worse mean fails.
    """
    (_, _, k), (_, variance, r) = _moments_of(sample)
    runs = _existing(sample)
    trimmed = (np.nansum(runs, axis=-1) - np.nanmin(runs, axis=-1) - np.nanmax(runs, axis=-1)) / (k - 2)
    claimed = np.sort(sample.reference, axis=-1)[..., 1:-1].mean(axis=-1)
    return np.asarray(special.stdtr(r + k - 2, (trimmed - claimed) / np.sqrt(variance * (1 / r + 1 / k))))


def within(points: float) -> Callable[[Sample], Floats]:
    """Return a rule that fails each mean which differs by more than a fixed number of points."""

    def is_within(sample: Sample) -> Floats:
        difference = np.nanmean(_existing(sample), axis=-1) - sample.claims.value
        return np.where(np.abs(difference) <= points / 100, 1.0, 0.0)

    return is_within


def rival_rates(setting: Setting, zoos: int, rule: Callable[[Sample], Floats], *, adjusts: bool) -> Rates:
    """Return the rates of another rule, which passes what it does not fail.

    Args:
        setting: The setting.
        zoos: The number of zoos.
        rule: Returns the p-value of each claim.
        adjusts: Whether Holm's procedure adjusts the p-values over the zoo.
    """
    sample = simulate(setting, zoos, random_of(setting))
    p = rule(sample)
    found = {"alarm": _rate((p * (_divisors(p) if adjusts else 1) < ALPHA).any(axis=1))}
    for shift in SHIFTS:
        one = rule(sample.one_worse(shift))
        fails = one * (_divisors(one, p) if adjusts else 1) < ALPHA
        found |= {f"found {shift}": _rate(fails), f"passed {shift}": _rate(~fails)}
    return found


def _divisors(p: Floats, others: Floats | None = None) -> Integers:
    """Return Holm's divisors; with `others`, those of one entry of each zoo whose p-value replaces another."""
    if others is None:
        return plain_rules.holm_divisors(p, FAMILY)
    where, replaced = one_of_each(len(p)), others.copy()
    replaced[where] = p[:, 0]
    return plain_rules.holm_divisors(replaced, FAMILY)[where][:, None]


def _existing(sample: Sample) -> Floats:
    runs = sample.claims.runs
    return np.where(np.arange(runs.shape[-1]) < sample.claims.count[..., None], runs, np.nan)


def _moments_of(sample: Sample) -> list[tuple[Floats, Floats, Integers]]:
    """Return mean, variance and number of the runs, and of the reference runs, with those that collapsed."""
    return [
        (np.nanmean(runs, axis=-1), np.nanvar(runs, axis=-1, ddof=1), (~np.isnan(runs)).sum(axis=-1))
        for runs in (_existing(sample), sample.reference)
    ]


def _rate(flags: NDArray[np.bool_]) -> Rate:
    return Rate(count=int(flags.sum()), of=flags.size)
