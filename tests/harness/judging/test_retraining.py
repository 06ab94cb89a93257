"""Verdicts on retrainings: one test for each rule, with numbers worked out by hand or from the definition of a test."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.judging.types import ONE_SCORE, Judgement, Measurement
from harness.judging.verdict import judge, judge_all
from tests.helpers.claims import RETRAIN, SINGLE_SCORE, judged, measurement
from zoo.recipes.claim import Claim
from zoo.text_tables import counted

NAN = math.nan
FIVE = tuple(0.0063245553 * number for number in (-2, -1, 0, 1, 2))
"""Five values with a standard deviation of 0.01, as that of the ten reference runs: e = 0.01 sqrt(0.3) = 0.0054772."""


def runs(mean: float, values: tuple[float, ...] = FIVE, **changes: Any) -> Measurement:
    return measurement(*(mean + value for value in values), **changes)


def verdict(claim: dict[str, Any], measured: Measurement, **changes: Any) -> str:
    return judged(claim, measured, **changes).verdict


def test_a_mean_is_equivalent_up_to_the_exact_bound_for_an_estimated_sigma() -> None:
    """The pooled sigma has 13 dof, and the margin of 2 sigma is 2 / sqrt(1/5 + 1/10) = 3.65148 errors.

    A true difference of the margin passes in 5 % times the share of the first look, 0.452832.
    """
    equivalent = judged(RETRAIN, runs(0.875)).equivalent
    assert equivalent is not None
    bound = (equivalent[1] - 0.875) / 0.0054772
    t = stats.nct(13, 3.65148)
    assert t.cdf(bound) - t.cdf(-bound) == pytest.approx(0.05 * 0.452832, abs=1e-5)
    assert verdict(RETRAIN, runs(equivalent[1] - 1e-6)) == "reproduced"
    assert verdict(RETRAIN, runs(equivalent[1] + 1e-6)) == "inconclusive"


def test_a_mean_outside_the_band_is_not_reproduced_on_either_side() -> None:
    """Welch's dof is 9e-10 / (1e-10 / 9 + 4e-10 / 4) = 8.1; t(1 - 0.05 x 0.452832 / 2) = 2.8078, times e = 0.015379."""
    judgement = judged(RETRAIN, runs(0.88))
    assert judgement.band == (pytest.approx(0.875 - 0.015379, abs=1e-5), pytest.approx(0.875 + 0.015379, abs=1e-5))
    for sign, side in ((1, "above"), (-1, "below")):
        outside = judged(RETRAIN, runs(0.875 + sign * 0.0154))
        assert outside.verdict == "not-reproduced"
        assert f"{side} the prediction band" in outside.why
        assert verdict(RETRAIN, runs(0.875 + sign * 0.0153)) == "inconclusive"


def test_runs_that_vary_more_than_the_reference_must_be_outside_welchs_band_too() -> None:
    """Own spread 0.03 over five runs against sigma 0.01: Welch's error is 0.013784 with 4.45 dof."""
    wide = tuple(3 * value for value in FIVE)
    judgement = judged(RETRAIN, runs(0.875, wide))
    assert judgement.band is not None
    half = stats.t(4.4507).ppf(1 - 0.05 * 0.452832 / 2) * math.sqrt(0.1 * 1e-4 + 0.2 * 9e-4)
    assert judgement.band[1] - 0.875 == pytest.approx(half, rel=1e-3)


def test_the_spread_of_few_runs_counts_as_at_least_eight_tenths_of_the_references_in_welchs_error() -> None:
    """Five equal runs: e^2 = 1e-4 / 10 + 0.64e-4 / 5 = 2.28e-5, dof = 5.1984e-10 / (1e-10 / 9 + 1.6384e-10 / 4)."""
    judgement = judged(RETRAIN, measurement(*[0.875] * 5))
    assert judgement.band is not None
    welch = stats.t(5.1984 / (1 / 9 + 1.6384 / 4)).ppf(1 - 0.05 * 0.452832 / 2) * math.sqrt(2.28e-5)
    pooled = stats.t(13).ppf(1 - 0.05 * 0.452832 / 2) * math.sqrt(9e-4 / 13 * 0.3)
    assert judgement.band[1] - 0.875 == pytest.approx(max(welch, pooled), rel=1e-5)


def test_fewer_than_five_runs_are_assumed_to_vary_twice_as_much() -> None:
    """Three equal runs against ten: sigma^2 = 9e-4 / 11, e^2 = sigma^2 (4/3 + 1/10)."""
    judgement = judged(RETRAIN, measurement(0.875, 0.875, 0.875))
    assert judgement.band is not None
    half = stats.t(11).ppf(1 - 0.05 * 0.452832 / 2) * math.sqrt(9e-4 / 11 * (4 / 3 + 0.1))
    assert judgement.band[1] - 0.875 == pytest.approx(half, rel=1e-5)


