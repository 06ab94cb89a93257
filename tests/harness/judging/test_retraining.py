"""Verdicts on retrainings: equivalence, prediction band, sigma, power, degenerate runs. Numbers worked out by hand."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging.types import Measurement
from harness.judging.verdict import judge, judge_all
from tests.helpers.claims import RETRAIN, SINGLE_SCORE, judged, measurement
from zoo.recipes.claim import Claim


@pytest.mark.parametrize(
    ("values", "changes", "verdict"),
    [
        # equivalent up to 4 sigma - 1.6449 e = 0.0210069, in the band up to 1.96 e = 0.0226316
        ((0.854, 0.854, 0.854), {}, "reproduced"),
        ((0.8535, 0.8535, 0.8535), {}, "inconclusive"),
        ((0.8524, 0.8524, 0.8524), {}, "inconclusive"),
        ((0.8523, 0.8523, 0.8523), {}, "not-reproduced"),
        ((0.8977, 0.8977, 0.8977), {}, "not-reproduced"),  # a better score is not a reproduction either
        # one seed: e = 0.0141421, equivalent up to 0.0167383, in the band up to 0.0277186
        ((0.8585,), {}, "reproduced"),
        ((0.8580,), {}, "inconclusive"),
        # against the mean of four, 2 sigma: e = 0.0076376, equivalent up to 0.0074373, in the band up to 0.0149694
        ((0.868, 0.868, 0.868), {"reference_runs": 4}, "reproduced"),
        ((0.867, 0.867, 0.867), {"reference_runs": 4}, "inconclusive"),
        ((0.860, 0.860, 0.860), {"reference_runs": 4}, "not-reproduced"),
    ],
)
def test_a_known_sigma_uses_the_normal_distribution(
    values: tuple[float, ...], changes: dict[str, Any], verdict: str
) -> None:
    assert judged(SINGLE_SCORE, measurement(*values), **changes).verdict == verdict


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        # the runs have spread 0.01 too, so sigma is 0.01 with 9 + 2 degrees of freedom and e = 0.0065828;
        # equivalent up to 0.02 - 1.7959 e = 0.0081781, in the band up to 2.2010 e = 0.0144887
        ((0.857, 0.867, 0.877), "reproduced"),
        ((0.856, 0.866, 0.876), "inconclusive"),
        ((0.851, 0.861, 0.871), "inconclusive"),
        ((0.850, 0.860, 0.870), "not-reproduced"),
    ],
)
def test_ten_reference_runs_use_students_distribution(values: tuple[float, ...], verdict: str) -> None:
    assert judged(RETRAIN, measurement(*values)).verdict == verdict


@given(shift=st.floats(0.17, 0.5), sign=st.sampled_from([1, -1]))
def test_a_mean_beyond_the_band_is_not_reproduced_and_the_reason_names_the_side(shift: float, sign: int) -> None:
    """Against ten runs with the seeds at one value: dof 11, pooled sigma 0.0905, e = 0.0595, t = 2.2010: 0.1311."""
    judgement = judged({**RETRAIN, "sigma": 0.1}, measurement(*[0.5 + sign * shift] * 3), value=0.5)
    assert judgement.verdict == "not-reproduced"
    assert f"; {'above' if sign > 0 else 'below'} the prediction band of ±1.31 sigma" in judgement.why


def test_the_reason_for_equivalence_gives_the_interval_of_the_two_one_sided_tests() -> None:
    """0.01 with 11 degrees of freedom: e = 0.0065828, t(0.95) = 1.7959, so the interval is -0.80 sigma ± 1.18 sigma."""
    assert judged(RETRAIN, measurement(0.857, 0.867, 0.877)).why == (
        "Difference -0.0080 = -0.80 sigma; equivalent within the 2-sigma margin (90 % interval -1.98 to +0.38 sigma)."
        " 3 runs against 10 reference runs; sigma 0.0100 (from the reference runs)."
    )


@given(
    values=st.lists(st.floats(0.85, 0.9), min_size=1, max_size=8), references=st.sampled_from([1, 4, 5, 10]),
    prior=st.sampled_from([None, 0.01]),
)  # fmt: skip
def test_a_mean_is_equivalent_exactly_if_the_printed_interval_lies_within_the_margin(
    values: list[float], references: int, prior: float | None
) -> None:
    judgement = judged(RETRAIN, measurement(*values), reference_runs=references, prior=prior)
    if judgement.verdict != "not-reproduced":
        found = re.search(r"(\d)-sigma margin \(90 % interval (\S+) to (\S+) sigma\)", judgement.why)
        assert found is not None
        margin, low, high = map(float, found.groups())
        excess = max(-margin - low, high - margin)  # positive if an end lies outside; printed to two decimals
        assert excess <= 0.005 if judgement.verdict == "reproduced" else excess >= -0.005


def test_sigma_comes_from_five_reference_runs_or_else_from_the_prior() -> None:
    measured = measurement(0.875, 0.875, 0.875)
    assert judged(RETRAIN, measured, reference_runs=4).sigma_from == "prior"
    assert judged(RETRAIN, measured, reference_runs=1, prior=0.02).sigma == 0.02
    assert judged(RETRAIN, measured, reference_runs=5).sigma_from == "measured"


def test_a_prior_is_pooled_with_few_reference_runs_unless_they_contradict_it() -> None:
    measured = measurement(0.875, 0.875, 0.875)
    moderated = judged(RETRAIN, measured, reference_runs=5, prior=0.02)  # sqrt((4 x 1e-4 + 8 x 4e-4) / 12)
    assert (moderated.sigma_from, moderated.sigma) == ("moderated", pytest.approx(0.0173205, abs=1e-7))
    contradicted = judged(RETRAIN, measured, reference_runs=5, prior=0.2)  # F(4, 8) of 1/400: two-sided p = 0.00007
    assert (contradicted.sigma_from, contradicted.sigma) == ("measured", pytest.approx(0.01))


def test_without_sigma_an_accuracy_is_judged_by_the_sampling_error_of_its_test_set() -> None:
    """sqrt(0.125 / 800) = 0.0125."""
    judgement = judged(RETRAIN, measurement(0.875, 0.875, 0.875), sigma=None)
    assert (judgement.verdict, judgement.sigma_from) == ("reproduced", "binomial")
    assert judgement.sigma == pytest.approx(0.0125)
    assert "sigma 0.0125 (the sampling error of the test set, a lower bound)" in judgement.why


def test_without_sigma_an_f1_score_is_not_compared() -> None:
    judgement = judged(RETRAIN, measurement(0.875, metric="f1"), sigma=None, metric="f1")
    assert (judgement.verdict, "no sigma" in judgement.why) == ("not-compared", True)


def test_the_band_widens_with_the_number_of_claims_in_the_suite() -> None:
    """z(1 - 0.05 / 82) = 3.2343: 0.0373 where 41 claims are judged together, 0.0226 where one is."""
    claim, measured = Claim(**SINGLE_SCORE), measurement(0.84, 0.84, 0.84)
    assert judge(claim, measured).verdict == "not-reproduced"
    together = judge(claim, measured, steps=41)
    assert together.verdict == "inconclusive"
    assert together.band == pytest.approx((0.875 - 0.037346, 0.875 + 0.037346), abs=1e-6)
    assert judge(claim, measurement(0.83, 0.83, 0.83), steps=41).verdict == "not-reproduced"


def test_claims_are_adjusted_over_the_whole_suite_even_if_few_were_run() -> None:
    claim, worse, good = Claim(**SINGLE_SCORE), measurement(0.84, 0.84, 0.84), measurement(0.875, 0.875, 0.875)
    alone = judge_all([(claim, worse)], family=41)[0]
    together = judge_all([(claim, worse), *[(claim, good)] * 40], family=41)[0]
    assert alone == together
    assert alone.verdict == "inconclusive"
    with_missing = judge_all([(claim, None), (claim, worse)], family=41)
    assert [judgement.verdict for judgement in with_missing] == ["not-compared", "inconclusive"]


def test_a_rejected_claim_leaves_its_share_of_the_level_to_the_next_claim() -> None:
    """Holm over two: p of 0.0304 (0.85: 2.165 e) is beyond 0.05 / 2 and within 0.05, once the other is rejected."""
    claim, near, far = Claim(**SINGLE_SCORE), measurement(0.85, 0.85, 0.85), measurement(0.5, 0.5, 0.5)
    assert [judgement.verdict for judgement in judge_all([(claim, near), (claim, far)], 2)] == ["not-reproduced"] * 2
    good = measurement(0.875, 0.875, 0.875)
    assert [judgement.verdict for judgement in judge_all([(claim, near), (claim, good)], 2)] == [
        "inconclusive",
        "reproduced",
    ]


def test_an_inconclusive_verdict_reports_its_power_and_the_seeds_that_settle_it() -> None:
    """One seed against ten: e = 0.010488, t(0.95) of 9 is 1.8331, so 2 T(1.9069 - 1.8331) - 1 = 0.0572."""
    judgement = judged(RETRAIN, measurement(0.877))
    assert judgement.verdict == "inconclusive"
    assert judgement.power == pytest.approx(0.0572, abs=1e-4)
    assert judgement.further_seeds == 1
    assert judgement.why.endswith(
        "The power of 1 run is 0.06; 1 further seed would settle the verdict if the mean stays the same."
    )


@pytest.mark.parametrize("value", [0.856, 0.870, 0.862])
def test_the_reported_number_of_further_seeds_is_the_smallest_that_settles_it(value: float) -> None:
    judgement = judged(SINGLE_SCORE, measurement(value), reference_runs=4)
    assert judgement.verdict == "inconclusive"
    assert judgement.further_seeds is not None
    one_fewer, enough = (
        judged(SINGLE_SCORE, measurement(*[value] * (1 + k)), reference_runs=4).verdict
        for k in (judgement.further_seeds - 1, judgement.further_seeds)
    )
    assert one_fewer == "inconclusive"
    assert enough != "inconclusive"


def test_a_verdict_that_no_number_of_seeds_can_settle_says_so() -> None:
    """A single score settles nothing between 4 - 1.6449 = 2.36 sigma and, with 41 claims, 3.23 sigma."""
    judgement = judge(Claim(**SINGLE_SCORE), measurement(*[0.848] * 8), steps=41)
    assert (judgement.verdict, judgement.further_seeds) == ("inconclusive", None)
    assert "no number of seeds would settle the verdict against 1 reference run." in judgement.why


def test_degenerate_runs_are_left_out_and_reported() -> None:
    judgement = judged(SINGLE_SCORE, measurement(0.875, 0.870, 0.527, baseline=0.527))
    assert (judgement.verdict, judgement.values, judgement.set_aside) == ("reproduced", (0.875, 0.870), (0.527,))
    assert judgement.measured == pytest.approx(0.8725)
    assert "1 of 3 runs is degenerate" in judgement.findings[0]
    assert "of the reference runs, 0 of 1 are (Fisher's exact test: p = 0.75)" in judgement.findings[0]


def test_more_degenerate_runs_than_the_reference_explains_are_inconclusive() -> None:
    """Two of four against none of ten: C(4, 2) / C(14, 2) = 6 / 91 = 0.066; three: 4 / 364 = 0.011."""
    good, bad = [0.875, 0.876], [0.5, 0.5, 0.5]
    assert judged(RETRAIN, measurement(*good, *bad[:2], baseline=0.5)).verdict == "reproduced"
    many = measurement(0.875, 0.876, 0.874, *bad, *bad, baseline=0.5)
    judgement = judged(RETRAIN, many)
    assert (judgement.verdict, "More runs are degenerate" in judgement.why) == ("inconclusive", True)
    assert judged(RETRAIN, many, failures=8).verdict == "reproduced"
    assert judged(RETRAIN, measurement(*bad, baseline=0.5)).verdict == "inconclusive"


def test_against_a_single_score_half_of_the_runs_degenerate_are_too_many() -> None:
    """Fisher's test rejects nothing against one run: two of three have p = 6 / 12, seven of eight 2 / 9."""
    assert judged(SINGLE_SCORE, measurement(0.875, 0.87, 0.5, baseline=0.5)).verdict == "reproduced"
    assert judged(SINGLE_SCORE, measurement(0.875, 0.5, 0.5, baseline=0.5)).verdict == "inconclusive"
    many = judged(SINGLE_SCORE, measurement(0.875, *[0.5] * 7, baseline=0.5))
    assert (many.verdict, "More runs are degenerate" in many.why) == ("inconclusive", True)


