"""Types of the judging code: what was measured for a claim, and the judgement of that claim."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.judging.other_readings import Reading
from harness.judging.paired import Flips
from zoo.recipes.claim import CORRELATIONS, Claim
from zoo.text_tables import decimal_places

Verdict = Literal["reproduced", "not-reproduced", "inconclusive", "not-compared", "not-run"]
VERDICTS_BY_SEVERITY: tuple[Verdict, ...] = ("not-reproduced", "inconclusive", "not-compared", "not-run", "reproduced")
"""The verdicts, worst first. The verdict of an entry is the worst verdict of its claims that gate."""

ROUNDING = 1e-9
"""Added to every tolerance, so that a difference of exactly the tolerance does not fail by floating-point rounding."""

ONE_SCORE = "reproduced (one score)"
"""The label of a training that is equivalent to a single published score, which excludes less than a mean of runs."""
MUCH_LUCK = 0.05
"""A chance of passing by luck from which the label of published weights names it."""
SigmaSource = Literal["measured", "moderated", "prior", "raised", "binomial", ""]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The values of one metric on one split: one value for published weights, one per seed for a retraining."""

    split: str
    metric: str
    n: int
    """The number of scored examples."""
    full_n: int | None = None
    """The number of examples of the whole split, if the data set is a public one whose size is known, or if the run
    scored only some of its rows."""
    scoring: Mapping[str, Any] = field(default_factory=dict)
    """How the split was scored, if not as usual; see `harness.records.record.Result.scoring`."""
    values: tuple[float, ...]
    one_prediction: float = 0.0
    """The largest change of the metric that a single changed prediction can cause."""
    precision: str = "fp32"
    """The precision of the run."""
    selection: str = "last"
    """The checkpoint that was scored: `last` or `best`."""
    baseline: float | None = None
    """The score of always predicting the most frequent class; None if it is unknown."""
    constant: tuple[bool, ...] = ()
    """For each value, whether all predictions of the run are the same; empty if that is unknown."""
    above_baseline: tuple[bool, ...] = ()
    """For each value, whether another metric of the run on this split is above its baseline; empty if that is
    unknown."""
    near_ties: int | None = None
    """The number of examples whose prediction numeric noise can change; None if no logits are recorded."""
    left_out: tuple[str, ...] = ()
    """Describes runs that are not judged, because they are on another kind of device or in another precision."""
    look: int = 1
    """How many times the claim has been judged, with this time, each time with more seeds."""
    flips: Flips | None = None
    """The comparison with recorded predictions of the same weights; None if there are none."""
    rows_not_finite: tuple[int, ...] = ()
    """For each value, the number of examples whose outputs are NaN or infinite; empty if there are none."""
    recorded_in: str = "fp32"
    """The precision of the recorded predictions."""
    readings: tuple[Reading, ...] = ()
    """The scores of other metrics on the same predictions, for published weights and metrics of tags."""

    @property
    def failed(self) -> tuple[bool, ...]:
        """For each value, whether the run failed: its outputs are not finite, or are constant for a correlation."""
        counts = self.rows_not_finite or (0,) * len(self.values)
        is_correlation = self.metric in CORRELATIONS
        return tuple(
            count > 0 or (is_correlation and math.isnan(value))
            for count, value in zip(counts, self.values, strict=True)
        )


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The right predictions of published weights, beside the claimed number of them."""

    n: int
    """The number of examples."""
    right: int
    claimed: int
    """The count that the claim stands for; of several, the nearest one."""
    near_ties: int | None = None
    """The number of examples whose prediction numeric noise can change; None for other metrics than the accuracy, and
    without logits."""

    @property
    def difference(self) -> int:
        """How many more predictions are right than claimed; below 0 for fewer."""
        return self.right - self.claimed


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A claim, its verdict, the reason in plain sentences, and the numbers behind it."""

    claim: Claim
    verdict: Verdict
    why: str
    measured: float | None = None
    """The mean of `values`."""
    values: tuple[float, ...] = ()
    """The runs that the verdict rests on."""
    set_aside: tuple[float, ...] = ()
    """Degenerate runs, see `harness.judging.failures`. They are left out of the mean."""
    failed: bool = False
    """Whether nothing can be compared because the outputs are not finite, or constant for a correlation."""
    sigma: float | None = None
    """The standard deviation of one run, estimated from the reference and the judged runs; it sets the margin."""
    sigma_from: SigmaSource = ""
    """The source of sigma: `measured` (the reference runs), `moderated` (the reference runs pooled with a declared
    prior), `prior` (declared), or `binomial` (the sampling error of the test set, a lower bound)."""
    band: tuple[float, float] | None = None
    """The prediction band for the mean of this many correct retrainings."""
    equivalent: tuple[float, float] | None = None
    """The range in which the mean counts as equivalent to the claim; None if the runs are too few for it."""
    p: float | None = None
    """The two-sided p-value of the difference, not adjusted for other claims or looks."""
    holm_p: float | None = None
    """The p-value that Holm's procedure compares with those of other claims: the smallest of the claim's tests,
    adjusted for their number and for the look."""
    excluded_loss: float | None = None
    """For a training that is `reproduced`: a loss of more than this is excluded at 95 %."""
    power: float | None = None
    """The probability that this many runs of a correct retraining pass the equivalence test."""
    further_seeds: int | None = None
    """The number of further runs that would settle an inconclusive verdict if the mean stays the same."""
    counts: Counts | None = None
    """For a share of published weights: the numbers of right predictions that were compared."""
    findings: tuple[str, ...] = ()
    """Further observations for a reader of the verdict, such as degenerate runs."""

    @property
    def chance(self) -> float | None:
        """The share of all scores that would be reproduced like published weights, by the decimals of the claim and the
        number of examples; None for other verdicts and trainings.
        """
        if self.verdict != "reproduced" or self.claim.of != "weights" or self.equivalent is None:
            return None
        lowest = -1.0 if self.claim.metric in CORRELATIONS else 0.0
        low, high = max(self.equivalent[0], lowest), min(self.equivalent[1], 1.0)
        return (high - low) / (1 - lowest)

    @property
    def label(self) -> str:
        """The verdict as it is shown: with a mark where `reproduced` rests on a single published score or on luck."""
        if self.chance is not None and self.chance >= MUCH_LUCK:
            return f"reproduced ({100 * self.chance:.2g} % by luck)"
        is_single = self.verdict == "reproduced" and self.claim.of == "retrain" and self.claim.reference_runs == 1
        return ONE_SCORE if is_single else self.verdict


