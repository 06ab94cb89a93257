"""Degenerate runs: those that learned nothing. They are compared as a rate, and left out of the mean.

Mosbach, Andriushchenko and Klakow, On the stability of fine-tuning BERT, ICLR 2021 ("failed runs").
"""

import math
from dataclasses import dataclass

from harness.judging import statistics
from harness.judging.sigma import estimate_sigma
from harness.judging.types import ROUNDING, Measurement
from zoo.recipes.claim import Claim
from zoo.text_tables import counted

FAR = 8.0
"""A score at or below the baseline is a failure only if the claim lies more than this many sigma above the baseline.
Else a model with a loss of 4 sigma can score there too, and to leave out its low runs would hide the loss."""
FAILURE_RATE = 0.1
"""The largest rate of degenerate runs of a correct recipe, unless more of the reference runs are degenerate."""
ALL_FAILED = 3
"""With at least this many runs, all of them degenerate, a claim is not reproduced."""


@dataclass(frozen=True, kw_only=True)
class Failures:
    """The degenerate runs among the judged runs and among the reference runs."""

    claim: Claim
    measured: Measurement
    is_degenerate: tuple[bool, ...]
    """For each judged run."""

    @property
    def trained(self) -> tuple[float, ...]:
        """The scores of the runs that are not degenerate."""
        return tuple(v for v, is_bad in zip(self.measured.values, self.is_degenerate, strict=True) if not is_bad)

    @property
    def degenerate(self) -> tuple[float, ...]:
        """The scores of the degenerate runs; NaN where a run has none."""
        return tuple(v for v, is_bad in zip(self.measured.values, self.is_degenerate, strict=True) if is_bad)

    @property
    def parts(self) -> int:
        """The number of tests of the claim: of the mean, and of the failure rate where any run has failed."""
        return 2 if any(self.is_degenerate) or self.claim.failures else 1

    @property
    def references(self) -> int:
        """The number of all reference runs, with the degenerate ones."""
        return self.claim.reference_runs + self.claim.failures

    @property
    def p_value(self) -> float:
        """The one-sided p-value of the number of degenerate runs."""
        return self._test[0]

    @property
    def p_text(self) -> str:
        """The p-value with the name of its test; beside another test, that of Fisher's too."""
        failed, k = len(self.degenerate), len(self.is_degenerate)
        fisher = statistics.fisher_p_value(failed, k, self.claim.failures, self.references)
        p, is_fisher = self._test
        other = "" if is_fisher else f", {p:.2g} by a binomial test of a rate of {FAILURE_RATE:.0%}"
        return f"p = {fisher:.2g} by Fisher's exact test{other}"

    @property
    def _test(self) -> tuple[float, bool]:
        """The one-sided p-value of the number of degenerate runs, and whether it is that of Fisher's test.

        It is that of Fisher's exact test against the reference runs, or of a binomial test against `FAILURE_RATE`:
        whichever could give the smaller p-value if all runs were degenerate. If more of the reference runs are
        degenerate than that rate, it is Fisher's. The choice depends on the numbers of runs alone, so Holm's procedure
        orders claims by the p-value that they keep.
        """
        failed, k, of_reference = len(self.degenerate), len(self.is_degenerate), self.claim.failures
        least = statistics.fisher_p_value(k, k, of_reference, self.references)
        has_high_rate = of_reference / self.references > FAILURE_RATE
        if has_high_rate or least <= statistics.binomial_p_value(k, k, FAILURE_RATE):
            return statistics.fisher_p_value(failed, k, of_reference, self.references), True
        return statistics.binomial_p_value(failed, k, FAILURE_RATE), False

    def findings(self) -> tuple[str, ...]:
        """Return a sentence on the degenerate runs with the p-value of their number, or nothing."""
        if not self.degenerate:
            return ()
        failed, claim = len(self.degenerate), self.claim
        of_all = f"{failed} of {counted(len(self.is_degenerate), 'run')} {'is' if failed == 1 else 'are'}"
        return (
            f"{claim.metric} on {claim.split}: {of_all} degenerate ({self.reasons()}) and left out of the mean;"
            f" of the reference runs, {claim.failures} of {self.references} are ({self.p_text})",
        )

    def reasons(self) -> str:
        """Return why runs are degenerate, with their numbers."""
        constant, reasons = self._constant(), list[str]()
        without_score = sum(map(math.isnan, self.degenerate))
        below = len(self.degenerate) - without_score - constant
        if without_score:
            reasons.append(f"{without_score} with outputs or losses that are not finite, or constant outputs")
        if constant:
            reasons.append(f"{constant} with the same prediction for all rows")
        if below:
            reasons.append(f"{below} at or below the majority-class baseline {self.measured.baseline:.4f}")
        return ", ".join(reasons)

    def _constant(self) -> int:
        constant = self.measured.constant or (False,) * len(self.measured.values)
        return sum(c and not math.isnan(v) for c, v in zip(constant, self.measured.values, strict=True))


def find_failures(claim: Claim, measured: Measurement) -> Failures:
    """Return the degenerate runs: without finite outputs, with constant predictions, or at or below the baseline.

    A low score counts only if all metrics of the run are at or below their baselines, and the claim is far above its
    own. So runs of a claim near its baseline are degenerate only by their outputs.
    """
    flags = list(measured.failed)
    for number, is_constant in enumerate(measured.constant):
        flags[number] |= is_constant
    if _is_far_above(claim, measured):
        assert measured.baseline is not None
        others = measured.above_baseline or (False,) * len(flags)
        for number, value in enumerate(measured.values):
            flags[number] |= value <= measured.baseline + ROUNDING and not others[number]
    return Failures(claim=claim, measured=measured, is_degenerate=tuple(flags))


def _is_far_above(claim: Claim, measured: Measurement) -> bool:
    """Return whether no trained model of the claim can be expected at its baseline."""
    sigma = estimate_sigma(claim, measured.n)
    if measured.baseline is None or claim.value is None or sigma is None:
        return False
    return claim.value - FAR * sigma.value > measured.baseline
