"""Sigma, the standard deviation of one run over seeds, and where it comes from."""

from dataclasses import dataclass
from statistics import stdev

from harness.judging import statistics
from harness.judging.types import SigmaSource
from zoo.recipes.claim import SHARES, Claim, sampling_sigma

CONTRADICTED = 0.05
"""A prior is ignored if the two-sided p-value of the reference runs' standard deviation under it is below this."""
NOTABLE = 0.001
"""A larger spread of the seeds is reported if its probability is below this."""
DESCRIPTIONS = {
    "measured": "from the reference runs",
    "moderated": "from the reference runs and the declared prior",
    "prior": "the declared prior",
    "raised": "the declared prior, raised to the sampling error of the test set",
    "binomial": "the sampling error of the test set, a lower bound",
}


@dataclass(frozen=True, kw_only=True)
class Sigma:
    """An estimate of the standard deviation of one run, without the judged runs."""

    value: float
    source: SigmaSource
    dof: float
    """The degrees of freedom of the estimate."""

    @property
    def is_lower_bound(self) -> bool:
        """Whether the true value may be larger without limit."""
        return self.source == "binomial"

    def __str__(self) -> str:
        return f"sigma {self.value:.4f} ({DESCRIPTIONS[self.source]})"


def estimate_sigma(claim: Claim, n: int) -> Sigma | None:
    """Return sigma as the reference gives it.

    The standard deviation of r reference runs has r - 1 degrees of freedom. A declared prior is pooled with it, unless
    the runs contradict the prior. Against a single score the prior stands alone; for a share of the examples it is at
    least the sampling error of the test set. That error alone is only a lower bound.

    Args:
        claim: The claim.
        n: The number of examples in the test set.

    Returns:
        Sigma, or None if the claim gives no sigma and its metric is not a share of the examples.
    """
    bound = _sampling_error(claim, n)
    if claim.sigma is not None and claim.reference_runs > 1:
        return _measured_sigma(claim.sigma, claim.reference_runs - 1, claim.prior)
    declared = claim.prior or claim.sigma
    if declared is not None:
        if bound is not None and declared < bound:
            return Sigma(value=bound, source="raised", dof=statistics.PRIOR_DOF)
        return Sigma(value=declared, source="prior", dof=statistics.PRIOR_DOF)
    return Sigma(value=bound, source="binomial", dof=statistics.KNOWN) if bound else None


def _measured_sigma(sigma: float, dof: int, prior: float | None) -> Sigma:
    if prior is None or statistics.prior_p_value(sigma, dof, prior) < CONTRADICTED:
        return Sigma(value=sigma, source="measured", dof=dof)
    value, both = statistics.pool([(sigma, dof), (prior, statistics.CHECKED_PRIOR_DOF)])
    return Sigma(value=float(value), source="moderated", dof=float(both))


def _sampling_error(claim: Claim, n: int) -> float | None:
    is_share = claim.metric in SHARES and claim.value is not None and claim.value < 1
    return sampling_sigma(claim.value, n) if is_share and claim.value is not None else None


def spread_findings(claim: Claim, sigma: Sigma, values: tuple[float, ...]) -> tuple[str, ...]:
    """Return a finding if the judged runs vary much more than sigma, else nothing."""
    if len(values) < 2:
        return ()
    spread = stdev(values)
    if statistics.spread_p_value(spread, len(values), sigma.value, sigma.dof) >= NOTABLE:
        return ()
    return (f"{claim.metric} on {claim.split}: the runs' standard deviation {spread:.4f} is much larger than {sigma}",)
