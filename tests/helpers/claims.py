"""Short forms of claims and measurements for the tests of verdicts."""

from typing import Any

from harness.judging.types import Judgement, Measurement
from harness.judging.verdict import judge
from zoo.recipes.claim import Claim

WEIGHTS: dict[str, Any] = {
    "of": "weights", "split": "test", "metric": "accuracy", "value": 0.875, "decimals": 3, "source": "s",
}  # fmt: skip
RETRAIN: dict[str, Any] = {
    "of": "retrain", "split": "test", "metric": "accuracy", "value": 0.875, "sigma": 0.01, "reference_runs": 10,
    "source": "s",
}  # fmt: skip
SINGLE_SCORE: dict[str, Any] = {**RETRAIN, "reference_runs": 1}
"""A single score with a known sigma. The standard error is e = 0.01 sqrt(1/k + 1): 0.011547 with three seeds."""


def measurement(*values: float, **changes: Any) -> Measurement:
    """Return a measurement of these values on 400 examples, with fields changed."""
    fields = {"split": "test", "metric": "accuracy", "n": 400, "one_prediction": 1 / 400, **changes}
    return Measurement(**fields, values=values)


def judged(claim: dict[str, Any], measured: Measurement | None, **changes: Any) -> Judgement:
    """Return the judgement of a claim, with fields changed."""
    return judge(Claim(**{**claim, **changes}), measured)