def format_difference(difference: float, decimals: int | None = None) -> str:
    """Return a difference with its sign, to four decimals or to those of its claim; a rounded zero has a plus sign."""
    places = decimal_places(decimals)
    return f"{round(difference, places) + 0.0:+.{places}f}"


def excluded_text(loss: float | None) -> str:
    """Return which losses are excluded, such as `losses above 1.4 points are excluded`; empty for None."""
    return "" if loss is None else f"losses above {100 * loss:.2g} points are excluded"


def decimals_of(claims: Iterable[Claim], split: str, metric: str) -> int | None:
    """Return the most decimals that a claim on a split and metric is printed with; None if no claim has any."""
    return max(
        (
            c.printed_decimals
            for c in claims
            if (c.split, c.metric) == (split, metric) and c.printed_decimals is not None
        ),
        default=None,
    )


def not_run(claim: Claim, why: str) -> Judgement:
    """Return the judgement of a claim for which nothing was run."""
    return Judgement(claim=claim, verdict="not-run", why=why)


def worst_verdict(judgements: Iterable[Judgement]) -> Verdict:
    """Return the worst verdict among the judgements, or `not-compared` if there are none."""
    return min((judgement.verdict for judgement in judgements), key=VERDICTS_BY_SEVERITY.index, default="not-compared")
