"""Judge published weights: the same score, up to the rounding of the claim and to predictions that noise can change."""

import math
from dataclasses import dataclass

from harness.judging.near_ties import expected_flips, noise_between
from harness.judging.other_readings import reading_sentence
from harness.judging.types import ROUNDING, Counts, Judgement, Measurement, Verdict, format_difference
from zoo.claims.counts import can_be_count, counts_of, nearest_counts
from zoo.claims.printed import Printed
from zoo.recipes.claim import SHARES, Claim
from zoo.text_tables import counted, number

ACCURACY = "accuracy"
FLIP_BUDGET = 0.005
"""The share of predictions, at least two of them, that may flip between two precisions beyond what margins explain."""


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """How many predictions may differ by numeric noise.

    If m predictions are so close to a tie that noise can change them, their flips are right or wrong by chance. The
    number of right predictions then changes by about sqrt(m), and by m at most.
    """

    near_ties: int
    are_measured: bool
    """Whether near-ties are counted in the logits of the run, or estimated by its precision."""

    @property
    def likely(self) -> int:
        """The largest number that chance explains, `max(1, 2 sqrt(m))`; one because kernels may break a tie anyhow."""
        return max(1, math.floor(2 * math.sqrt(self.near_ties)))

    @property
    def possible(self) -> int:
        """The largest number that is possible at all."""
        return max(self.near_ties, self.likely)

    def verdict(self, difference: float) -> Verdict:
        """Return the verdict on a difference, in predictions."""
        if difference <= self.likely + ROUNDING:
            return "reproduced"
        return "inconclusive" if difference <= self.possible + ROUNDING else "not-reproduced"

    def __str__(self) -> str:
        return f"{self.likely} may differ by numeric noise ({self.basis})"

    @property
    def basis(self) -> str:
        """The number of near-ties, and where it comes from."""
        origin = "counted in the logits" if self.are_measured else "estimated from the precisions of claim and run"
        return f"{counted(self.near_ties, 'near-tie')}, {origin}"


def judge_weights(claim: Claim, measured: Measurement) -> Judgement:
    """Judge a score of published weights.

    A share of n examples is compared as a count (`harness.judging.verdict` has the rule). Any other score is compared
    by its difference beyond rounding, in units of the largest change that one prediction can cause. Recorded
    predictions of the same weights must match too: those that differ, and that noise does not explain, within
    `flip_budget`.
    """
    assert claim.value is not None and claim.decimals is not None
    allowance = allowance_of(claim, measured)
    is_count = claim.metric in SHARES and _is_count(measured)
    counts = _counts(claim, measured) if is_count else None
    verdict, why = _compare_scores(claim, measured, allowance)
    if counts is not None:
        verdict, why = _compare_counts(claim, counts, allowance)
    elif is_count:
        verdict, why = "not-compared", _no_count(claim, measured.n)
    if verdict in ("not-reproduced", "inconclusive"):
        why += f" {reading_sentence(claim, measured.values[0], measured.readings, claim.rounding + ROUNDING)}".rstrip()
    same, predictions = _compare_predictions(measured)
    half, value = claim.rounding + allowance.likely * measured.one_prediction, measured.values[0]
    ends = (claim.value - half, claim.value + half)
    if verdict == "reproduced":  # also a score that agrees only if the claim was truncated
        ends = (min(ends[0], value), max(ends[1], value))
    return Judgement(
        claim=claim, verdict=verdict if same or verdict == "not-compared" else "not-reproduced",
        why=f"{why} {predictions}".rstrip(), measured=measured.values[0], values=measured.values,
        equivalent=None if verdict == "not-compared" else ends, counts=counts,
    )  # fmt: skip


def allowance_of(claim: Claim, measured: Measurement) -> Allowance:
    """Return how many predictions may differ between the claim and the run."""
    if measured.near_ties is not None:
        return Allowance(near_ties=measured.near_ties, are_measured=True)
    flips = expected_flips(measured.n, (claim.precision, measured.precision))
    return Allowance(near_ties=flips, are_measured=False)


def flip_budget(n: int, *precisions: str) -> int:
    """Return how many of n predictions may differ from the recorded ones beyond what their margins explain.

    None may where both are in fp32, which is deterministic up to its noise; otherwise `max(2, 0.5 % of n)`.
    """
    return 0 if set(precisions) == {"fp32"} else max(2, math.floor(FLIP_BUDGET * n))


def mean_problem(claim: Claim, n: int) -> str:
    """Return that a claimed mean of several runs is no count of their examples, or an empty string if it can be one."""
    runs, decimals = claim.reference_runs, claim.value_decimals
    if claim.metric not in SHARES or runs < 2 or claim.value is None or decimals is None:
        return ""
    if can_be_count(claim.value, decimals, runs * n):
        return ""
    return f"{number(claim.value, decimals)} is no mean of {runs} shares of {n:,} examples."


