"""What is judged and what a judgement says, as values."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from harness.judging.paired import Flips
from zoo.recipes.schema import Claim

Verdict = Literal["reproduced", "not-reproduced", "inconclusive", "not-compared", "not-run"]
GRAVITY: tuple[Verdict, ...] = ("not-reproduced", "inconclusive", "not-compared", "not-run", "reproduced")
"""From the gravest on: an entry's verdict is the gravest of its counted claims."""

ROUNDING = 1e-9
"""A difference that is exactly the tolerance must not fail by the last bit."""

SigmaFrom = Literal["measured", "steadied", "prior", "binomial", ""]


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
    baseline: float | None = None
    """What predicting the most frequent class scores."""
    flips: Flips | None = None
    """Against recorded predictions of the same weights."""
    recorded_in: str = "fp32"
    """The precision of those."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A claim, what was measured (the mean of the runs that count), the verdict, and why."""

    claim: Claim
    verdict: Verdict
    why: str
    measured: float | None = None
    values: tuple[float, ...] = ()
    """The runs that count."""
    set_aside: tuple[float, ...] = ()
    """Degenerate runs, at or below the majority's baseline."""
    sigma: float | None = None
    """The standard deviation of one run that the judgement rests on."""
    sigma_from: SigmaFrom = ""
    """Whether it is measured, measured and steadied by a prior, a declared prior, or the lower bound of a test set."""
    band: tuple[float, float] | None = None
    """Where the mean of as many correct re-trainings falls."""
    equivalent: tuple[float, float] | None = None
    """Where the mean counts as equivalent to the claim; None where too few runs could show it."""
    p: float | None = None
    """Of the difference, were there none; not adjusted."""
    power: float | None = None
    """The chance that so many runs of a correct re-training are found equivalent."""
    further_seeds: int | None = None
    """How many more runs settle it if the mean stays; None where none do, or it is settled."""
    findings: tuple[str, ...] = ()
    """What else a reader of the verdict should know."""


def signed(difference: float) -> str:
    """A difference to four decimals with its sign; what rounds to zero is +0.0000."""
    return f"{round(difference, 4) + 0.0:+.4f}"


def not_run(claim: Claim, why: str) -> Judgement:
    """The judgement of a claim that this run did not set out to test."""
    return Judgement(claim=claim, verdict="not-run", why=why)


def overall(judgements: Iterable[Judgement]) -> Verdict:
    """The gravest of the verdicts; `not-compared` where there are none."""
    return min((judgement.verdict for judgement in judgements), key=GRAVITY.index, default="not-compared")
