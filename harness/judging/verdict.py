"""Whether a measurement agrees with a claim. Pure: values in, values out; no torch, no files.

Published weights must give the claimed score again, up to its decimals and one prediction, and what was predicted for
each example where that is known. Re-trainings are judged by their mean, in this order:

1. `reproduced`: it is equivalent to the claim (two one-sided tests, margin 2 sigma against several reference runs, 4
   sigma against a single score);
2. `not-reproduced`: it lies outside the claim's prediction band, 95 % over all claims of the suite (Holm), also above;
3. `inconclusive`: neither, with the power and the number of further runs needed.

Unlike is never compared with like: another split, metric or selection, or a missing value, is `not-compared`, and why.
The formulas are in `harness.judging.statistics`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from harness.judging import statistics
from harness.judging.retraining import judge_retraining, reference_sigma
from harness.judging.types import ROUNDING, Judgement, Measured, signed
from zoo.recipes.schema import CORRELATIONS, SHARES, Claim

PRECISION_FLIPS = 3
"""Predictions that may flip where the claim was computed in another precision than the run."""
NOISE = {"fp32": 1e-4, "tf32": 0.02, "fp16": 0.02, "bf16": 0.165}
"""How far a logit moves between two kernels: measured 1.1e-5 in fp32 (other processors move it more) and 0.165 in bf16
on a BERT-base; fp16 and TF32, which a record of another program may be of, have three more bits than bf16."""
FLIP_BUDGET = 0.005
"""The share of predictions that may flip between two precisions beyond what their margins explain, at least two."""


def judge(claim: Claim, measured: Measured | None, *, steps: int = 1) -> Judgement:
    """The verdict on one claim. `measured` is None where nothing was measured on the claim's split and metric.

    `steps` is the step of Holm's procedure at which a re-training is tested: the level is 5 % divided by it.
    """
    if why := _incomparable(claim, measured):
        mean = fmean(measured.values) if measured and measured.values else math.nan
        value = mean if math.isfinite(mean) else None
        values = measured.values if measured and value is not None else ()
        return Judgement(claim=claim, verdict="not-compared", why=why, measured=value, values=values)
    assert measured is not None
    return _of_weights(claim, measured) if claim.of == "weights" else judge_retraining(claim, measured, steps)


def judge_all(claims: Sequence[tuple[Claim, Measured | None]], family: int = 1) -> tuple[Judgement, ...]:
    """The verdicts on claims of one suite; re-trainings Holm-adjusted over its `family`, however few were run."""
    alone = [judge(claim, measured) for claim, measured in claims]
    steps = statistics.holm([one.p if one.claim.gates else None for one in alone], family)
    return tuple(
        one if one.p is None else judge(*pair, steps=step) for one, pair, step in zip(alone, claims, steps, strict=True)
    )


def in_family(claim: Claim) -> bool:
    """Whether a claim is one of those over which re-trainings are adjusted."""
    return claim.of == "retrain" and claim.gates


def with_published(claim: Claim, published: Mapping[str, Mapping[str, str]]) -> Claim:
    """The claim with the value that its log holds; itself where there is none, or what stands there is no score.

    A log drops zeros at the end of a number, so how many decimals it has is the claim's to say, else those of a float.
    """
    written = published.get(claim.log, {}).get(claim.metric) if claim.log else None
    if written is None:
        return claim
    try:
        return replace(claim, value=float(written), log=None, decimals=claim.decimals or 16)
    except ValueError:
        return claim


def flip_budget(n: int, *precisions: str) -> int:
    """How many predictions may differ from the recorded ones beyond what their margins explain.

    None where both are in fp32, which is deterministic up to its noise; else `max(2, 0.5 % of n)`.
    """
    return 0 if set(precisions) == {"fp32"} else max(2, math.floor(FLIP_BUDGET * n))


def _incomparable(claim: Claim, measured: Measured | None) -> str:
    """Why the two cannot be compared; empty where they can."""
    if claim.of == "test-server":
        return "the labels are hidden: only the test server can score this"
    if claim.value is None and claim.log:
        return f"{claim.log}, where the value should be, holds no such score"
    if claim.value is None:
        return f"no public source gives a value ({claim.source})"
    if measured is None:
        return f"nothing was measured as {claim.metric} on the split {claim.split!r}"
    if (measured.split, measured.metric) != (claim.split, claim.metric):
        return f"measured {measured.metric} on {measured.split!r}, claimed {claim.metric} on {claim.split!r}"
    if claim.n is not None and measured.n != claim.n:
        return f"measured on {measured.n:,} examples, claimed on {claim.n:,}{_interval(claim, measured)}"
    if not measured.values or not all(map(math.isfinite, measured.values)):
        return f"{claim.metric} is not defined for these predictions"
    return _unlike_training(claim, measured) if claim.of == "retrain" else ""


def _unlike_training(claim: Claim, measured: Measured) -> str:
    if measured.selection != claim.selection:  # published weights are what they are, so of these nobody asks
        return f"measured the {measured.selection} epoch, claimed the {claim.selection}"
    if not claim.gates:
        return "only reported, as the claim says (gates: false)"
    if reference_sigma(claim, measured.n) is None:
        return "the claim gives no sigma to judge a difference by"
    return ""


def _interval(claim: Claim, measured: Measured) -> str:
    """Where a score on other examples lies, as far as it can be told: Wilson's 95 % interval of a share of them."""
    value = fmean(measured.values) if measured.values else math.nan
    if claim.metric not in SHARES or not math.isfinite(value):
        return ""
    low, high = statistics.wilson(value, measured.n)
    inside = "inside" if low <= (claim.value or 0) <= high else "outside"
    return f": {value:.4f}, 95 % interval {low:.4f} to {high:.4f}, and the claim lies {inside}"


