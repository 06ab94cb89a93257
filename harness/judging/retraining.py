"""Judge a retraining: the rate of degenerate runs, and the mean of the others against the claim. Pure functions."""

from statistics import fmean, stdev

from harness.judging import statistics
from harness.judging.comparison import LEAST_SEEDS, Comparison
from harness.judging.failures import ALL_FAILED, Failures, find_failures
from harness.judging.sigma import DESCRIPTIONS, estimate_sigma, spread_findings
from harness.judging.types import Judgement, Measurement, Verdict, excluded_text, format_difference
from harness.judging.weights import mean_problem
from zoo.recipes.claim import Claim
from zoo.text_tables import counted

ADVISED_RUNS = 5
"""The number of reference runs that is advised for a claim from fewer runs."""
TOO_MANY = " More runs are degenerate than the reference explains, so the verdict is inconclusive."


def judge_retraining(claim: Claim, measured: Measurement, steps: int) -> Judgement:
    """Judge the runs of a retraining by the rules of `harness.judging.verdict`, in their order.

    Args:
        claim: The claim; its value and a source of sigma must be known.
        measured: The runs.
        steps: The divisor of the level 5 % in Holm's procedure.
    """
    failures, share = find_failures(claim, measured), statistics.look_share(measured.look)
    values, sigma = failures.trained, estimate_sigma(claim, measured.n)
    if not values:
        return _judge_all_failed(failures)
    assert claim.value is not None and sigma is not None
    comparison = Comparison(
        sigma=sigma, spread=stdev(values) if len(values) > 1 else 0.0, k=len(values), r=claim.reference_runs,
        difference=fmean(values) - claim.value, rounding=claim.rounding, level=statistics.ALPHA * share,
        divisor=steps * failures.parts,
    )  # fmt: skip
    failure_p = failures.p_value
    verdict, why = _verdict(comparison, failures, failure_p)
    next_level = statistics.ALPHA * statistics.look_share(measured.look + 1)
    further = None
    if comparison.verdict == "inconclusive" == verdict:
        further = comparison.further_seeds(next_level)
        why = f"{why} {_advice(comparison, further, measured.look)}"
    if 1 < measured.look < statistics.LOOKS:
        why = f"{why} This is look {measured.look} of at most {statistics.LOOKS}."
    band, equivalent = comparison.band_half_width, comparison.equivalence_half_width
    return Judgement(
        claim=claim, verdict=verdict, why=why, measured=fmean(values), values=values, set_aside=failures.degenerate,
        sigma=comparison.pooled[0], sigma_from=sigma.source,
        band=(claim.value - band, claim.value + band) if comparison.tests and share else None,
        equivalent=(claim.value - equivalent, claim.value + equivalent) if equivalent > 0 else None,
        p=comparison.p, holm_p=min(min(comparison.p, failure_p) * failures.parts / share, 1.0) if share else 1.0,
        power=comparison.power, further_seeds=further,
        excluded_loss=comparison.excluded_loss if verdict == "reproduced" else None,
        findings=(*failures.findings(), *spread_findings(claim, sigma, values), *_remarks(claim, measured)),
    )  # fmt: skip


def default_seeds(claim: Claim) -> int:
    """Return the number of seeds that a claim is judged by: its `seeds`, at least five against several runs."""
    return max(claim.seeds, LEAST_SEEDS if claim.reference_runs > 1 else 1)


def _remarks(claim: Claim, measured: Measurement) -> tuple[str, ...]:
    """Return findings on a claim that cannot be a mean of its runs, and on runs that are not pooled with the others."""
    others = " and ".join(measured.left_out)
    left_out = f"{others} are not pooled with these, and not judged" if others else ""
    found = filter(None, (mean_problem(claim, measured.n), left_out))
    return tuple(f"{claim.metric} on {claim.split}: {remark}" for remark in found)


def _judge_all_failed(failures: Failures) -> Judgement:
    """Judge runs that are all degenerate: three of them settle the verdict, whatever the reference is."""
    k, claim = len(failures.degenerate), failures.claim
    which = "The only run is" if k == 1 else f"All {k} runs are"
    why = f"{which} degenerate: {failures.reasons()}."
    if k < ALL_FAILED:
        why += f" {counted(ALL_FAILED - k, 'further run')} that {'is' if ALL_FAILED - k == 1 else 'are'} degenerate too"
        why += " would settle the verdict."
    else:
        references = counted(failures.references, "reference run")
        why += f" Of {references}, {claim.failures} are degenerate ({failures.p_text})."
    settles = k >= ALL_FAILED
    if settles and (other := _other_precision(failures)):
        settles, why = False, f"{why} {other}"
    return Judgement(
        claim=claim, verdict="not-reproduced" if settles else "inconclusive", why=why,
        set_aside=failures.degenerate, holm_p=failures.p_value, further_seeds=max(ALL_FAILED - k, 0) or None,
        findings=failures.findings(),
    )  # fmt: skip


