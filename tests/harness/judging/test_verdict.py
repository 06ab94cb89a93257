"""Which measurements can be compared with a claim, and properties of all verdicts."""

import math
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging import comparison
from harness.judging.types import Measurement, not_run, worst_verdict
from harness.judging.verdict import judge
from tests.helpers.claims import RETRAIN, WEIGHTS, judged, measurement
from zoo.recipes.claim import Claim


def test_published_weights_are_compared_even_if_the_claim_names_the_best_epoch() -> None:
    assert judged(WEIGHTS, measurement(0.875), selection="best").verdict == "reproduced"


@pytest.mark.parametrize(
    ("measured", "changes", "why"),
    [
        (None, {}, "The metric accuracy was not measured on the split 'test'."),
        (measurement(0.875, split="dev"), {}, "Measured accuracy on 'dev', but claimed accuracy on 'test'."),
        (measurement(0.875, metric="f1"), {}, "Measured f1 on 'test', but claimed accuracy on 'test'."),
        (
            measurement(0.875),
            {"of": "retrain", "sigma": 0.01, "selection": "best"},
            "Measured the last epoch, but claimed the best epoch.",
        ),
        (measurement(math.nan), {}, "The metric accuracy is not defined for these predictions."),
        (measurement(), {}, "The metric accuracy is not defined for these predictions."),
        (measurement(0.875), {"value": None}, "No public source gives a value (s)."),
        (
            measurement(0.875),
            {"of": "test-server"},
            "The labels are hidden: only the test server can score this claim.",
        ),
    ],
)
def test_incomparable_measurements_are_not_compared(
    measured: Measurement | None, changes: dict[str, Any], why: str
) -> None:
    judgement = judged(WEIGHTS, measured, **changes)
    assert (judgement.verdict, judgement.why) == ("not-compared", why)


@pytest.mark.parametrize(
    ("measured", "n", "claimed", "claimed_n", "full_n", "position"),
    [  # half widths: 1.959964 sqrt(p (1 - p) (1/m + 1/n)), or sqrt(v (1 - v) n / (n - 1) (1/m - 1/n)), and 0.00005
        (0.915, 1000, 0.9173, 10_000, None, "inside|0.8970 to 0.9330|the sampling errors of run and claim, z = -0.25"),
        (0.915, 1000, 0.9173, 10_000, 10_000, "inside|0.8988 to 0.9312|a sample of the claim's examples, z = -0.28"),
        (0.915, 1000, 0.9320, 10_000, 10_000, "outside|0.9001 to 0.9299|a sample of the claim's examples, z = -2.25"),
        (0.9, 10_000, 0.890, 1000, None, "inside|0.8804 to 0.9196|the sampling errors of run and claim, z = +1.00"),
        (0.99, 100, 1.0, 100_000, 100_000, "outside|0.9899 to 0.9900|a sample of the claim's examples"),
    ],
)
def test_a_claim_on_other_examples_is_placed_by_the_sampling_errors_of_both(
    measured: float, n: int, claimed: float, claimed_n: int, full_n: int | None, position: str
) -> None:
    where, interval, samples = position.split("|")
    found = measurement(measured, n=n, full_n=full_n)
    judgement = judged(WEIGHTS, found, value=claimed, decimals=4, n=claimed_n)
    assert (judgement.verdict, judgement.measured) == ("not-compared", measured)
    assert judgement.why == (
        f"Measured on {n:,} examples, but claimed on {claimed_n:,}. The claimed value lies {where} the 95 % interval of"
        f" the measured {measured:.4f}: {interval} ({samples})."
    )


def test_a_claim_without_n_is_about_the_whole_of_a_split_whose_size_is_known() -> None:
    judgement = judged(WEIGHTS, measurement(0.915, n=1000, full_n=10_000), value=0.9173, decimals=4)
    assert judgement.verdict == "not-compared"
    assert judgement.why.startswith("Measured on 1,000 examples of 'test', which has 10,000. The claim gives no n, so")
    assert judged(WEIGHTS, measurement(0.905, n=1000, full_n=1000), value=0.9173).verdict == "not-reproduced"
    assert "does not say on how many" not in judged(WEIGHTS, measurement(0.9, full_n=400)).why
    retrained = judged(RETRAIN, measurement(0.915, n=1000, full_n=10_000), value=0.9173)
    assert (retrained.verdict, "sampling errors of run and claim" in retrained.why) == ("not-compared", True)


def test_a_failed_claim_of_unknown_size_says_so() -> None:
    assert judged(WEIGHTS, measurement(0.8)).why.endswith(
        "The claim does not say on how many examples (n) it was measured; this run scored 400."
    )
    assert "how many examples" not in judged(WEIGHTS, measurement(0.8), n=400).why


def test_differences_have_the_decimals_of_the_claim() -> None:
    judgement = judged(WEIGHTS, measurement(0.87502, metric="f1"), value=0.87500, decimals=5, metric="f1")
    assert judgement.why.startswith("Difference +0.00002; within the tolerance")


