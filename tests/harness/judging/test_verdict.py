"""Verdicts: like with like, the tolerance of weights, the band of re-trainings."""

import math
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging import retraining
from harness.judging.types import Judgement, Measured, not_run, overall
from harness.judging.verdict import judge, judge_all
from zoo.recipes.schema import Claim

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


def test_a_retraining_without_sigma_cannot_be_judged_but_for_a_share() -> None:
    """An accuracy has the lower bound of its test set: sqrt(0.125 / 800) = 0.0125."""
    f1 = verdict(RETRAIN, measured(0.875, metric="f1"), sigma=None, metric="f1")
    assert (f1.verdict, "no sigma" in f1.why) == ("not-compared", True)
    share = verdict(RETRAIN, measured(0.875, 0.875, 0.875), sigma=None)
    assert (share.verdict, share.sigma_from, share.sigma) == ("reproduced", "binomial", pytest.approx(0.0125))


def test_sigma_is_measured_from_five_runs_on_else_a_prior() -> None:
    found = measured(0.875, 0.875, 0.875)
    assert verdict(RETRAIN, found, reference_runs=4).sigma_from == "prior"
    assert verdict(RETRAIN, found, reference_runs=1, prior=0.02).sigma == 0.02
    assert verdict(RETRAIN, found, reference_runs=5).sigma_from == "measured"
    steadied = verdict(RETRAIN, found, reference_runs=5, prior=0.02)  # sqrt((4 x 1e-4 + 8 x 4e-4) / 12)
    assert (steadied.sigma_from, steadied.sigma) == ("steadied", pytest.approx(0.0173205, abs=1e-7))
    contradicted = verdict(RETRAIN, found, reference_runs=5, prior=0.2)  # F(4, 8) of 1/400: two-sided p = 0.00007
    assert (contradicted.sigma_from, contradicted.sigma) == ("measured", pytest.approx(0.01))


PRIOR = {**RETRAIN, "reference_runs": 1}
"""A single score with a known sigma: e = 0.01 sqrt(1/k + 1), of three seeds 0.011547."""


@pytest.mark.parametrize(
    ("values", "changed", "expected"),
    [
        # equivalent up to 4 sigma - 1.6449 e = 0.0210069, in the band up to 1.96 e = 0.0226316
        ((0.854, 0.854, 0.854), {}, "reproduced"),
        ((0.8535, 0.8535, 0.8535), {}, "inconclusive"),
        ((0.8524, 0.8524, 0.8524), {}, "inconclusive"),
        ((0.8523, 0.8523, 0.8523), {}, "not-reproduced"),
        ((0.8977, 0.8977, 0.8977), {}, "not-reproduced"),  # better is no reproduction either
        # one seed: e = 0.0141421, equivalent up to 0.0167383, in the band up to 0.0277186
        ((0.8585,), {}, "reproduced"),
        ((0.8580,), {}, "inconclusive"),
        # against the mean of four, 2 sigma: e = 0.0076376, equivalent up to 0.0074373, in the band up to 0.0149694
        ((0.868, 0.868, 0.868), {"reference_runs": 4}, "reproduced"),
        ((0.867, 0.867, 0.867), {"reference_runs": 4}, "inconclusive"),
        ((0.860, 0.860, 0.860), {"reference_runs": 4}, "not-reproduced"),
    ],
)
def test_retrainings_with_a_known_sigma(values: tuple[float, ...], changed: dict[str, Any], expected: str) -> None:
    assert verdict(PRIOR, measured(*values), **changed).verdict == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # spread 0.01 too, so sigma is 0.01 with 9 + 2 degrees of freedom and e = 0.0065828;
        # equivalent up to 0.02 - 1.7959 e = 0.0081781, in the band up to 2.2010 e = 0.0144887
        ((0.857, 0.867, 0.877), "reproduced"),
        ((0.856, 0.866, 0.876), "inconclusive"),
        ((0.851, 0.861, 0.871), "inconclusive"),
        ((0.850, 0.860, 0.870), "not-reproduced"),
    ],
)
def test_retrainings_against_ten_runs_take_students_t(values: tuple[float, ...], expected: str) -> None:
    assert verdict(RETRAIN, measured(*values)).verdict == expected