def test_few_reference_runs_estimate_sigma_with_their_degrees_of_freedom() -> None:
    """A mean 2.3 sigma away would be an alarm if the spread of three runs were known (z = 2.8, p = 0.005)."""
    claim = {**RETRAIN, "value": 0.62, "sigma": 0.0035, "reference_runs": 3}
    judgement = judged(claim, measurement(0.610, 0.612, 0.614, n=1000))
    assert (judgement.verdict, judgement.sigma_from) == ("inconclusive", "measured")
    assert verdict(claim, measurement(*[0.55] * 3, n=1000)) == "not-reproduced"


def test_a_lower_bound_of_sigma_never_reproduces_and_alarms_only_by_the_spread_of_the_runs() -> None:
    """sqrt(0.125 / 800) = 0.0125. Three equal runs have t(1 - 0.0113) of 2 dof = 6.5: 0.0125 sqrt(4/3) 6.5 = 0.094."""
    claim = {**RETRAIN, "sigma": None, "reference_runs": 1}
    same = judged(claim, measurement(0.875, 0.875, 0.875))
    assert (same.verdict, same.sigma_from, same.further_seeds) == ("inconclusive", "binomial", None)
    assert same.sigma == pytest.approx(0.0125)
    assert "Sigma is only a lower bound" in same.why
    assert verdict(claim, measurement(0.84, 0.842, 0.841)) == "inconclusive"
    assert verdict(claim, measurement(0.875, 0.875)) == "inconclusive"
    assert verdict(claim, measurement(0.7, 0.7, 0.7)) == "not-reproduced"
    assert verdict(claim, measurement(0.3, 0.3)) == "inconclusive"


def test_a_declared_sigma_of_an_accuracy_is_at_least_the_sampling_error_of_the_test_set() -> None:
    small = judged(SINGLE_SCORE, measurement(0.875, 0.875, 0.875), sigma=0.001)
    assert small.sigma == pytest.approx(0.0125 * math.sqrt(8 / 10))  # eight dof of the prior, two of the equal runs
    assert judged(SINGLE_SCORE, measurement(0.875, metric="f1"), sigma=0.001, metric="f1").sigma == pytest.approx(0.001)


def test_without_sigma_an_f1_score_is_not_compared() -> None:
    judgement = judged(RETRAIN, measurement(0.875, metric="f1"), sigma=None, metric="f1")
    assert (judgement.verdict, "sigma" in judgement.why) == ("not-compared", True)


def test_a_prior_is_pooled_with_reference_runs_unless_they_contradict_it() -> None:
    measured = measurement(0.875)
    assert judged(RETRAIN, measured, prior=0.012).sigma_from == "moderated"
    contradicted = judged(RETRAIN, measured, prior=0.2)
    assert (contradicted.sigma_from, contradicted.sigma) == ("measured", pytest.approx(0.01))
    assert judged(SINGLE_SCORE, measured, prior=0.03).sigma_from == "prior"


def test_a_prior_alone_counts_like_nine_runs() -> None:
    """One run against a score: the doubled error is 0.0125 sqrt(4 + 1), with eight degrees of freedom."""
    judgement = judged(SINGLE_SCORE, measurement(0.875), sigma=0.0125)
    assert judgement.band is not None
    half = stats.t(8).ppf(1 - 0.05 * 0.452832 / 2) * 0.0125 * math.sqrt(5)
    assert judgement.band[1] - 0.875 == pytest.approx(half, rel=1e-5)


def test_reproducing_a_single_score_has_a_label_of_its_own_and_says_what_it_excludes() -> None:
    single = judged(SINGLE_SCORE, runs(0.875, n=10_000))
    several = judged(RETRAIN, runs(0.875, n=10_000))
    assert (single.verdict, single.label) == ("reproduced", ONE_SCORE)
    assert (several.verdict, several.label) == ("reproduced", "reproduced")
    assert single.excluded_loss is not None and several.excluded_loss is not None
    assert single.excluded_loss > several.excluded_loss
    # t(0.95) of 13 dof = 1.7709, times e
    assert several.excluded_loss == pytest.approx(0.0097, abs=1e-5)
    assert "Losses above 0.97 points are excluded at 95 %." in several.why
    assert judged(RETRAIN, runs(0.88, n=10_000)).excluded_loss == pytest.approx(0.0047, abs=1e-5)
    assert judged(RETRAIN, runs(0.8)).excluded_loss is None