def test_a_metric_that_is_no_share_of_the_examples_gets_no_interval() -> None:
    judgement = judged(WEIGHTS, measurement(0.5, metric="mean_iou", n=7), value=0.5, metric="mean_iou", n=9)
    assert (judgement.verdict, judgement.why) == ("not-compared", "Measured on 7 examples, but claimed on 9.")


@pytest.mark.parametrize("n", [1000, None])
def test_a_claim_on_the_same_number_of_examples_is_compared(n: int | None) -> None:
    assert judged(WEIGHTS, measurement(0.915, n=1000), value=0.915, n=n).verdict == "reproduced"


def test_an_entry_gets_the_worst_verdict_of_its_claims() -> None:
    good, bad = judged(WEIGHTS, measurement(0.875)), judged(WEIGHTS, measurement(0.5))
    missing = not_run(Claim(**WEIGHTS), "")
    assert worst_verdict([good, bad, missing]) == "not-reproduced"
    assert worst_verdict([good, missing]) == "not-run"
    assert worst_verdict([good]) == "reproduced"
    assert worst_verdict([]) == "not-compared"


@pytest.mark.parametrize("measured", [measurement(0.875), measurement(0.5), None])
@pytest.mark.parametrize("claim", [WEIGHTS, RETRAIN])
def test_every_judgement_gives_its_reason_in_a_sentence(claim: dict[str, Any], measured: Measurement | None) -> None:
    why = judged(claim, measured).why
    assert why[0].isupper()
    assert why.endswith(".")


FRACTIONS = st.floats(0, 1)
RUNS = st.lists(FRACTIONS, min_size=1, max_size=6)
SIGMAS = st.floats(0.001, 0.2)
REFERENCES = st.sampled_from([1, 2, 5, 10])


@given(value=FRACTIONS, found=FRACTIONS, decimals=st.integers(0, 6), further=st.floats(0, 0.5))
def test_a_measurement_farther_from_the_claim_is_never_judged_better(
    value: float, found: float, decimals: int, further: float
) -> None:
    away = found + math.copysign(further, found - value)
    near = judged(WEIGHTS, measurement(found), value=value, decimals=decimals)
    far = judged(WEIGHTS, measurement(away), value=value, decimals=decimals)
    assert (near.verdict, far.verdict) != ("not-reproduced", "reproduced")


@given(values=RUNS, value=FRACTIONS, sigma=SIGMAS, references=REFERENCES, order=st.randoms())
def test_verdicts_ignore_the_order_of_the_runs_and_the_sign_of_the_difference(
    values: list[float], value: float, sigma: float, references: int, order: Any
) -> None:
    claim = {**RETRAIN, "sigma": sigma, "reference_runs": references, "metric": "f1"}
    verdict = judged(claim, measurement(*values, metric="f1"), value=value).verdict
    shuffled = order.sample(values, len(values))
    assert verdict == judged(claim, measurement(*shuffled, metric="f1"), value=value).verdict
    assert verdict == judged(claim, measurement(*(1 - v for v in values), metric="f1"), value=1 - value).verdict


@given(values=RUNS, value=FRACTIONS, sigma=SIGMAS, references=REFERENCES, wider=st.floats(1, 5))
def test_a_wider_margin_never_loses_a_reproduction(
    values: list[float], value: float, sigma: float, references: int, wider: float
) -> None:
    claim = Claim(**{**RETRAIN, "sigma": sigma, "reference_runs": references, "value": value})
    measured = measurement(*values)
    if judge(claim, measured).verdict == "reproduced":
        with pytest.MonkeyPatch.context() as patch:
            for name in ("MARGIN_OF_RUNS", "MARGIN_OF_ONE"):
                patch.setattr(comparison, name, getattr(comparison, name) * wider)
            assert judge(claim, measured).verdict == "reproduced"


@given(
    values=RUNS,
    sigma=SIGMAS,
    references=REFERENCES,
    prior=st.none() | SIGMAS,
    more=st.integers(1, 6),
    hit=st.booleans(),
)
def test_more_agreeing_seeds_never_turn_reproduced_into_not_reproduced(
    values: list[float], sigma: float, references: int, prior: float | None, more: int, hit: bool
) -> None:
    """A seed agrees if it hits the claimed value, or the mean of the other seeds."""
    claim = Claim(**{**RETRAIN, "sigma": sigma, "reference_runs": references, "prior": prior, "value": 0.5})
    agreeing = 0.5 if hit else fmean(values)
    if judge(claim, measurement(*values)).verdict == "reproduced":
        assert judge(claim, measurement(*values, *[agreeing] * more)).verdict != "not-reproduced"


@given(values=st.lists(FRACTIONS, max_size=5), place=st.integers(0, 5), claim=st.sampled_from([WEIGHTS, RETRAIN]))
def test_a_missing_or_undefined_number_never_passes(values: list[float], place: int, claim: dict[str, Any]) -> None:
    with_nan = [*values[:place], math.nan, *values[place:]]
    assert judged(claim, measurement(*with_nan)).verdict == "not-compared"
    assert judged(claim, measurement(*with_nan, baseline=0.9)).verdict == "not-compared"
    assert judged(claim, None).verdict == "not-compared"
    assert judged(claim, measurement()).verdict == "not-compared"
    assert judged(claim, measurement(*values), value=None).verdict == "not-compared"
