"""The p-value of the number of degenerate runs."""

import math

import pytest

from harness.judging.failures import find_failures
from harness.judging.verdict import judge_all
from tests.helpers.claims import RETRAIN, measurement
from zoo.recipes.claim import Claim


@pytest.mark.parametrize(
    ("failed", "k", "references", "expected"),
    [
        (5, 5, 50, 1 / 3478761),  # Fisher's test: 1 / C(55, 5), below 0.1^5
        (3, 5, 50, 10 / 26235),  # C(5, 3) / C(55, 3)
        (5, 5, 10, 1e-5),  # Fisher's test could reach 1 / 3003 only, so the rate is compared with 10 %
        (1, 3, 10, 1 - 0.9**3),
        (0, 5, 5, 1.0),
    ],
)
def test_failures_are_compared_with_the_reference_if_its_runs_are_many_else_with_ten_percent(
    failed: int, k: int, references: int, expected: float
) -> None:
    claim = Claim(**{**RETRAIN, "reference_runs": references})
    measured = measurement(*[0.1] * failed, *[0.875] * (k - failed), baseline=0.1)
    assert find_failures(claim, measured).p_value == pytest.approx(expected)


def test_the_p_value_that_orders_claims_does_not_depend_on_their_number() -> None:
    claim = Claim(**{**RETRAIN, "reference_runs": 4})
    measured = measurement(*[0.1] * 6, 0.875, baseline=0.1)
    (alone,), (of_many,) = (judge_all([(claim, measured)], family) for family in (1, 41))
    assert alone.holm_p == of_many.holm_p


def test_a_recipe_that_often_fails_is_compared_with_its_own_rate() -> None:
    """Three of five against five of fifteen: more than one in ten of the reference runs, so Fisher's test: 0.296."""
    claim = Claim(**{**RETRAIN, "failures": 5})
    measured = measurement(*[0.1] * 3, 0.875, 0.875, baseline=0.1)
    expected = sum(math.comb(5, x) * math.comb(15, 8 - x) for x in (3, 4, 5)) / math.comb(20, 8)
    assert find_failures(claim, measured).p_value == pytest.approx(expected)
