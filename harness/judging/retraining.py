"""Judge a re-training: the mean of k runs against the mean of r reference runs. Pure functions, without torch."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev

from harness.judging import statistics
from harness.judging.types import ROUNDING, Judgement, Measured, SigmaFrom, Verdict, signed
from zoo.recipes.schema import SHARES, Claim

MARGIN_OF_RUNS, MARGIN_OF_ONE = 2.0, 4.0
"""What counts as equivalent, in sigma: against the mean of several reference runs, and against a single score."""
KNOWN_FROM = 5
"""From so many recorded reference runs on sigma is theirs."""
MANY, LEAST_SEEDS = 10, 5
"""So many reference runs tell sigma by themselves; of fewer, and without a prior, so many seeds are the least."""
NOTABLE = 0.001
"""A spread of the seeds that is less likely than this is told."""
CONTRADICTED = 0.01
"""A prior under which the spread of the reference runs is less likely than this, on either side, is left aside."""
HALF = 0.5
"""So large a share of degenerate runs is no reproduction, where of the reference's rate too little is known."""
_LABELS = {
    "measured": "of the reference runs",
    "steadied": "of the reference runs and the prior",
    "prior": "declared",
    "binomial": "at least, by the size of the test set",
}


@dataclass(frozen=True, kw_only=True)
class _Sigma:
    """The spread of one run: `value`, of the reference alone, sets margins; `pooled`, with the seeds', errors."""

    value: float
    of: SigmaFrom
    pooled: float
    dof: float


@dataclass(frozen=True, kw_only=True)
class _Test:
    """The mean of k runs, `difference` off the mean of r, at a step of Holm's procedure."""

    sigma: _Sigma
    k: int
    r: int
    difference: float
    steps: int

    @property
    def margin(self) -> float:
        """What counts as equivalent."""
        return (MARGIN_OF_RUNS if self.r > 1 else MARGIN_OF_ONE) * self.sigma.value

    @property
    def error(self) -> float:
        return float(statistics.standard_error(self.sigma.pooled, self.k, self.r))

    @property
    def half_band(self) -> float:
        return float(statistics.half_band(self.error, self.sigma.dof, self.steps))

    @property
    def half_equivalent(self) -> float:
        return float(statistics.half_equivalent(self.margin, self.error, self.sigma.dof))

    @property
    def verdict(self) -> Verdict:
        if abs(self.difference) <= self.half_equivalent + ROUNDING:
            return "reproduced"
        return "not-reproduced" if abs(self.difference) > self.half_band + ROUNDING else "inconclusive"

    def with_runs(self, k: int) -> "_Test":
        """The same mean of more runs."""
        return replace(self, k=k, sigma=replace(self.sigma, dof=self.sigma.dof + k - self.k))

    @cached_property
    def further_seeds(self) -> int | None:
        """How many runs more make the mean equivalent, or take it out of the band, if it stays where it is."""
        return statistics.seeds_needed(self.k, lambda k: self.with_runs(k).verdict != "inconclusive")

    @property
    def power(self) -> float:
        return float(statistics.power(self.margin, self.error, self.sigma.dof))


def judge_retraining(claim: Claim, measured: Measured, steps: int) -> Judgement:
    """The three rules of `harness.judging.verdict` in their order; `steps` is the step of Holm's procedure.

    With m the mean of the k runs that count, v the claim, `e = sigma sqrt(1/k + 1/r)` and t Student's quantiles (normal
    where sigma is known): equivalent if `|m - v| + t(0.95) e <= margin`, outside if `|m - v| > t(1 - 0.025 / steps) e`.
    """
    values, degenerate = _degenerate(measured)
    findings, failing = _failures(claim, measured, degenerate)
    if not values:
        why = f"all {len(degenerate)} runs are degenerate: at or below the majority's baseline {measured.baseline:.4f}"
        return Judgement(claim=claim, verdict="inconclusive", why=why, set_aside=degenerate, findings=findings)
    sigma = _sigma(claim, measured.n, values)
    assert claim.value is not None and sigma is not None
    test = _Test(
        sigma=sigma, k=len(values), r=claim.reference_runs, difference=fmean(values) - claim.value, steps=steps
    )
    verdict, half, equivalent = test.verdict, test.half_band, test.half_equivalent
    why = _why(test)
    if failing and verdict == "reproduced":
        verdict, why = "inconclusive", f"{why}; but more runs fail than the reference's rate allows"
    return Judgement(
        claim=claim, verdict=verdict, why=why, measured=fmean(values), values=values, set_aside=degenerate,
        sigma=sigma.value, sigma_from=sigma.of, band=(claim.value - half, claim.value + half),
        equivalent=(claim.value - equivalent, claim.value + equivalent) if equivalent > 0 else None,
        p=float(statistics.p_value(test.difference, test.error, sigma.dof)), power=test.power,
        further_seeds=test.further_seeds if test.verdict == "inconclusive" else None,
        findings=(*findings, *_spread(claim, sigma, values)),
    )  # fmt: skip