def test_the_band_widens_with_the_claims_of_the_suite() -> None:
    """z(1 - 0.05 / 82) = 3.2343: 0.0373 where 41 claims are judged together, 0.0226 where one is."""
    claim, found = Claim(**PRIOR), measured(0.84, 0.84, 0.84)
    assert judge(claim, found).verdict == "not-reproduced"
    crowd = judge(claim, found, steps=41)
    assert (crowd.verdict, crowd.band) == (
        "inconclusive",
        pytest.approx((0.875 - 0.037346, 0.875 + 0.037346), abs=1e-6),
    )
    assert judge(claim, measured(0.83, 0.83, 0.83), steps=41).verdict == "not-reproduced"


def test_claims_are_adjusted_over_the_suite_however_few_of_them_were_run() -> None:
    claim, worse, good = Claim(**PRIOR), measured(0.84, 0.84, 0.84), measured(0.875, 0.875, 0.875)
    alone = judge_all([(claim, worse)], family=41)[0]
    together = judge_all([(claim, worse), *[(claim, good)] * 40], family=41)[0]
    assert alone == together
    assert alone.verdict == "inconclusive"
    missing = judge_all([(claim, None), (claim, worse)], family=41)
    assert [one.verdict for one in missing] == ["not-compared", "inconclusive"]


def test_one_that_is_rejected_leaves_its_part_to_the_next() -> None:
    """Holm over two: p of 0.0304 (0.85: 2.165 e) is beyond 0.05 / 2 and within 0.05, once the other is rejected."""
    claim, near, far = Claim(**PRIOR), measured(0.85, 0.85, 0.85), measured(0.5, 0.5, 0.5)
    assert [one.verdict for one in judge_all([(claim, near), (claim, far)], 2)] == ["not-reproduced"] * 2
    good = measured(0.875, 0.875, 0.875)
    assert [one.verdict for one in judge_all([(claim, near), (claim, good)], 2)] == ["inconclusive", "reproduced"]


def test_an_inconclusive_verdict_says_its_power_and_how_many_seeds_settle_it() -> None:
    """One seed against ten: e = 0.010488, t(0.95) of 9 is 1.8331, so 2 T(1.9069 - 1.8331) - 1 = 0.0572."""
    one = verdict(RETRAIN, measured(0.877))
    assert one.verdict == "inconclusive"
    assert one.power == pytest.approx(0.0572, abs=1e-4)
    assert one.further_seeds == 1
    assert "power 0.06, 1 further seed settles it if the mean stays" in one.why


@pytest.mark.parametrize("value", [0.856, 0.870, 0.862])
def test_so_many_further_seeds_with_the_same_mean_do_settle_it(value: float) -> None:
    found = verdict(PRIOR, measured(value), reference_runs=4)
    assert found.verdict == "inconclusive"
    assert found.further_seeds is not None
    settled = [
        verdict(PRIOR, measured(*[value] * (1 + k)), reference_runs=4).verdict
        for k in (found.further_seeds - 1, found.further_seeds)
    ]
    assert (settled[0], settled[1] != "inconclusive") == ("inconclusive", True)


def test_where_no_number_of_seeds_settles_it_that_is_said() -> None:
    """Between 4 - 1.6449 = 2.36 sigma and, of 41 claims, 3.23 sigma a single score never tells."""
    found = judge(Claim(**PRIOR), measured(*[0.848] * 8), steps=41)
    assert (found.verdict, found.further_seeds) == ("inconclusive", None)
    assert "no number of seeds settles it against 1 run" in found.why


def test_degenerate_runs_are_set_aside_and_told() -> None:
    found = verdict(PRIOR, measured(0.875, 0.870, 0.527, baseline=0.527))
    assert (found.verdict, found.values, found.set_aside) == ("reproduced", (0.875, 0.870), (0.527,))
    assert found.measured == pytest.approx(0.8725)
    assert "1 of 3 runs degenerate" in found.findings[0]
    assert "0 of 1 of the reference (Fisher's p = 0.75)" in found.findings[0]