def test_a_claim_that_does_not_gate_is_only_reported() -> None:
    judgement = judged(RETRAIN, measurement(0.563, 0.563), gates=False)
    assert (judgement.verdict, judgement.measured) == ("not-compared", pytest.approx(0.563))
    assert "only reported" in judgement.why


def test_runs_that_vary_much_more_than_sigma_are_a_finding() -> None:
    """Three seeds with a spread of three sigma: chi-square of 18 on two degrees, e^-9 = 0.00012."""
    wide = judged(SINGLE_SCORE, measurement(0.845, 0.875, 0.905))
    assert wide.findings == (
        "accuracy on test: the runs' standard deviation 0.0300 is much larger than sigma 0.0100 (the declared prior)",
    )
    assert not judged(SINGLE_SCORE, measurement(0.86, 0.875, 0.89)).findings


def test_a_failed_run_is_set_aside_and_counts_as_degenerate() -> None:
    claim = Claim(of="retrain", split="test", metric="accuracy", value=0.9, sigma=0.01, reference_runs=5, source="")
    measured = Measurement(
        split="test", metric="accuracy", n=100, values=(0.9, 0.9, 0.9, 0.9, math.nan), baseline=0.1,
        rows_not_finite=(0, 0, 0, 0, 100),
    )  # fmt: skip
    judgement = judge(claim, measured)
    assert (judgement.verdict, judgement.values) == ("reproduced", (0.9,) * 4)
    assert len(judgement.set_aside) == 1
    assert "1 of 5 runs is degenerate, 1 failed" in judgement.findings[0]


def test_constant_outputs_of_a_retraining_count_as_degenerate_for_a_correlation() -> None:
    claim = Claim(of="retrain", split="test", metric="pearson", value=0.9, sigma=0.01, reference_runs=5, source="")
    values = (0.9, math.nan, 0.0, math.nan)
    judgement = judge(claim, Measurement(split="test", metric="pearson", n=100, values=values, baseline=0.0))
    assert judgement.verdict == "inconclusive"
    assert "3 of 4 runs are degenerate, 2 failed" in judgement.findings[0]
    assert "1 at or below the majority-class baseline 0.0000" in judgement.findings[0]


def test_an_undefined_metric_of_finite_outputs_is_not_compared() -> None:
    claim = Claim(of="retrain", split="test", metric="mean_iou", value=0.9, sigma=0.01, reference_runs=5, source="")
    judgement = judge(claim, Measurement(split="test", metric="mean_iou", n=100, values=(0.9, math.nan)))
    assert (judgement.verdict, judgement.failed) == ("not-compared", False)