def _verdict(comparison: Comparison, failures: Failures, failure_p: float) -> tuple[Verdict, str]:
    """Return the verdict on mean and failure rate, and the reason."""
    claim = failures.claim
    verdict, why = comparison.verdict, _explain(comparison, claim.printed_decimals)
    if failure_p < comparison.level / comparison.divisor:
        failed = f"{len(failures.degenerate)} of {counted(len(failures.is_degenerate), 'run')}"
        of_reference = f"{claim.failures} of {counted(failures.references, 'reference run')}"
        why = f"{failed} are degenerate, against {of_reference} ({failures.p_text}). {why}"
        verdict = "not-reproduced"
    if verdict == "reproduced" and failure_p <= statistics.ALPHA:
        return "inconclusive", why + TOO_MANY
    if verdict == "not-reproduced" and (other := _other_precision(failures)):
        return "inconclusive", f"{why} {other}"
    return verdict, why


def _other_precision(failures: Failures) -> str:
    """Return that the runs have another precision than the claim, which may explain any difference; else nothing."""
    claimed, measured = failures.claim.precision, failures.measured.precision
    if measured == claimed:
        return ""
    other = f"The claim was trained in {claimed}, these runs in {measured}, which may be the reason"
    return f"{other}: train in {claimed} to settle it."


def _explain(comparison: Comparison, decimals: int | None) -> str:
    """Return the reason for the verdict in plain sentences."""
    sigma = comparison.pooled[0]
    shown = format_difference(comparison.difference, decimals)
    difference = f"Difference {shown} = {comparison.difference / sigma:+.2f} sigma"
    small = f"a true difference below {comparison.margin:g} sigma"
    equivalent = comparison.equivalence_half_width / sigma
    band = f"the prediction band of ±{comparison.band_half_width / sigma:.2f} sigma"
    basis = _basis(comparison)
    if comparison.level <= 0:
        return f"{difference}. No level is left for another look. {basis}"
    if comparison.verdict == "reproduced":
        excluded = f"{excluded_text(comparison.excluded_loss).capitalize()} at 95 %."
        return f"{difference}, within ±{equivalent:.2f} sigma, which shows {small}. {excluded} {basis}"
    if comparison.verdict == "not-reproduced":
        return f"{difference}, {'above' if comparison.difference > 0 else 'below'} {band}. {basis}"
    inside = f"{difference}, inside {band}" if comparison.tests else f"{difference}, for which there is no band"
    if comparison.sigma.is_lower_bound:
        return f"{inside}. Sigma is only a lower bound, so no difference can be shown to be small. {basis}"
    needed = f"a difference within ±{equivalent:.2f} sigma" if equivalent > 0 else "no difference"
    return f"{inside}; {needed} would show {small}. {basis}"


def _basis(comparison: Comparison) -> str:
    """Return the numbers of runs, and sigma with its sources."""
    runs = f"{counted(comparison.k, 'run')} against {counted(comparison.r, 'reference run')}"
    own = " and these runs" if comparison.k > 1 else ""
    return f"{runs}; sigma {comparison.pooled[0]:.4f} ({DESCRIPTIONS[comparison.sigma.source]}{own})."


def _advice(comparison: Comparison, further: int | None, look: int) -> str:
    """Return the power of the runs and what would settle an inconclusive verdict."""
    if comparison.sigma.is_lower_bound:
        equal = "score more rows, since equal scores say nothing of how much they vary"
        more = "record five reference runs" if comparison.r < ADVISED_RUNS else equal
        return f"Declare a prior with its source, or {more}."
    power = f"With {counted(comparison.k, 'run')}, {comparison.power:.0%} of correct trainings are reproduced"
    if look >= statistics.LOOKS:
        fresh = "fresh seeds, from another --first-seed on, are a test of their own"
        return f"This is look {look} of at most {statistics.LOOKS}; {fresh}."
    if further is None:
        runs = counted(comparison.r, "reference run")
        return f"{power}; no number of seeds would settle the verdict against {runs}."
    return f"{power}; {counted(further, 'further seed')} would settle it if mean and spread stay the same."