def test_more_degenerate_runs_than_the_reference_explains_are_no_reproduction() -> None:
    """Two of four against none of ten: C(4, 2) / C(14, 2) = 6 / 91 = 0.066; three: 4 / 364 = 0.011."""
    good, bad = [0.875, 0.876], [0.5, 0.5, 0.5]
    assert verdict(RETRAIN, measured(*good, *bad[:2], baseline=0.5)).verdict == "reproduced"
    many = verdict(RETRAIN, measured(0.875, 0.876, 0.874, *bad, *bad, baseline=0.5))
    assert (many.verdict, "more runs fail" in many.why) == ("inconclusive", True)
    told = verdict(RETRAIN, measured(0.875, 0.876, 0.874, *bad, *bad, baseline=0.5), failures=8)
    assert told.verdict == "reproduced"
    assert verdict(RETRAIN, measured(*bad, baseline=0.5)).verdict == "inconclusive"


def test_of_a_single_score_half_the_runs_degenerate_are_too_many() -> None:
    """Fisher's test can say nothing against one run: two of three have p = 6 / 12, seven of eight 2 / 9."""
    assert verdict(PRIOR, measured(0.875, 0.87, 0.5, baseline=0.5)).verdict == "reproduced"
    assert verdict(PRIOR, measured(0.875, 0.5, 0.5, baseline=0.5)).verdict == "inconclusive"
    many = verdict(PRIOR, measured(0.875, *[0.5] * 7, baseline=0.5))
    assert (many.verdict, "more runs fail" in many.why) == ("inconclusive", True)


def test_a_claim_that_is_the_baseline_is_only_reported() -> None:
    found = verdict(RETRAIN, measured(0.563, 0.563), gates=False)
    assert (found.verdict, found.measured) == ("not-compared", pytest.approx(0.563))
    assert "only reported" in found.why


def test_seeds_that_vary_much_more_than_sigma_are_a_finding() -> None:
    """Three seeds with a spread of three sigma: chi-square of 18 on two degrees, e^-9 = 0.00012."""
    wide = verdict(PRIOR, measured(0.845, 0.875, 0.905))
    assert "the seeds vary by 0.0300, much more than sigma" in wide.findings[0]
    assert not verdict(PRIOR, measured(0.86, 0.875, 0.89)).findings


@dataclass(frozen=True)
class SomeFlips:
    n: int = 400
    flipped: int = 3
    gained: int = 1
    lost: int = 2
    p: float = 1.0
    beyond: int = 0

    def unexplained(self, noise: float) -> int:
        return self.beyond if noise < 0.165 else 0


@pytest.mark.parametrize(
    ("flips", "changed", "expected"),
    [
        (SomeFlips(flipped=0), {}, "reproduced"),
        (SomeFlips(), {}, "reproduced"),  # all within the noise
        (SomeFlips(beyond=1), {}, "not-reproduced"),  # fp32 against fp32: none may
        (SomeFlips(beyond=2), {"recorded_in": "fp16"}, "reproduced"),  # max(2, 0.5 % of 400)
        (SomeFlips(beyond=3), {"recorded_in": "fp16"}, "not-reproduced"),
        (SomeFlips(n=4000, flipped=30, beyond=20), {"recorded_in": "fp16"}, "reproduced"),  # 0.5 % of 4,000
        (SomeFlips(n=4000, flipped=30, beyond=21), {"recorded_in": "fp16"}, "not-reproduced"),
        (SomeFlips(beyond=9), {"recorded_in": "bf16"}, "reproduced"),  # the noise of bf16 explains them
    ],
)
def test_predictions_of_the_same_weights_must_be_the_recorded_ones(
    flips: Any, changed: dict[str, Any], expected: str
) -> None:
    found = verdict(WEIGHTS, measured(0.875, flips=flips, **changed))
    assert found.verdict == expected
    assert "predictions" in found.why


FRACTIONS = st.floats(0, 1)