def default_seeds(claim: Claim) -> int:
    """How many seeds a claim is judged by: as it says, but five at least where few reference runs alone tell sigma.

    With three, a shift of 4 sigma is then seen in half of the zoos only (docs/verdicts.md).
    """
    alone = KNOWN_FROM <= claim.reference_runs < MANY and claim.sigma is not None and claim.prior is None
    return max(claim.seeds, LEAST_SEEDS if alone else 1)


def reference_sigma(claim: Claim, n: int) -> tuple[float, SigmaFrom] | None:
    """Sigma and where it is from: five or more reference runs, else a declared prior, else the finite test set."""
    if claim.sigma is not None and claim.reference_runs >= KNOWN_FROM:
        return claim.sigma, "measured"
    declared = claim.prior or claim.sigma
    if declared is not None:
        return declared, "prior"
    if claim.metric in SHARES and claim.value is not None and claim.value < 1:
        return statistics.binomial_sigma(claim.value, n), "binomial"
    return None


def _sigma(claim: Claim, n: int, values: tuple[float, ...]) -> _Sigma | None:
    """The spread of one run. A measured one is an estimate, with its degrees of freedom: it is steadied by the prior,
    where there is one that it does not contradict, and for the error of the mean by the spread of the seeds. Any other
    is taken as known.
    """
    if (reference := reference_sigma(claim, n)) is None:
        return None
    value, of = reference
    if of != "measured":
        return _Sigma(value=value, of=of, pooled=value, dof=statistics.KNOWN)
    parts = [(value, claim.reference_runs - 1)]
    if claim.prior and statistics.fits_prior(value, claim.reference_runs - 1, claim.prior) >= CONTRADICTED:
        of, parts = "steadied", [*parts, (claim.prior, statistics.PRIOR_DOF)]
    own = [(stdev(values), len(values) - 1)] if len(values) > 1 else []
    steadied, _ = statistics.pooled(parts)
    pooled, dof = statistics.pooled([*parts, *own])
    return _Sigma(value=float(steadied), of=of, pooled=float(pooled), dof=float(dof))


def _why(test: _Test) -> str:
    sigma, difference, r = test.sigma, test.difference, test.r
    runs = f"{test.k} run{'s' * (test.k > 1)}"
    seen = (
        f"difference {signed(difference)} = {difference / sigma.value:+.2f} sigma, {runs} against {r},"
        f" sigma {sigma.value:.4f} ({_LABELS[sigma.of]})"
    )
    margin, band = f"{test.margin / sigma.value:g} sigma", f"the band of {test.half_band / sigma.value:.2f} sigma"
    if test.verdict == "reproduced":
        return f"{seen}; equivalent within {margin}, as is any of up to {test.half_equivalent / sigma.value:.2f}"
    if test.verdict == "not-reproduced":
        return f"{'higher' if difference > 0 else 'lower'}: {seen}; outside {band}"
    advice = f"no number of seeds settles it against {r} run{'s' * (r > 1)}"
    if further := test.further_seeds:
        more = "1 further seed settles" if further == 1 else f"{further} further seeds settle"
        advice = f"{more} it if the mean stays"
    return f"{seen}; inside {band}, not shown to be within {margin}: power {test.power:.2f}, {advice}"


def _degenerate(measured: Measured) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The runs that count, and those at or below the majority's baseline.

    Mosbach, Andriushchenko and Klakow, On the stability of fine-tuning BERT, ICLR 2021: failed runs.
    """
    baseline = -math.inf if measured.baseline is None else measured.baseline
    good = tuple(value for value in measured.values if value > baseline + ROUNDING)
    return good, tuple(value for value in measured.values if value <= baseline + ROUNDING)


def _failures(claim: Claim, measured: Measured, degenerate: tuple[float, ...]) -> tuple[tuple[str, ...], bool]:
    """What is said of degenerate runs, and whether they are more than the reference's rate allows (Fisher's test).

    Of fewer than five reference runs too little is known of that rate: then half of the runs are too many.
    """
    if not degenerate:
        return (), False
    failed, k, all_references = len(degenerate), len(measured.values), claim.reference_runs + claim.failures
    chance = statistics.excess_failures(failed, k, claim.failures, all_references)
    said = (
        f"{claim.metric} on {claim.split}: {failed} of {k} runs degenerate, at or below the majority's baseline"
        f" {measured.baseline:.4f}, and set aside; {claim.failures} of {all_references} of the reference"
        f" (Fisher's p = {chance:.3g})"
    )
    unknown = all_references < KNOWN_FROM  # then no number of failures is unlikely
    return (said,), chance <= statistics.ALPHA or (unknown and failed >= HALF * k)


def _spread(claim: Claim, sigma: _Sigma, values: tuple[float, ...]) -> tuple[str, ...]:
    """What is said of seeds that vary much more than sigma."""
    if len(values) < 2:
        return ()
    dof = {"measured": claim.reference_runs - 1, "steadied": claim.reference_runs - 1 + statistics.PRIOR_DOF}
    if (
        statistics.larger_spread(stdev(values), len(values), sigma.value, dof.get(sigma.of, statistics.KNOWN))
        >= NOTABLE
    ):
        return ()
    said = f"{claim.metric} on {claim.split}: the seeds vary by {stdev(values):.4f}, much more than sigma"
    return (f"{said}, {sigma.value:.4f} ({_LABELS[sigma.of]})",)
