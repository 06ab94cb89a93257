"""Judge a retraining: compare the mean of k runs with the mean of r reference runs. Pure functions; no torch."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

from harness.judging import statistics
from harness.judging.sigma import KNOWN_FROM, Sigma, estimate_sigma, spread_findings
from harness.judging.types import ROUNDING, Judgement, Measurement, Verdict, format_difference
from zoo.recipes.claim import Claim
from zoo.text_tables import counted

MARGIN_OF_RUNS, MARGIN_OF_ONE = 2.0, 4.0
"""The equivalence margin in sigma, against the mean of several reference runs and against a single score."""
ENOUGH_REFERENCE_RUNS, LEAST_SEEDS = 10, 5
"""A claim with fewer reference runs than the first number, and without a prior, needs the second number of seeds."""
FAILING_SHARE = 0.5
"""With fewer than five reference runs, at least this share of degenerate runs is too many."""


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """The mean of k runs against the mean of r reference runs."""

    sigma: Sigma
    k: int
    r: int
    difference: float
    steps: int
    """The divisor of alpha in Holm's procedure."""

    @property
    def margin(self) -> float:
        return (MARGIN_OF_RUNS if self.r > 1 else MARGIN_OF_ONE) * self.sigma.value

    @property
    def error(self) -> float:
        return float(statistics.standard_error(self.sigma.pooled, self.k, self.r))

    @property
    def band_half_width(self) -> float:
        return float(statistics.band_half_width(self.error, self.sigma.dof, self.steps))

    @property
    def equivalence_half_width(self) -> float:
        return float(statistics.equivalence_half_width(self.margin, self.error, self.sigma.dof))

    @property
    def interval(self) -> tuple[float, float]:
        """The `1 - 2 alpha` interval of the difference; equivalence means that it lies within the margin."""
        half = float(statistics.interval_half_width(self.error, self.sigma.dof))
        return self.difference - half, self.difference + half

    @property
    def verdict(self) -> Verdict:
        if abs(self.difference) <= self.equivalence_half_width + ROUNDING:
            return "reproduced"
        return "not-reproduced" if abs(self.difference) > self.band_half_width + ROUNDING else "inconclusive"

    @property
    def power(self) -> float:
        return float(statistics.power(self.margin, self.error, self.sigma.dof))

    @cached_property
    def further_seeds(self) -> int | None:
        """The number of further runs that would settle the verdict if the mean stays the same."""
        return statistics.seeds_needed(self.k, lambda k: self._with_runs(k).verdict != "inconclusive")

    def _with_runs(self, k: int) -> "_Comparison":
        return replace(self, k=k, sigma=replace(self.sigma, dof=self.sigma.dof + k - self.k))


def judge_retraining(claim: Claim, measured: Measurement, steps: int) -> Judgement:
    """Judge the runs of a retraining by the three rules of `harness.judging.verdict`, in their order.

    With m the mean of the k runs that count, v the claimed value, `e = sigma sqrt(1/k + 1/r)` and t the quantiles of
    Student's distribution (of the normal distribution where sigma is known):

    - equivalent: `|m - v| + t(0.95) e <= margin`
    - outside the prediction band: `|m - v| > t(1 - 0.025 / steps) e`

    Args:
        claim: The claim; its value and a source of sigma must be known.
        measured: The runs.
        steps: The divisor of the level 5 % in Holm's procedure.
    """
    values, degenerate = _split_degenerate(measured)
    findings, too_many_fail = _failure_findings(claim, measured, degenerate)
    if not values:
        which = "The only run is" if len(degenerate) == 1 else f"All {len(degenerate)} runs are"
        why = f"{which} degenerate: {_reasons(measured, degenerate)}."
        return Judgement(claim=claim, verdict="inconclusive", why=why, set_aside=degenerate, findings=findings)
    sigma = estimate_sigma(claim, measured.n, values)
    assert claim.value is not None and sigma is not None
    comparison = _Comparison(
        sigma=sigma, k=len(values), r=claim.reference_runs, difference=fmean(values) - claim.value, steps=steps
    )
    verdict, why = comparison.verdict, _explain(comparison, claim.printed_decimals)
    if too_many_fail and verdict == "reproduced":
        verdict = "inconclusive"
        why += " More runs are degenerate than the reference allows, so the verdict is inconclusive."
    band, equivalent = comparison.band_half_width, comparison.equivalence_half_width
    return Judgement(
        claim=claim, verdict=verdict, why=why, measured=fmean(values), values=values, set_aside=degenerate,
        sigma=sigma.value, sigma_from=sigma.source, band=(claim.value - band, claim.value + band),
        equivalent=(claim.value - equivalent, claim.value + equivalent) if equivalent > 0 else None,
        p=float(statistics.p_value(comparison.difference, comparison.error, sigma.dof)), power=comparison.power,
        further_seeds=comparison.further_seeds if comparison.verdict == "inconclusive" else None,
        findings=(*findings, *spread_findings(claim, sigma, values)),
    )  # fmt: skip


