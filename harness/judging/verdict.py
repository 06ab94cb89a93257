"""Decide whether a measurement agrees with a claim. Pure functions of values; no torch, no files.

Published weights are judged by counts. With k of n examples right, k' of n as claimed, and m near-ties, whose
prediction numeric noise can change:

1. `reproduced`: `|k - k'| <= max(1, 2 sqrt(m))`.
2. `inconclusive`: `|k - k'| <= m`.
3. `not-reproduced`: more. So are weights whose recorded predictions differ.

A retraining is judged by its degenerate runs and by the mean of the others, in this order:

1. `not-reproduced`: all of three or more runs are degenerate, or more of them than the reference explains.
2. `reproduced`: the mean is equivalent to the claim; the margin is 2 sigma against several reference runs, 3.4 sigma
   against a single score.
3. `not-reproduced`: the mean lies outside the claim's prediction band, on either side. The bands hold for all claims of
   a family together at 95 % (Holm), and for all looks at a claim (alpha spending).
4. `inconclusive`: neither. The reason gives the power and the number of further runs needed.

A claim is `not-compared` if the measurement has another split, metric or selection, or if a value is missing. The
formulas are in `harness.judging.statistics`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from harness.judging import statistics
from harness.judging.chosen_rows import other_rows, subset_text
from harness.judging.failures import find_failures
from harness.judging.retraining import judge_retraining
from harness.judging.sigma import estimate_sigma
from harness.judging.thresholds import other_threshold
from harness.judging.types import ROUNDING, Judgement, Measurement
from harness.judging.weights import judge_weights, mean_problem
from zoo.recipes.claim import SHARES, Claim
from zoo.text_tables import number


def judge(claim: Claim, measured: Measurement | None, *, steps: int = 1) -> Judgement:
    """Return the judgement of one claim.

    Args:
        claim: The claim.
        measured: The measurement, or None if nothing was measured on the claim's split and metric.
        steps: The divisor of the level 5 % at which Holm's procedure tests a retraining.
    """
    if why := _not_comparable(claim, measured):
        mean = fmean(measured.values) if measured and measured.values else math.nan
        value = mean if math.isfinite(mean) else None
        values = measured.values if measured and value is not None else ()
        failed = measured is not None and any(measured.failed)
        return Judgement(claim=claim, verdict="not-compared", why=why, measured=value, values=values, failed=failed)
    assert measured is not None
    if claim.of == "retrain":
        return _with_subset(judge_retraining(claim, measured, steps), measured)
    judgement = _with_subset(judge_weights(claim, measured), measured)
    is_size_known = claim.size is not None or measured.full_n is not None
    if judgement.verdict == "reproduced" or is_size_known:
        return judgement
    unknown = f"The claim does not say on how many examples (n) it was measured; this run scored {measured.n:,}."
    return replace(judgement, why=f"{judgement.why} {unknown}")


def _with_subset(judgement: Judgement, measured: Measurement) -> Judgement:
    """Return the judgement with a sentence on the rows that were scored, unless they are the whole split."""
    rows = subset_text(measured.scoring, measured.n)
    return replace(judgement, why=f"{judgement.why} Scored: {rows}.") if rows else judgement


def judge_all(claims: Sequence[tuple[Claim, Measurement | None]], family: int = 1) -> tuple[Judgement, ...]:
    """Return the judgements of claims of one family.

    Args:
        claims: Each claim with its measurement.
        family: The number of claims over which Holm's procedure adjusts retrainings, whether they were run or not.
    """
    unadjusted = [judge(claim, measured) for claim, measured in claims]
    steps = statistics.holm_steps([j.holm_p if j.claim.gates else None for j in unadjusted], family)
    return tuple(
        judgement if judgement.holm_p is None or step == 1 else judge(*pair, steps=step)
        for judgement, pair, step in zip(unadjusted, claims, steps, strict=True)
    )


def in_family(claim: Claim) -> bool:
    """Return whether Holm's procedure counts a claim: retrainings that gate."""
    return claim.of == "retrain" and claim.gates


def fill_published_value(claim: Claim, published: Mapping[str, Mapping[str, str]]) -> Claim:
    """Return the claim with the value that its log file holds, or unchanged if the log holds no such score.

    A log omits trailing zeros, so the claim says how many decimals its value has; by default those of a float.

    Args:
        claim: The claim.
        published: File name -> metric -> score as the file spells it.
    """
    written = published.get(claim.log, {}).get(claim.metric) if claim.log else None
    if written is None:
        return claim
    try:
        decimals = 16 if claim.decimals is None else claim.decimals
        texts = {**claim.written, "value": written}
        return replace(claim, value=float(written), log=None, decimals=decimals, written=texts)
    except ValueError:
        return claim


