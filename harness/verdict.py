"""Whether a measurement agrees with a claim. Pure: values in, values out; no torch, no files.

Unlike is never compared with like: another split, metric or selection, or a missing value, is `not-compared`, and why.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean
from typing import Literal

from scipy.stats import binomtest

from zoo.recipe import CORRELATIONS, Claim

Verdict = Literal["reproduced", "not-reproduced", "inconclusive", "not-compared", "not-run"]
GRAVITY: tuple[Verdict, ...] = ("not-reproduced", "inconclusive", "not-compared", "not-run", "reproduced")
"""From the gravest on: an entry's verdict is the gravest of its counted claims."""

SHARES = ("accuracy", "top5_accuracy")
"""The metrics that are a share of the examples."""
CONFIDENCE = 0.99
"""Of the prediction band of a re-training: one correct re-training in a hundred falls outside."""
PRECISION_FLIPS = 3
"""Predictions that may flip where the claim was computed in another precision than the run."""
MARGIN_OF_RUNS, MARGIN_OF_ONE = 2.0, 4.0
"""What counts as equivalent, in sigma: against the mean of several reference runs, and against a single score."""
_ROUNDING = 1e-9  # a difference that is exactly the tolerance must not fail by the last bit


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A metric on a split: one value of published weights, or one per seed of a re-training."""

    split: str
    metric: str
    n: int
    values: tuple[float, ...]
    one_prediction: float = 0.0
    precision: str = "fp32"
    selection: str = "last"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A claim, what was measured (the mean of the seeds), the verdict, and why."""

    claim: Claim
    verdict: Verdict
    why: str
    measured: float | None = None


def judge(claim: Claim, measured: Measured | None) -> Judgement:
    """The verdict on one claim. `measured` is None where nothing was measured on the claim's split and metric."""
    mean = fmean(measured.values) if measured and measured.values else None
    value = None if mean is None or math.isnan(mean) else mean
    if why := _incomparable(claim, measured):
        return Judgement(claim=claim, verdict="not-compared", why=why, measured=value)
    assert measured is not None and claim.value is not None
    verdict, why = _of_weights(claim, measured) if claim.of == "weights" else _of_retraining(claim, measured)
    return Judgement(claim=claim, verdict=verdict, why=why, measured=value)


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


def not_run(claim: Claim, why: str) -> Judgement:
    """The judgement of a claim that this run did not set out to test."""
    return Judgement(claim=claim, verdict="not-run", why=why)


def overall(judgements: Iterable[Judgement]) -> Verdict:
    """The gravest of the verdicts; `not-compared` where there are none."""
    return min((judgement.verdict for judgement in judgements), key=GRAVITY.index, default="not-compared")


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
    if claim.of == "retrain" and measured.selection != claim.selection:  # published weights are what they are
        return f"measured the {measured.selection} epoch, claimed the {claim.selection}"
    if not measured.values or not all(map(math.isfinite, measured.values)):
        return f"{claim.metric} is not defined for these predictions"
    if claim.of == "retrain" and claim.sigma is None:
        return "the claim gives no sigma to judge a difference by"
    return ""


def _interval(claim: Claim, measured: Measured) -> str:
    """Where a score on other examples lies, as far as it can be told: Wilson's 95 % interval of a share of them."""
    value = fmean(measured.values) if measured.values else math.nan
    if claim.metric not in SHARES or not math.isfinite(value):
        return ""
    low, high = binomtest(round(value * measured.n), measured.n).proportion_ci(0.95, method="wilson")
    inside = "inside" if low <= (claim.value or 0) <= high else "outside"
    return f": {value:.4f}, 95 % interval {low:.4f} to {high:.4f}, and the claim lies {inside}"


def _of_weights(claim: Claim, measured: Measured) -> tuple[Verdict, str]:
    """Equal at the claim's decimals, plus the largest change that one prediction can make.

    `|m - v| <= 10^-d / 2 + c s`: m measured, v claimed at d decimals, s the step of one prediction (5e-4 for
    Pearson and Spearman), c = 1, or 3 where claim and run differ in precision.
    """
    assert claim.value is not None and claim.decimals is not None
    flips = 1 if measured.precision == claim.precision else PRECISION_FLIPS
    tolerance = 10.0**-claim.decimals / 2 + flips * measured.one_prediction
    difference = measured.values[0] - claim.value
    agrees = abs(difference) <= tolerance + _ROUNDING
    step = "correlation tolerance" if claim.metric in CORRELATIONS[1:] else "prediction"
    allowed = f"{tolerance:.4g} = half a unit of decimal {claim.decimals} + {flips} {step}{'s' if flips > 1 else ''}"
    side = "within" if agrees else "beyond"
    return "reproduced" if agrees else "not-reproduced", f"difference {difference:+.4f}, {side} {allowed}"


def _of_retraining(claim: Claim, measured: Measured) -> tuple[Verdict, str]:
    """The mean of k seeds against the mean of r reference runs, each run with standard deviation sigma.

    The prediction band of the difference is `h = z sigma sqrt(1/k + 1/r)`, z the two-sided 99 % quantile. Outside it:
    `not-reproduced`. Inside: `reproduced`, if the band is no wider than what counts as equivalent (2 sigma against
    several reference runs, 4 sigma against a single score); else `inconclusive`, with the number of seeds needed.
    """
    assert claim.value is not None and claim.sigma is not None
    seeds, references, sigma = len(measured.values), claim.reference_runs, claim.sigma
    difference = fmean(measured.values) - claim.value
    margin = MARGIN_OF_RUNS if references > 1 else MARGIN_OF_ONE
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(1 / seeds + 1 / references)
    runs = "1 run" if seeds == 1 else f"{seeds} runs"
    seen = f"difference {difference:+.4f} = {difference / sigma:+.2f} sigma, {runs} against {references}"
    band = f"the 99 % band of {half:.2f} sigma"
    if abs(difference) > half * sigma + _ROUNDING:
        direction = "higher" if difference > 0 else "lower"
        return "not-reproduced", f"{direction}: {seen}, beyond {band}"
    if half > margin:
        return "inconclusive", f"{seen}; {band} is wider than {margin:g} sigma: {_seeds_for(margin, references)}"
    return "reproduced", f"{seen}, within {band}"


def _seeds_for(margin: float, references: int) -> str:
    """How many seeds bring the band down to the margin."""
    needed = (margin / NormalDist().inv_cdf((1 + CONFIDENCE) / 2)) ** 2 - 1 / references
    return f"{math.ceil(1 / needed)} seeds are enough" if needed > 0 else "no number of seeds is enough"
