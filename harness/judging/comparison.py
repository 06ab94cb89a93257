"""The comparison of the mean of k trained runs with the mean of r reference runs. Pure functions of numbers."""

import math
from dataclasses import dataclass, replace

from harness.judging import statistics
from harness.judging.sigma import Sigma
from harness.judging.types import ROUNDING, Verdict

MARGIN_OF_RUNS, MARGIN_OF_ONE = 2.0, 3.4
"""The equivalence margin in sigma, against the mean of several reference runs and against a single score. A single
score may itself be 2 sigma away from its mean. With this larger margin, at most 1 % of losses of 4 sigma pass."""
LEAST_SEEDS = 5
"""Fewer runs say little about their own spread, so they are assumed to vary `WIDER` times as much as the reference."""
WIDER = 2.0
NARROWER = 0.8
"""In Welch's error, the judged runs vary at least this many times as much as the reference, because the spread of five
runs can be small by chance. Without it, five runs that vary twice as much as 20 reference runs raise alarms in 6 % of
correct catalogues."""
LEAST_FOR_OWN_SPREAD = 3
"""The least runs whose own spread can raise an alarm, where the reference gives only a lower bound of sigma."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The mean of k runs against the mean of r reference runs."""

    sigma: Sigma
    """Sigma as the reference gives it."""
    spread: float
    """The standard deviation of the k runs; 0 for a single one."""
    k: int
    r: int
    difference: float
    """The mean of the k runs minus the claim."""
    rounding: float
    """The largest error of the claim by its rounding."""
    level: float
    """The level of the equivalence test: alpha times the share of this look."""
    divisor: int
    """The divisor of that level for an alarm: the step of Holm's procedure times the number of the claim's tests."""

    @property
    def margin(self) -> float:
        """The equivalence margin in sigma."""
        return MARGIN_OF_RUNS if self.r > 1 else MARGIN_OF_ONE

    @property
    def pooled(self) -> tuple[float, float]:
        """Sigma from the reference and the judged runs together, and its degrees of freedom."""
        if self.sigma.is_lower_bound:
            return max(self.sigma.value, self.spread), max(self.k - 1.0, 1.0)
        value, dof = statistics.pool([(self.sigma.value, self.sigma.dof), (self.spread, self.k - 1)])
        return float(value), float(dof)

    @property
    def error(self) -> float:
        """The standard error of the difference, if both sides have the same sigma."""
        return float(statistics.standard_error(self.pooled[0], self.k, self.r))

    @property
    def tests(self) -> list[tuple[float, float]]:
        """The standard errors of the difference, with their dof, that must all reject before an alarm.

        The judged runs may vary more than the reference. With five runs or more, Welch's error allows for it.
        """
        dof = self.pooled[1]
        if self.sigma.is_lower_bound:
            return [(self.error, dof)] if self.k >= LEAST_FOR_OWN_SPREAD else []
        if self.k < LEAST_SEEDS:
            narrower, _ = statistics.pool([(self.sigma.value, self.sigma.dof), (self.spread / WIDER, self.k - 1)])
            return [(float(narrower) * math.sqrt(WIDER**2 / self.k + 1 / self.r), dof)]
        reference, own = (self.sigma.value, self.sigma.dof), (max(self.spread, NARROWER * self.sigma.value), self.k - 1)
        error, welch_dof = statistics.welch(reference, own, self.r, self.k)
        return [(self.error, dof), (float(error), float(welch_dof))]

    @property
    def p(self) -> float:
        """The two-sided p-value of the difference beyond rounding: the largest of all tests, 1 without a test."""
        beyond = max(abs(self.difference) - self.rounding - ROUNDING, 0.0)
        return max((float(statistics.p_value(beyond, error, dof)) for error, dof in self.tests), default=1.0)

    @property
    def band_half_width(self) -> float:
        """The largest difference that raises no alarm; infinite without a test."""
        tail = self.level / self.divisor / 2
        widths = [float(statistics.quantile(1 - tail, dof)) * error for error, dof in self.tests if tail > 0]
        return max(widths, default=math.inf) + self.rounding

    @property
    def equivalence_half_width(self) -> float:
        """The largest difference that shows equivalence; negative if none does."""
        if self.sigma.is_lower_bound or self.level <= 0:
            return -math.inf
        return self._bound * self.error - self.rounding

    @property
    def power(self) -> float:
        """The probability that a correct retraining with this many runs is found equivalent."""
        half = max(self.equivalence_half_width, 0.0)
        return float(statistics.equivalence_power(half / self.error, self.pooled[1]))

    @property
    def excluded_loss(self) -> float:
        """A loss of more than this is excluded at 95 %."""
        upper = float(statistics.quantile(1 - statistics.ALPHA, self.pooled[1])) * self.error
        return max(upper - self.difference + self.rounding, 0.0)

    @property
    def verdict(self) -> Verdict:
        """The verdict on the difference alone."""
        if abs(self.difference) <= self.equivalence_half_width + ROUNDING:
            return "reproduced"
        return "not-reproduced" if self.p < self.level / self.divisor else "inconclusive"

    def further_seeds(self, level: float) -> int | None:
        """Return the number of further runs that settle the verdict at a level if mean and spread stay the same.

        A single run has no spread, so those after it are expected to vary like the reference.

        Returns:
            The number, or None if even `statistics.MOST_SEEDS` runs do not settle it.
        """

        spread = self.spread if self.k > 1 else self.sigma.value

        def is_settled(k: int) -> bool:
            return replace(self, k=k, spread=spread, level=level).verdict != "inconclusive"

        can_settle = level > 0 and not self.sigma.is_lower_bound
        return statistics.seeds_needed(self.k, is_settled) if can_settle else None

    @property
    def _bound(self) -> float:
        in_errors = self.margin / math.sqrt(1 / self.k + 1 / self.r)
        return float(statistics.equivalence_bound(in_errors, self.pooled[1], self.level))