@given(value=FRACTIONS, found=FRACTIONS, decimals=st.integers(0, 6), further=st.floats(0, 0.5))
def test_a_measurement_farther_off_is_never_judged_better(
    value: float, found: float, decimals: int, further: float
) -> None:
    away = found + math.copysign(further, found - value)
    near = verdict(WEIGHTS, measured(found), value=value, decimals=decimals)
    far = verdict(WEIGHTS, measured(away), value=value, decimals=decimals)
    assert (near.verdict, far.verdict) != ("not-reproduced", "reproduced")


RUNS = st.lists(FRACTIONS, min_size=1, max_size=6)
SIGMAS = st.floats(0.001, 0.2)
REFERENCES = st.sampled_from([1, 2, 5, 10])


@given(values=RUNS, value=FRACTIONS, sigma=SIGMAS, references=REFERENCES, order=st.randoms())
def test_the_order_and_the_sign_do_not_matter(
    values: list[float], value: float, sigma: float, references: int, order: Any
) -> None:
    claim = {**RETRAIN, "sigma": sigma, "reference_runs": references}
    one = verdict(claim, measured(*values), value=value).verdict
    shuffled = order.sample(values, len(values))
    assert one == verdict(claim, measured(*shuffled), value=value).verdict
    assert one == verdict(claim, measured(*(1 - v for v in values)), value=1 - value).verdict


@given(values=RUNS, value=FRACTIONS, sigma=SIGMAS, references=REFERENCES, wider=st.floats(1, 5))
def test_a_wider_margin_never_takes_a_reproduction_away(
    values: list[float], value: float, sigma: float, references: int, wider: float
) -> None:
    claim, found = Claim(**{**RETRAIN, "sigma": sigma, "reference_runs": references, "value": value}), measured(*values)
    if judge(claim, found).verdict == "reproduced":
        with pytest.MonkeyPatch.context() as patch:
            for name in ("MARGIN_OF_RUNS", "MARGIN_OF_ONE"):
                patch.setattr(retraining, name, getattr(retraining, name) * wider)
            assert judge(claim, found).verdict == "reproduced"


@given(
    values=RUNS, sigma=SIGMAS, references=REFERENCES, prior=st.none() | SIGMAS, more=st.integers(1, 6), at=st.booleans()
)
def test_more_agreeing_seeds_never_turn_a_reproduction_around(
    values: list[float], sigma: float, references: int, prior: float | None, more: int, at: bool
) -> None:
    """Seeds agree that hit the claim, or the mean of those that are there."""
    claim = Claim(**{**RETRAIN, "sigma": sigma, "reference_runs": references, "prior": prior, "value": 0.5})
    agreeing = 0.5 if at else fmean(values)
    if judge(claim, measured(*values)).verdict == "reproduced":
        assert judge(claim, measured(*values, *[agreeing] * more)).verdict != "not-reproduced"


@given(values=st.lists(FRACTIONS, max_size=5), place=st.integers(0, 5), claim=st.sampled_from([WEIGHTS, RETRAIN]))
def test_a_missing_or_undefined_number_never_reads_as_a_pass(
    values: list[float], place: int, claim: dict[str, Any]
) -> None:
    with_nan = [*values[:place], math.nan, *values[place:]]
    assert verdict(claim, measured(*with_nan)).verdict == "not-compared"
    assert verdict(claim, measured(*with_nan, baseline=0.9)).verdict == "not-compared"
    assert verdict(claim, None).verdict == "not-compared"
    assert verdict(claim, measured()).verdict == "not-compared"
    assert verdict(claim, measured(*values), value=None).verdict == "not-compared"


@given(shift=st.floats(0.17, 0.5), sign=st.sampled_from([1, -1]))
def test_beyond_the_band_is_never_called_reproduced(shift: float, sign: int) -> None:
    """Against ten runs with the seeds at one value: dof 11, pooled sigma 0.0905, e = 0.0595, t = 2.2010: 0.1311."""
    found = verdict({**RETRAIN, "sigma": 0.1}, measured(*[0.5 + sign * shift] * 3), value=0.5)
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