def test_the_rounding_of_a_claim_is_no_difference() -> None:
    """0.93 at two decimals is 0.925 to 0.935: 0.9349 is inside, 0.95 is above."""
    claim, tenth = {**RETRAIN, "value": 0.93, "sigma": 0.001, "decimals": 2}, tuple(value / 10 for value in FIVE)
    assert verdict(claim, runs(0.9349, tenth)) != "not-reproduced"
    assert verdict({**claim, "decimals": 6}, runs(0.9349, tenth)) == "not-reproduced"
    assert verdict(claim, runs(0.95, tenth)) == "not-reproduced"
    written = Claim(**{**claim, "decimals": None}, written={"value": "0.93"})
    assert judge(written, runs(0.9349, tenth)).verdict != "not-reproduced"


def test_five_collapsed_runs_are_not_reproduced() -> None:
    """Five of five against none of ten: Fisher's test gives 1 / C(15, 5) = 0.00033, the rate of one in ten 1e-5."""
    claim = {**RETRAIN, "value": 0.93, "sigma": 0.002}
    judgement = judged(claim, measurement(*[0.1] * 5, baseline=0.1))
    assert (judgement.verdict, judgement.set_aside) == ("not-reproduced", (0.1,) * 5)
    assert "Of 10 reference runs, 0 are degenerate (p = 0.00033 by Fisher's exact test, 1e-05 by a" in judgement.why
    assert verdict(claim, measurement(*[0.1002] * 5, baseline=0.1)) == "not-reproduced"


@pytest.mark.parametrize("references", [1, 2, 5, 10])
@pytest.mark.parametrize("steps", [1, 41, 1000])
def test_three_runs_that_all_collapse_settle_the_verdict_against_any_reference(references: int, steps: int) -> None:
    claim = Claim(**{**RETRAIN, "reference_runs": references})
    assert judge(claim, measurement(0.5, 0.5, 0.5, baseline=0.5), steps=steps).verdict == "not-reproduced"
    two = judge(claim, measurement(0.5, 0.5, baseline=0.5), steps=steps)
    assert (two.verdict, two.further_seeds) == ("inconclusive", 1)


def test_constant_outputs_and_nan_are_degenerate_runs() -> None:
    claim = {**RETRAIN, "metric": "pearson", "value": 0.9}
    assert verdict(claim, measurement(NAN, NAN, NAN, metric="pearson", baseline=0.0)) == "not-reproduced"
    constant = measurement(0.45, 0.875, 0.875, 0.875, 0.875, baseline=0.5, constant=(True, *[False] * 4))
    judgement = judged(RETRAIN, constant)
    assert (judgement.verdict, judgement.set_aside) == ("reproduced", (0.45,))
    assert "1 with the same prediction for all rows" in judgement.findings[0]
    failed = measurement(0.9, 0.9, 0.9, 0.9, NAN, baseline=0.1, rows_not_finite=(0, 0, 0, 0, 400))
    assert (judged(RETRAIN, failed, value=0.9).values, len(judged(RETRAIN, failed).set_aside)) == ((0.9,) * 4, 1)


def test_runs_that_all_collapse_need_no_sigma_to_be_judged() -> None:
    claim = {**RETRAIN, "metric": "f1", "sigma": None}
    collapsed = measurement(*[0.5] * 5, metric="f1", constant=(True,) * 5)
    assert verdict(claim, collapsed) == "not-reproduced"


def test_a_low_score_is_no_failure_where_a_trained_model_can_score_it() -> None:
    """The claim is 2 or 5 sigma above the baseline, so a loss of 4 or 5 sigma shows as such and is not set aside."""
    claim = {**RETRAIN, "value": 0.55, "sigma": 0.01}
    for baseline, mean in ((0.53, 0.51), (0.50, 0.50), (0.50, 0.505)):
        judgement = judged(claim, runs(mean, baseline=baseline))
        assert (judgement.verdict, judgement.set_aside) == ("not-reproduced", ())
    far = judged({**claim, "value": 0.62}, runs(0.51, baseline=0.53))
    assert (far.verdict, len(far.set_aside)) == ("not-reproduced", 5)


def test_a_run_is_degenerate_in_all_of_its_metrics_or_in_none() -> None:
    low = (0.5, 0.875, 0.875, 0.875, 0.875)
    assert judged(RETRAIN, measurement(*low, baseline=0.5)).set_aside == (0.5,)
    other_is_above = (True, False, False, False, False)
    assert judged(RETRAIN, measurement(*low, baseline=0.5, above_baseline=other_is_above)).set_aside == ()