def _counts(claim: Claim, measured: Measurement) -> Counts | None:
    """Return the numbers of right predictions, or None if the claim is no share of so many examples."""
    assert claim.value is not None and claim.decimals is not None
    n, right = measured.n, round(measured.values[0] * measured.n)
    claimed, cut = (counts_of(claim.value, claim.decimals, n, truncated=truncated) for truncated in (False, True))
    if not claimed and not cut:
        return None
    nearest = right if right in claimed or right in cut else min(claimed or cut, key=lambda count: abs(count - right))
    return Counts(n=n, right=right, claimed=nearest, near_ties=measured.near_ties if claim.metric == ACCURACY else None)


def _compare_counts(claim: Claim, counts: Counts, allowance: Allowance) -> tuple[Verdict, str]:
    assert claim.value is not None and claim.decimals is not None
    of_all = f"The run has {counts.right:,} of {counts.n:,} right"
    claimed = counts_of(claim.value, claim.decimals, counts.n)
    if counts.right in claimed:
        exactly = "as claimed, to the example" if len(claimed) == 1 else "which rounds to the claimed value"
        return "reproduced", f"{of_all}, {exactly}."
    if not counts.difference:
        return "reproduced", f"{of_all}, which agrees if the claim was truncated to {claim.decimals} decimals."
    difference = abs(counts.difference)
    possible = claimed or counts_of(claim.value, claim.decimals, counts.n, truncated=True)
    shown = f"{possible[0]:,} to {possible[-1]:,}" if len(possible) > 1 else f"{counts.claimed:,}"
    at_least = "at least " if len(possible) > 1 else ""
    than = f"{at_least}{difference:,} {'more' if counts.difference > 0 else 'fewer'} than claimed ({shown})"
    return allowance.verdict(difference), f"{of_all}, {than}; {allowance}."


def _is_count(measured: Measurement) -> bool:
    """Return whether the measured share is k/n, and not weighted or averaged."""
    count = measured.values[0] * measured.n
    return abs(count - round(count)) < ROUNDING * measured.n + 1e-6


def _no_count(claim: Claim, n: int) -> str:
    assert claim.value is not None and claim.decimals is not None
    shown = nearest_counts(Printed(value=claim.value, unit=10.0**-claim.decimals), n)
    claimed = f"{claim.value:.{claim.decimals}f}"
    what = "It may be of other examples."
    if claim.size == n:
        what = f"The claim is about {n:,} examples, of which no model can have this share right: check the value."
    return f"{claimed} is no share of {n:,} examples; the nearest are {shown}. {what}"


def _compare_scores(claim: Claim, measured: Measurement, allowance: Allowance) -> tuple[Verdict, str]:
    assert claim.value is not None and claim.decimals is not None
    value, one = measured.values[0], measured.one_prediction
    shown = format_difference(value - claim.value, claim.printed_decimals)
    beyond = max(abs(value - claim.value) - claim.rounding - ROUNDING, 0.0)
    verdict = allowance.verdict(beyond / one if one else beyond * math.inf if beyond else 0.0)
    if verdict != "reproduced" and 0 <= value - claim.value < 2 * claim.rounding:
        return "reproduced", f"Difference {shown}; agrees if the claim was truncated to {claim.decimals} decimals."
    tolerance = claim.rounding + allowance.likely * one
    where = "within" if verdict == "reproduced" else "beyond"
    noise = f"numeric noise in {counted(allowance.likely, 'prediction')}: {allowance.basis}"
    parts = f"the claim's rounding to {claim.decimals} decimals, and {noise}"
    return verdict, f"Difference {shown}; {where} the tolerance of {tolerance:.4g} ({parts})."


def _compare_predictions(measured: Measurement) -> tuple[bool, str]:
    """Return whether the predictions match those recorded of the same weights, and a sentence on them."""
    if (flips := measured.flips) is None:
        return True, ""
    precisions = (measured.precision, measured.recorded_in)
    noise, budget = noise_between(precisions), flip_budget(flips.n, *precisions)
    if not flips.flipped:
        return True, f"All {flips.n:,} predictions match those recorded for these weights."
    unexplained = flips.unexplained(noise)
    sentence = (
        f"{flips.flipped} of {flips.n:,} predictions differ from those recorded for these weights; numeric noise of"
        f" {noise:g} does not explain {unexplained} of them ({budget} allowed). {flips.gained} became right and"
        f" {flips.lost} wrong (McNemar's test: p = {flips.p:.3g})."
    )
    return unexplained <= budget, sentence