def _of_weights(claim: Claim, measured: Measured) -> Judgement:
    """Equal at the claim's decimals, plus the largest change that one prediction can make; and no other predictions.

    `|m - v| <= 10^-d / 2 + c s`: m measured, v claimed at d decimals, s the step of one prediction (5e-4 for
    Pearson and Spearman), c = 1, or 3 where claim and run differ in precision. Where predictions of the same weights
    are recorded, those that differ and whose margins numeric noise does not explain must be within `flip_budget`.
    """
    assert claim.value is not None and claim.decimals is not None
    allowance = 1 if measured.precision == claim.precision else PRECISION_FLIPS
    tolerance = 10.0**-claim.decimals / 2 + allowance * measured.one_prediction
    value = measured.values[0]
    agrees = abs(value - claim.value) <= tolerance + ROUNDING
    step = "correlation tolerance" if claim.metric in CORRELATIONS[1:] else "prediction"
    allowed = f"{tolerance:.4g} = half a unit of decimal {claim.decimals} + {allowance} {step}{'s' * (allowance > 1)}"
    why = f"difference {signed(value - claim.value)}, {'within' if agrees else 'beyond'} {allowed}"
    same, said = _same_predictions(measured)
    return Judgement(
        claim=claim,
        verdict="reproduced" if agrees and same else "not-reproduced",
        why=f"{why}; {said}" if said else why,
        measured=value,
        values=measured.values,
        equivalent=(claim.value - tolerance, claim.value + tolerance),
    )


def _same_predictions(measured: Measured) -> tuple[bool, str]:
    """Whether the predictions are those that are recorded of the same weights, and what there is to say of them."""
    if (flips := measured.flips) is None:
        return True, ""
    precisions = (measured.precision, measured.recorded_in)
    noise, budget = max(NOISE[one] for one in precisions), flip_budget(flips.n, *precisions)
    if not flips.flipped:
        return True, f"all {flips.n:,} predictions are those recorded of these weights"
    unexplained = flips.unexplained(noise)
    said = (
        f"{flips.flipped} of {flips.n:,} predictions differ from those recorded of these weights, {unexplained} by more"
        f" than noise of {noise:g} explains ({budget} allowed); {flips.gained} became right, {flips.lost} wrong,"
        f" McNemar p = {flips.p:.3g}"
    )
    return unexplained <= budget, said