def test_more_failures_than_the_reference_explains_are_not_reproduced() -> None:
    """Six of nine against none of ten: C(9, 6) / C(19, 6) = 84 / 27132 = 0.0031; against eight of eighteen: 0.25."""
    many = measurement(0.875, 0.876, 0.874, *[0.5] * 6, baseline=0.5)
    judgement = judged(RETRAIN, many)
    assert (judgement.verdict, "6 of 9 runs are degenerate, against 0 of 10 reference runs" in judgement.why) == (
        "not-reproduced",
        True,
    )
    assert judged(RETRAIN, many, failures=8).verdict == "reproduced"


def test_some_more_failures_than_the_reference_has_are_at_best_inconclusive() -> None:
    """Three of six against none of ten: C(6, 3) / C(16, 3) = 0.036, above 0.05 x 0.45 / 2."""
    judgement = judged(RETRAIN, measurement(0.875, 0.876, 0.874, *[0.5] * 3, baseline=0.5))
    assert (judgement.verdict, "More runs are degenerate" in judgement.why) == ("inconclusive", True)


def test_against_a_single_score_at_most_one_run_in_ten_may_fail() -> None:
    """Seven of eight: about 8 x 0.1^7. Fisher's test could reject nothing against one run."""
    assert verdict(SINGLE_SCORE, measurement(0.875, *[0.5] * 7, baseline=0.5)) == "not-reproduced"
    assert verdict(SINGLE_SCORE, measurement(0.875, 0.875, 0.875, 0.875, 0.5, baseline=0.5, n=10_000)) == "reproduced"


def test_a_failure_anywhere_halves_the_level_of_each_of_the_two_tests() -> None:
    plain, with_failures = judged(RETRAIN, runs(0.88)), judged(RETRAIN, runs(0.88), failures=1)
    assert plain.holm_p is not None and with_failures.holm_p is not None
    assert with_failures.holm_p == pytest.approx(min(2 * plain.holm_p, 1))
    assert plain.band is not None and with_failures.band is not None
    assert with_failures.band[1] > plain.band[1]


def test_each_look_spends_a_share_of_the_level() -> None:
    """A difference of 0.0160 is outside the band of the first look, 0.0154, and inside that of the second, 0.0167."""
    outside = [judged(RETRAIN, runs(0.859, look=look)).verdict for look in (1, 2, 3, 4)]
    assert outside == ["not-reproduced", "inconclusive", "inconclusive", "inconclusive"]
    last = judged(RETRAIN, runs(0.859, look=3))
    assert (last.further_seeds, "look 3 of at most 3" in last.why) == (None, True)
    assert judged(RETRAIN, runs(0.859, look=4)).band is None


def test_runs_in_another_precision_than_the_claim_cannot_contradict_it() -> None:
    other = judged(RETRAIN, runs(0.5, precision="bf16"))
    assert (other.verdict, "train in fp32 to settle it" in other.why) == ("inconclusive", True)
    assert verdict(RETRAIN, runs(0.5, precision="bf16"), precision="bf16") == "not-reproduced"
    assert verdict(RETRAIN, runs(0.875, precision="bf16")) == "reproduced"
    collapsed = measurement(*[0.5] * 3, constant=(True,) * 3, precision="bf16")
    assert verdict(RETRAIN, collapsed) == "inconclusive"
    assert verdict(RETRAIN, collapsed, precision="bf16") == "not-reproduced"


def test_the_band_widens_with_the_number_of_claims_in_the_family() -> None:
    claim, measured = Claim(**RETRAIN), runs(0.857)
    assert judge(claim, measured).verdict == "not-reproduced"
    together = judge(claim, measured, steps=41)
    assert together.verdict == "inconclusive"
    assert together.band is not None
    assert together.band[1] - 0.875 == pytest.approx(0.030102, abs=1e-5)  # t(8.1) at 1 - 0.05 x 0.452832 / 82


def test_claims_are_adjusted_over_the_whole_family_even_if_few_were_run() -> None:
    claim, worse, good = Claim(**RETRAIN), runs(0.857), runs(0.875)
    alone = judge_all([(claim, worse)], family=41)[0]
    assert alone == judge_all([(claim, worse), *[(claim, good)] * 40], family=41)[0]
    assert alone.verdict == "inconclusive"
    with_missing = judge_all([(claim, None), (claim, worse)], family=41)
    assert [judgement.verdict for judgement in with_missing] == ["not-compared", "inconclusive"]


