"""Sigma, the standard deviation of one run over seeds, and where it comes from."""

from dataclasses import dataclass
from statistics import stdev

from harness.judging import statistics
from harness.judging.types import SigmaSource
from zoo.recipes.claim import SHARES, Claim

KNOWN_FROM = 5
"""With at least this many recorded reference runs, sigma is their standard deviation."""
CONTRADICTED = 0.01
"""A prior is ignored if the two-sided p-value of the reference runs' standard deviation under it is below this."""
NOTABLE = 0.001
"""A larger spread of the seeds is reported if its probability is below this."""
_DESCRIPTIONS = {
    "measured": "from the reference runs",
    "moderated": "from the reference runs and the declared prior",
    "prior": "the declared prior",
    "binomial": "the sampling error of the test set, a lower bound",
}


@dataclass(frozen=True, kw_only=True)
class Sigma:
    """An estimate of the standard deviation of one run."""

    value: float
    """Sigma from the reference alone; it sets the margin."""
    source: SigmaSource
    pooled: float
    """Sigma from the reference and the judged runs together; it sets the standard error of the mean."""
    dof: float
    """The degrees of freedom of `pooled`; infinite if sigma is taken as known."""

    def __str__(self) -> str:
        return f"sigma {self.value:.4f} ({_DESCRIPTIONS[self.source]})"


def reference_sigma(claim: Claim, n: int) -> tuple[float, SigmaSource] | None:
    """Return sigma as the reference gives it, and its source.

    With at least five reference runs sigma is their standard deviation. Without enough reference runs zoo uses the
    declared prior, then the sampling error of the test set. The report names the one it used.

    Args:
        claim: The claim.
        n: The number of examples in the test set.

    Returns:
        Sigma and its source, or None if the claim gives no sigma and its metric is not a share of the examples.
    """
    if claim.sigma is not None and claim.reference_runs >= KNOWN_FROM:
        return claim.sigma, "measured"
    declared = claim.prior or claim.sigma
    if declared is not None:
        return declared, "prior"
    if claim.metric in SHARES and claim.value is not None and claim.value < 1:
        return statistics.binomial_sigma(claim.value, n), "binomial"
    return None


def estimate_sigma(claim: Claim, n: int, values: tuple[float, ...]) -> Sigma | None:
    """Return sigma for the judgement of a retraining.

    A measured sigma is an estimate with degrees of freedom. It is pooled with the declared prior, unless the reference
    runs contradict that prior; the spread of the judged runs is pooled into the error of the mean. A sigma from any
    other source is taken as known.

    Args:
        claim: The claim.
        n: The number of examples in the test set.
        values: The scores of the judged runs.

    Returns:
        Sigma, or None where `reference_sigma` returns None.
    """
    if (reference := reference_sigma(claim, n)) is None:
        return None
    value, source = reference
    if source != "measured":
        return Sigma(value=value, source=source, pooled=value, dof=statistics.KNOWN)
    parts = [(value, claim.reference_runs - 1)]
    if claim.prior and statistics.prior_p_value(value, claim.reference_runs - 1, claim.prior) >= CONTRADICTED:
        source, parts = "moderated", [*parts, (claim.prior, statistics.PRIOR_DOF)]
    judged = [(stdev(values), len(values) - 1)] if len(values) > 1 else []
    sigma, _ = statistics.pool(parts)
    pooled, dof = statistics.pool([*parts, *judged])
    return Sigma(value=float(sigma), source=source, pooled=float(pooled), dof=float(dof))


def spread_findings(claim: Claim, sigma: Sigma, values: tuple[float, ...]) -> tuple[str, ...]:
    """Return a finding if the judged runs vary much more than sigma, else nothing."""
    if len(values) < 2:
        return ()
    reference_dof = claim.reference_runs - 1
    dof = {"measured": reference_dof, "moderated": reference_dof + statistics.PRIOR_DOF}
    spread = stdev(values)
    if statistics.spread_p_value(spread, len(values), sigma.value, dof.get(sigma.source, statistics.KNOWN)) >= NOTABLE:
        return ()
    return (f"{claim.metric} on {claim.split}: the runs' standard deviation {spread:.4f} is much larger than {sigma}",)