def default_seeds(claim: Claim) -> int:
    """Return the number of seeds that a claim is judged by.

    It is the claim's `seeds`, but at least five where five to nine reference runs alone determine sigma: with three
    seeds, a shift of 4 sigma would be found in only half of the simulated zoos (docs/verdicts.md).
    """
    few = KNOWN_FROM <= claim.reference_runs < ENOUGH_REFERENCE_RUNS
    return max(claim.seeds, LEAST_SEEDS if few and claim.sigma is not None and claim.prior is None else 1)


def _explain(comparison: _Comparison, decimals: int | None) -> str:
    """Return the reason for the verdict in plain sentences; numbers in sigma refer to `sigma.value`."""
    sigma = comparison.sigma.value
    low, high = (f"{end / sigma:+.2f}" for end in comparison.interval)
    level = f"{100 * (1 - 2 * statistics.ALPHA):.0f} %"
    shown = format_difference(comparison.difference, decimals)
    difference = f"Difference {shown} = {comparison.difference / sigma:+.2f} sigma"
    margin = f"{comparison.margin / sigma:g}-sigma margin ({level} interval {low} to {high} sigma)"
    band = f"the prediction band of ±{comparison.band_half_width / sigma:.2f} sigma"
    basis = f"{_runs(comparison.k)} against {_runs(comparison.r, 'reference ')}; {comparison.sigma}."
    if comparison.verdict == "reproduced":
        return f"{difference}; equivalent within the {margin}. {basis}"
    if comparison.verdict == "not-reproduced":
        return f"{difference}; {'above' if comparison.difference > 0 else 'below'} {band}. {basis}"
    return f"{difference}; inside {band}, but not shown to be within the {margin}. {basis} {_advice(comparison)}"


def _advice(comparison: _Comparison) -> str:
    """Return the power of the runs and what would settle an inconclusive verdict."""
    power, further = f"The power of {_runs(comparison.k)} is {comparison.power:.2f}", comparison.further_seeds
    if further is None:
        return f"{power}; no number of seeds would settle the verdict against {_runs(comparison.r, 'reference ')}."
    seeds = f"{further} further seed{'s' * (further > 1)}"
    return f"{power}; {seeds} would settle the verdict if the mean stays the same."


def _runs(count: int, kind: str = "") -> str:
    return f"{count} {kind}run{'s' * (count > 1)}"


def _split_degenerate(measured: Measurement) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the runs that count, and the degenerate ones: failed, or at or below the majority-class baseline.

    Mosbach, Andriushchenko and Klakow, On the stability of fine-tuning BERT, ICLR 2021 ("failed runs").
    """
    baseline = -math.inf if measured.baseline is None else measured.baseline
    good = tuple(value for value in measured.values if value > baseline + ROUNDING)
    return good, tuple(value for value in measured.values if not value > baseline + ROUNDING)


def _reasons(measured: Measurement, degenerate: tuple[float, ...]) -> str:
    """Return why runs are degenerate: how many failed, and how many do not exceed the baseline."""
    failed = sum(map(math.isnan, degenerate))
    reasons = [f"{failed} failed (outputs or losses that are not finite, or constant outputs)"] if failed else []
    if failed < len(degenerate):
        below = f"at or below the majority-class baseline {measured.baseline:.4f}"
        reasons.append(f"{len(degenerate) - failed} {below}" if failed else below)
    return " and ".join(reasons)


def _failure_findings(
    claim: Claim, measured: Measurement, degenerate: tuple[float, ...]
) -> tuple[tuple[str, ...], bool]:
    """Return the findings on degenerate runs, and whether they are more than the reference's failure rate allows.

    Fisher's exact test decides. With fewer than five reference runs it cannot reject anything, so half of the runs are
    then too many.
    """
    if not degenerate:
        return (), False
    failed, k, references = len(degenerate), len(measured.values), claim.reference_runs + claim.failures
    p = statistics.failure_p_value(failed, k, claim.failures, references)
    of_all = f"{failed} of {counted(k, 'run')} {'is' if failed == 1 else 'are'}"
    finding = (
        f"{claim.metric} on {claim.split}: {of_all} degenerate, {_reasons(measured, degenerate)}, and left out;"
        f" of the reference runs, {claim.failures} of {references} are (Fisher's exact test: p = {p:.3g})"
    )
    too_few_references = references < KNOWN_FROM
    return (finding,), p <= statistics.ALPHA or (too_few_references and failed >= FAILING_SHARE * k)