def test_a_rejected_claim_leaves_its_share_of_the_level_to_the_next_claim() -> None:
    """A difference between 0.0154 and 0.0179, the band of two claims, is an alarm once the other claim is one."""
    claim, near, far, good = Claim(**RETRAIN), runs(0.8585), runs(0.5), runs(0.875)
    assert [judgement.verdict for judgement in judge_all([(claim, near), (claim, far)], 2)] == ["not-reproduced"] * 2
    both = [judgement.verdict for judgement in judge_all([(claim, near), (claim, good)], 2)]
    assert both == ["inconclusive", "reproduced"]


def test_an_inconclusive_verdict_reports_its_power_and_the_seeds_that_settle_it() -> None:
    judgement = judged(RETRAIN, measurement(0.877))
    assert judgement.verdict == "inconclusive"
    assert judgement.power is not None and 0 < judgement.power < 1
    assert judgement.further_seeds is not None
    settles = "would settle it if mean and spread stay the same."
    assert judgement.why.endswith(f"{counted(judgement.further_seeds, 'further seed')} {settles}")


def test_seeds_after_a_single_run_are_expected_to_vary_like_the_reference() -> None:
    """One run has no spread. If those after it had none either, sigma would shrink, and nothing would be equivalent."""
    claim = Claim(**{**RETRAIN, "value": 0.93, "sigma": 0.002})
    judgement = judge(claim, measurement(0.928), steps=41)
    assert judgement.verdict == "inconclusive"
    assert judgement.further_seeds is not None
    numbers = np.arange(1.0 + judgement.further_seeds)
    values = 0.928 + 0.002 * (numbers - numbers.mean()) / numbers.std(ddof=1)
    assert judge(claim, measurement(*map(float, values), look=2), steps=41).verdict != "inconclusive"


def test_a_verdict_that_no_number_of_seeds_can_settle_says_so() -> None:
    """Between what a single score shows to be small and what 41 claims let it show to be large nothing is settled."""
    judgement = judge(Claim(**SINGLE_SCORE), runs(0.85, n=10_000), steps=41)
    assert (judgement.verdict, judgement.further_seeds) == ("inconclusive", None)
    assert "no number of seeds would settle the verdict against 1 reference run." in judgement.why


def test_runs_that_are_left_out_are_named() -> None:
    judgement = judged(RETRAIN, runs(0.875, left_out=("1 run on cuda in bf16",)))
    assert judgement.findings == ("accuracy on test: 1 run on cuda in bf16 are not pooled with these, and not judged",)


def test_a_claim_that_does_not_gate_is_only_reported() -> None:
    judgement = judged(RETRAIN, measurement(0.563, 0.563), gates=False)
    assert (judgement.verdict, judgement.measured) == ("not-compared", pytest.approx(0.563))
    assert "only reported" in judgement.why


def test_runs_that_vary_much_more_than_sigma_are_a_finding() -> None:
    """Three seeds with a spread of five sigma: F(2, 9) of 25, p = 0.0002."""
    (wide,) = judged(RETRAIN, measurement(0.825, 0.875, 0.925)).findings
    assert "the runs' standard deviation 0.0500 is much larger than sigma 0.0100 (from the reference runs)" in wide
    assert not judged(RETRAIN, measurement(0.86, 0.875, 0.89)).findings


def test_an_undefined_metric_of_finite_outputs_is_not_compared() -> None:
    judgement = judged(RETRAIN, measurement(0.9, NAN, metric="mean_iou"), metric="mean_iou")
    assert (judgement.verdict, judgement.failed) == ("not-compared", False)


VALUES = st.lists(st.floats(0.3, 0.9), min_size=1, max_size=9)


@given(values=VALUES, references=st.sampled_from([1, 2, 5, 10]), steps=st.integers(1, 200), look=st.integers(1, 3))
def test_band_and_equivalence_range_agree_with_the_verdict(
    values: list[float], references: int, steps: int, look: int
) -> None:
    claim = Claim(**{**RETRAIN, "reference_runs": references, "value": 0.6})
    judgement: Judgement = judge(claim, measurement(*values, look=look), steps=steps)
    mean, tolerance = judgement.measured, 1e-7
    assert mean is not None and judgement.band is not None
    inside = judgement.equivalent is not None and abs(mean - 0.6) <= judgement.equivalent[1] - 0.6
    outside = abs(mean - 0.6) > judgement.band[1] - 0.6
    if abs(abs(mean - 0.6) - (judgement.band[1] - 0.6)) > tolerance:
        assert (judgement.verdict == "not-reproduced") == (outside and not inside)