def _not_comparable(claim: Claim, measured: Measurement | None) -> str:
    """Return why the claim and the measurement cannot be compared, or an empty string if they can."""
    if claim.of == "test-server":
        return "The labels are hidden: only the test server can score this claim."
    if claim.value is None and claim.log:
        return f"The file {claim.log} should hold the claimed value, but it holds no such score."
    if claim.value is None:
        return f"No public source gives a value ({claim.source})."
    if measured is None:
        return f"The metric {claim.metric} was not measured on the split {claim.split!r}."
    if (measured.split, measured.metric) != (claim.split, claim.metric):
        return f"Measured {measured.metric} on {measured.split!r}, but claimed {claim.metric} on {claim.split!r}."
    if why := other_threshold(claim, measured) or _other_examples(claim, measured) or _unclear_value(claim, measured):
        return why
    if claim.of == "weights" and any(measured.rows_not_finite):
        rows = max(measured.rows_not_finite)
        return (
            f"The outputs for {rows:,} of {measured.n:,} examples are NaN or infinite, so their predictions mean"
            f" nothing; check the weights, or another precision."
        )
    failed = measured.failed if claim.of == "retrain" else (False,) * len(measured.values)
    defined = [has_failed or math.isfinite(value) for has_failed, value in zip(failed, measured.values, strict=True)]
    if not defined or not all(defined):
        return f"The metric {claim.metric} is not defined for these predictions."
    return _not_comparable_training(claim, measured) if claim.of == "retrain" else ""


def _unclear_value(claim: Claim, measured: Measurement) -> str:
    """Return why the claimed value cannot be compared with anything, or an empty string."""
    if claim.decimals == 0:
        return f"The value {claim.value:g} is printed without decimals, which says too little to compare it."
    if claim.of != "weights" or claim.reference_runs == 1:
        return ""
    one_of = f"The claim is the mean of {claim.reference_runs} runs, and published weights are those of one run."
    return mean_problem(claim, measured.n) or one_of


def _not_comparable_training(claim: Claim, measured: Measurement) -> str:
    if measured.selection != claim.selection:
        return f"Measured the {measured.selection} epoch, but claimed the {claim.selection} epoch."
    if not claim.gates:
        return "The claim is only reported (gates: false)."
    if estimate_sigma(claim, measured.n) is None and find_failures(claim, measured).trained:
        return (
            "The claim says nothing of how much the score varies between seeds, so a difference cannot be judged. Add"
            " `sigma` and `reference_runs`, or a `prior`, to the claim."
        )
    return ""


def _other_examples(claim: Claim, measured: Measurement) -> str:
    """Return that the run and the claim are about other examples, and what the scores say all the same."""
    why = other_rows(claim, measured) or _other_size(claim, measured)
    return f"{why}{_position(claim, measured)}" if why else ""


def _other_size(claim: Claim, measured: Measurement) -> str:
    """Return that the run and the claim have other numbers of examples, or an empty string if they do not.

    A claim without `n` or `rows` is taken to be about the whole split, if the size of the split is known.
    """
    if claim.size is not None:
        if measured.n == claim.size:
            return ""
        return f"Measured on {measured.n:,} examples, but claimed on {claim.size:,}."
    if claim.rows is not None or measured.full_n in (None, measured.n):
        return ""
    return (
        f"Measured on {measured.n:,} examples of {claim.split!r}, which has {measured.full_n:,}. The claim gives no n,"
        f" so it counts as claimed on all of them; write `n: {measured.n}` if it was measured on the same examples."
    )


def _position(claim: Claim, measured: Measurement) -> str:
    """Return where the claimed value lies against the 95 % interval of a share measured on other examples.

    The interval has the sampling errors of both. The examples of a run are a part of the claim's if the claim is about
    the whole of a public split; this is assumed of published weights only, because a retraining is another model.
    """
    value, n = fmean(measured.values) if measured.values else math.nan, claim.size or measured.full_n
    if claim.metric not in SHARES or not math.isfinite(value) or claim.value is None or n is None:
        return ""
    is_part = claim.of == "weights" and measured.n < n == measured.full_n
    error = statistics.shares_error(value, measured.n, claim.value, n, is_part=is_part)
    half = float(statistics.quantile(1 - statistics.ALPHA / 2, statistics.KNOWN)) * error + claim.rounding
    where = "inside" if abs(value - claim.value) <= half + ROUNDING else "outside"
    middle, low, high = (
        number(end, claim.printed_decimals) for end in (value, max(value - half, 0.0), min(value + half, 1.0))
    )
    samples = "a sample of the claim's examples" if is_part else "the sampling errors of run and claim"
    score = f", z = {(value - claim.value) / error:+.2f}" if error else ""
    return (
        f" The claimed value lies {where} the 95 % interval of the measured {middle}: {low} to {high}"
        f" ({samples}{score})."
    )
