"""Verdicts on published weights: counts, rounding, near-ties and recorded predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging.near_ties import near_ties
from tests.helpers.claims import WEIGHTS, judged, measurement
from zoo.claims.counts import counts_of

MRPC = {**WEIGHTS, "value": 0.8725490, "decimals": 7}
"""356 of 408."""


def of_408(right: int, **changes: Any) -> Any:
    return measurement(right / 408, n=408, one_prediction=1 / 408, **changes)


@pytest.mark.parametrize(
    ("right", "near_ties", "verdict"),
    [
        (356, 0, "reproduced"),
        (357, 0, "reproduced"),  # one prediction, by any kernel
        (355, 0, "reproduced"),
        (358, 0, "not-reproduced"),
        (359, 2, "not-reproduced"),  # 2 sqrt(2) = 2.8
        (359, 3, "reproduced"),  # 2 sqrt(3) = 3.5
        (362, 16, "reproduced"),  # 2 sqrt(16) = 8
        (364, 16, "reproduced"),
        (365, 16, "inconclusive"),
        (372, 16, "inconclusive"),
        (373, 16, "not-reproduced"),
        (339, 16, "not-reproduced"),
    ],
)
def test_counts_may_differ_by_chance_up_to_twice_the_root_of_the_near_ties(
    right: int, near_ties: int, verdict: str
) -> None:
    assert judged(MRPC, of_408(right, near_ties=near_ties)).verdict == verdict


def test_the_reason_names_both_counts() -> None:
    assert judged(MRPC, of_408(356)).why == "The run has 356 of 408 right, as claimed, to the example."
    assert judged(MRPC, of_408(353, near_ties=4), n=408).why == (
        "The run has 353 of 408 right, 3 fewer than claimed (356); 4 may differ by numeric noise (4 near-ties, counted"
        " in the logits)."
    )


def test_the_reason_of_another_metric_names_the_noise_and_its_origin() -> None:
    why = judged({**WEIGHTS, "metric": "f1", "value": 0.9, "decimals": 2}, measurement(0.9, metric="f1", n=60)).why
    assert "decimals, and numeric noise in 1 prediction: 0 near-ties, estimated from the precisions of claim and" in why


def test_a_value_of_few_decimals_stands_for_several_counts() -> None:
    claim = {**WEIGHTS, "value": 0.9, "decimals": 1, "n": 60}
    why = judged(claim, measurement(23 / 60, n=60, one_prediction=1 / 60)).why
    assert why.startswith("The run has 23 of 60 right, at least 28 fewer than claimed (51 to 57); ")


@pytest.mark.parametrize(
    ("metric", "value", "decimals", "label"),
    [
        ("f1", 0.9, 1, "reproduced (10 % by luck)"),
        ("accuracy", 1.0, 1, "reproduced (5.2 % by luck)"),
        ("f1", 0.9, 2, "reproduced"),
        ("pearson", 0.9, 1, "reproduced (5.2 % by luck)"),
    ],
)
def test_the_label_names_the_chance_of_passing_by_luck_if_it_is_large(
    metric: str, value: float, decimals: int, label: str
) -> None:
    claim = {**WEIGHTS, "metric": metric, "value": value, "decimals": decimals}
    found = judged(claim, measurement(value, metric=metric, n=408, one_prediction=1 / 408))
    assert (found.verdict, found.label) == ("reproduced", label)
    assert judged(claim, measurement(0.3, metric=metric, n=408, one_prediction=1 / 408)).chance is None


def test_between_precisions_the_allowance_grows_with_the_number_of_examples() -> None:
    """0.1 % of 40,430 are 40, and 2 sqrt(40) = 12.6; of 408 none, so one prediction."""
    claim, n = {**WEIGHTS, "value": 0.9, "decimals": 7, "precision": "fp16"}, 40_430

    def verdict(right: int, **changes: Any) -> str:
        return judged({**claim, **changes}, measurement(right / n, n=n, one_prediction=1 / n)).verdict

    assert verdict(36387 - 4) == verdict(36387 + 12) == "reproduced"
    assert verdict(36387 - 13) == verdict(36387 - 40) == "inconclusive"
    assert verdict(36387 - 41) == "not-reproduced"
    assert verdict(36387 - 4, precision="fp32") == "not-reproduced"
    assert judged({**MRPC, "precision": "fp16"}, of_408(358)).verdict == "not-reproduced"


def test_a_claim_that_is_no_count_of_its_split_is_not_compared() -> None:
    judgement = judged(MRPC, measurement(0.5, n=278))
    assert judgement.verdict == "not-compared"
    assert "0.8725490 is no share of 278 examples; the nearest are 242/278 = 0.870503597 and 243/278" in judgement.why


def test_a_truncated_claim_agrees_and_is_named() -> None:
    judgement = judged(WEIGHTS, measurement(0.8759, n=10_000, one_prediction=1e-4))
    assert (judgement.verdict, "agrees if the claim was truncated to 3 decimals" in judgement.why) == (
        "reproduced",
        True,
    )
    f1 = judged(WEIGHTS, measurement(0.8759, metric="f1", one_prediction=1e-4), metric="f1")
    assert (f1.verdict, "agrees if the claim was truncated" in f1.why) == ("reproduced", True)
    assert judged(WEIGHTS, measurement(0.8741, n=10_000, one_prediction=1e-4)).verdict == "not-reproduced"


def test_a_claim_without_decimals_is_not_compared() -> None:
    judgement = judged(WEIGHTS, measurement(0.51, n=100), value=1.0, decimals=0)
    assert (judgement.verdict, "printed without decimals" in judgement.why) == ("not-compared", True)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.8979, "reproduced"), (0.8981, "inconclusive"), (0.9017, "inconclusive"), (0.9285, "not-reproduced")],
)
def test_other_metrics_may_change_by_the_largest_effect_of_the_near_ties(value: float, verdict: str) -> None:
    """Half a unit is 0.0005. Of 20 near-ties 8 flip by chance, 8 x 0.0025 = 0.02 + 0.0005 + 0.875 = 0.8955."""
    measured = measurement(value - 0.0025, metric="f1", near_ties=20)
    assert judged(WEIGHTS, measured, metric="f1").verdict == verdict


@given(n=st.integers(1, 5000), k=st.integers(0, 5000), decimals=st.integers(1, 7))
def test_the_counts_of_a_printed_share_are_exactly_those_that_print_it(n: int, k: int, decimals: int) -> None:
    k = min(k, n)
    printed = round(k / n, decimals)
    counts = counts_of(printed, decimals, n)
    assert k in counts
    assert all(abs(count / n - printed) <= 10.0**-decimals / 2 + 1e-8 for count in (counts[0], counts[-1]))


def test_near_ties_are_closer_than_twice_the_noise() -> None:
    logits = np.array([[0.0, 1.0, 0.99], [0.0, 1.0, 0.5], [3.0, 3.0, 0.0]])
    assert near_ties(logits, 0.01).tolist() == [True, False, True]
    assert near_ties(logits - 1, 0.0, of_labels=True).tolist() == [True, True, False]
    assert near_ties(np.zeros((2, 1)), 1.0).tolist() == [False, False]


@dataclass(frozen=True)
class SomeFlips:
    """A comparison of predictions with a chosen number of flips that noise does not explain."""

    n: int = 400
    flipped: int = 3
    gained: int = 1
    lost: int = 2
    p: float = 1.0
    beyond: int = 0

    def unexplained(self, noise: float) -> int:
        return self.beyond if noise < 0.165 else 0


@pytest.mark.parametrize(
    ("flips", "changes", "verdict"),
    [
        (SomeFlips(flipped=0), {}, "reproduced"),
        (SomeFlips(), {}, "reproduced"),  # noise explains all of them
        (SomeFlips(beyond=1), {}, "not-reproduced"),  # fp32 against fp32 allows none
        (SomeFlips(beyond=2), {"recorded_in": "fp16"}, "reproduced"),  # max(2, 0.5 % of 400)
        (SomeFlips(beyond=3), {"recorded_in": "fp16"}, "not-reproduced"),
        (SomeFlips(n=4000, flipped=30, beyond=20), {"recorded_in": "fp16"}, "reproduced"),  # 0.5 % of 4,000
        (SomeFlips(n=4000, flipped=30, beyond=21), {"recorded_in": "fp16"}, "not-reproduced"),
        (SomeFlips(beyond=9), {"recorded_in": "bf16"}, "reproduced"),  # the noise of bf16 explains them
    ],
)
def test_weights_must_reproduce_the_recorded_predictions_up_to_noise(
    flips: Any, changes: dict[str, Any], verdict: str
) -> None:
    judgement = judged(WEIGHTS, measurement(0.875, flips=flips, **changes))
    assert judgement.verdict == verdict
    assert "predictions" in judgement.why


def test_a_claimed_mean_must_be_a_count_of_the_examples_of_all_runs() -> None:
    """Of 3 runs on 10 examples, 0.867 is 26/30 and 0.88 lies between 26/30 and 27/30."""
    measured = measurement(0.9, n=10)
    good, bad = ({**WEIGHTS, "value": value, "decimals": 3, "reference_runs": 3} for value in (0.867, 0.880))
    assert judged(bad, measured).why == "0.8800 is no mean of 3 shares of 10 examples."
    assert judged(bad, measured).verdict == "not-compared"
    assert judged(good, measured).verdict == "not-compared"
    assert judged(good, measured).why.startswith("The claim is the mean of 3 runs, and published weights are those")
    trained = {**bad, "of": "retrain", "sigma": 0.01}
    assert "0.8800 is no mean of 3 shares of 10 examples." in judged(trained, measurement(0.9, 0.9, n=10)).findings[-1]


@pytest.mark.parametrize(("right", "claimed", "difference"), [(356, 356, 0), (353, 356, -3), (360, 356, 4)])
def test_both_counts_are_part_of_the_judgement(right: int, claimed: int, difference: int) -> None:
    counts = judged(MRPC, of_408(right, near_ties=7)).counts
    assert counts is not None
    assert (counts.n, counts.right, counts.claimed, counts.difference) == (408, right, claimed, difference)
    assert counts.near_ties == 7


def test_a_score_that_is_no_count_has_no_counts() -> None:
    assert judged(MRPC, of_408(356, metric="f1"), metric="f1").counts is None
    assert judged(MRPC, of_408(356), value=0.8723).counts is None  # no share of 408
    top5 = judged(MRPC, of_408(356, metric="top5_accuracy", near_ties=7), metric="top5_accuracy").counts
    assert top5 is not None
    assert top5.near_ties is None  # they are those of the largest logit
