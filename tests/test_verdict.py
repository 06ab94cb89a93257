"""Verdicts: like with like, the tolerance of weights, the band of re-trainings."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.verdict import Judgement, Measured, judge, not_run, overall
from zoo.recipe import Claim

WEIGHTS: dict[str, Any] = {
    "of": "weights",
    "split": "test",
    "metric": "accuracy",
    "value": 0.875,
    "decimals": 3,
    "source": "s",
}
RETRAIN: dict[str, Any] = {
    "of": "retrain",
    "split": "test",
    "metric": "accuracy",
    "value": 0.875,
    "sigma": 0.01,
    "reference_runs": 10,
    "source": "s",
}


def measured(*values: float, **other: Any) -> Measured:
    return Measured(
        **{"split": "test", "metric": "accuracy", "n": 400, "one_prediction": 1 / 400, **other}, values=values
    )


def verdict(claim: dict[str, Any], found: Measured | None, **changed: Any) -> Judgement:
    return judge(Claim(**{**claim, **changed}), found)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.875, "reproduced"),
        (0.8775, "reproduced"),  # one prediction more
        (0.878, "reproduced"),  # exactly half a unit of the last decimal and one prediction
        (0.8785, "not-reproduced"),
        (0.8719, "not-reproduced"),
        (0.845, "not-reproduced"),
        (0.905, "not-reproduced"),  # better than claimed is no reproduction either
    ],
)
def test_weights_agree_at_the_decimals_and_one_prediction(value: float, expected: str) -> None:
    assert verdict(WEIGHTS, measured(value)).verdict == expected


def test_published_weights_are_compared_whichever_epoch_they_are_of() -> None:
    assert verdict(WEIGHTS, measured(0.875), selection="best").verdict == "reproduced"


def test_another_precision_allows_three_predictions() -> None:
    assert verdict(WEIGHTS, measured(0.8825)).verdict == "not-reproduced"
    assert verdict(WEIGHTS, measured(0.8825), precision="fp16").verdict == "reproduced"
    assert verdict(WEIGHTS, measured(0.8850), precision="fp16").verdict == "not-reproduced"


@pytest.mark.parametrize(
    ("found", "changed", "why"),
    [
        (None, {}, "nothing was measured as accuracy on the split 'test'"),
        (measured(0.875, split="dev"), {}, "measured accuracy on 'dev', claimed accuracy on 'test'"),
        (measured(0.875, metric="f1"), {}, "measured f1"),
        (
            measured(0.875),
            {"of": "retrain", "sigma": 0.01, "selection": "best"},
            "measured the last epoch, claimed the best",
        ),
        (measured(math.nan), {}, "not defined"),
        (measured(0.875), {"value": None}, "no public source"),
        (measured(0.875), {"of": "test-server"}, "hidden"),
        (measured(), {}, "not defined"),
    ],
)
def test_unlike_is_never_compared(found: Measured | None, changed: dict[str, Any], why: str) -> None:
    judgement = verdict(WEIGHTS, found, **changed)
    assert judgement.verdict == "not-compared"
    assert why in judgement.why


def test_a_retraining_without_sigma_cannot_be_judged() -> None:
    assert verdict(RETRAIN, measured(0.875), sigma=None).verdict == "not-compared"


@pytest.mark.parametrize(
    ("values", "changed", "expected"),
    [
        ((0.875, 0.88, 0.87), {}, "reproduced"),  # band 2.576 sqrt(1/3 + 1/10) = 1.70 sigma
        ((0.859, 0.859, 0.859), {}, "reproduced"),  # 1.6 sigma away
        ((0.857, 0.857, 0.857), {}, "not-reproduced"),  # 1.8
        ((0.893, 0.893, 0.893), {}, "not-reproduced"),
        ((0.875,), {}, "inconclusive"),  # band 2.70 sigma, wider than 2
        ((0.875, 0.875, 0.875), {"reference_runs": 1}, "reproduced"),  # band 2.97 sigma, within 4
    ],
)
def test_retrainings_are_judged_by_their_band(
    values: tuple[float, ...], changed: dict[str, Any], expected: str
) -> None:
    assert verdict(RETRAIN, measured(*values), **changed).verdict == expected


def test_an_inconclusive_verdict_says_how_many_seeds_are_needed_and_they_are_enough() -> None:
    said = verdict(RETRAIN, measured(0.875)).why
    needed = int(said.split(": ")[-1].split()[0])
    assert verdict(RETRAIN, measured(*[0.875] * needed)).verdict == "reproduced"
    assert verdict(RETRAIN, measured(*[0.875] * (needed - 1))).verdict == "inconclusive"


FRACTIONS = st.floats(0, 1)


@given(value=FRACTIONS, found=FRACTIONS, decimals=st.integers(0, 6), further=st.floats(0, 0.5))
def test_a_measurement_farther_off_is_never_judged_better(
    value: float, found: float, decimals: int, further: float
) -> None:
    away = found + math.copysign(further, found - value)
    near = verdict(WEIGHTS, measured(found), value=value, decimals=decimals)
    far = verdict(WEIGHTS, measured(away), value=value, decimals=decimals)
    assert (near.verdict, far.verdict) != ("not-reproduced", "reproduced")


@given(values=st.lists(FRACTIONS, min_size=1, max_size=6), value=FRACTIONS, sigma=st.floats(0.001, 0.2))
def test_the_order_and_the_sign_do_not_matter(values: list[float], value: float, sigma: float) -> None:
    claim = {**RETRAIN, "sigma": sigma}
    one = verdict(claim, measured(*values), value=value).verdict
    assert one == verdict(claim, measured(*reversed(values)), value=value).verdict
    assert one == verdict(claim, measured(*(1 - v for v in values)), value=1 - value).verdict


@given(shift=st.floats(0.17, 0.5), sign=st.sampled_from([1, -1]))
def test_beyond_the_band_is_never_called_reproduced(shift: float, sign: int) -> None:
    found = verdict({**RETRAIN, "sigma": 0.1}, measured(*[0.5 + sign * shift] * 3), value=0.5)  # band 1.697 sigma
    assert found.verdict == "not-reproduced"
    assert found.why.startswith("higher" if sign > 0 else "lower")


def test_the_gravest_verdict_stands_for_all() -> None:
    claim = Claim(**WEIGHTS)
    good, bad, none = verdict(WEIGHTS, measured(0.875)), verdict(WEIGHTS, measured(0.5)), not_run(claim, "")
    assert overall([good, bad, none]) == "not-reproduced"
    assert overall([good, none]) == "not-run"
    assert overall([good]) == "reproduced"
    assert overall([]) == "not-compared"


def test_every_judgement_says_why() -> None:
    for found in (measured(0.875), measured(0.5), None):
        for claim in (WEIGHTS, RETRAIN):
            assert verdict(claim, found).why


def partial_claim(n: int | None, value: float = 0.9173, metric: str = "accuracy") -> Claim:
    return Claim(of="weights", split="test", metric=metric, value=value, decimals=4, n=n, source="x")


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.9173, "and the claim lies inside"), (0.95, "and the claim lies outside")],
)
def test_a_claim_on_other_examples_is_not_compared_but_told_where_it_lies(value: float, said: str) -> None:
    """Wilson's interval of 915 in 1,000, worked out by hand."""
    measured = Measured(split="test", metric="accuracy", n=1000, values=(0.915,), one_prediction=0.001)
    found = judge(partial_claim(10_000, value), measured)
    assert (found.verdict, found.measured) == ("not-compared", 0.915)
    z, p, n = 1.959964, 0.915, 1000
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    assert found.why == (
        f"measured on 1,000 examples, claimed on 10,000: 0.9150, 95 % interval {low:.4f} to {high:.4f}, {said}"
    )


def test_a_claim_on_the_same_examples_is_compared() -> None:
    measured = Measured(split="test", metric="accuracy", n=1000, values=(0.915,), one_prediction=0.001)
    for n in (1000, None):
        assert judge(partial_claim(n, 0.9150), measured).verdict == "reproduced"
    of_pixels = Measured(split="test", metric="mean_iou", n=7, values=(0.5,))
    told = judge(partial_claim(9, 0.5, "mean_iou"), of_pixels)
    assert (told.verdict, told.why) == ("not-compared", "measured on 7 examples, claimed on 9")
