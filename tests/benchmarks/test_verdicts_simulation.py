"""The error rates of the verdicts on retrainings, in simulated catalogues of 41 entries."""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from benchmarks.verdicts.samples import BASELINE, FAMILY, random_of, simulate
from benchmarks.verdicts.settings import CONTESTED, SEVERAL, SINGLE_SCORE, settings_of
from benchmarks.verdicts.simulation import Rate, Rates, convergence_check, rates, rival_rates, welch, within
from harness.judging.verdict import judge
from tests.helpers.claims import RETRAIN, measurement
from zoo.recipes.claim import Claim

FULL = 10_000
SETTINGS = {
    f"{references} references, {name}": setting
    for references, settings in SEVERAL.items()
    for name, setting in settings.items()
}
RIGHT_TO_A_QUARTER = SINGLE_SCORE["prior right to a quarter"]


def assert_calibrated(found: Rates) -> None:
    """Expect that at most 5 % of correct catalogues raise an alarm and at most 1 % of 4-sigma losses pass."""
    assert found["alarm"].interval[0] <= 0.05
    assert found["passed 4"].interval[0] <= 0.01
    assert found["collapsed 1.0"].value == 1


def test_with_five_or_more_references_alarms_are_rare_and_losses_of_4_sigma_do_not_pass() -> None:
    every = {name: rates(setting, 60) for name, setting in SETTINGS.items()}
    for found in every.values():
        assert_calibrated(found)
    for name, most in (("alarm", 0.05), ("passed 4", 0.01)):
        together = Rate(count=sum(of[name].count for of in every.values()), of=60 * len(every))
        assert together.interval[1] < most


def test_against_a_single_score_both_hold_if_the_prior_is_right_to_a_quarter() -> None:
    for seeds in (3, 8):
        assert_calibrated(rates(replace(RIGHT_TO_A_QUARTER, seeds=seeds), 200))


def test_nine_of_ten_losses_of_3_sigma_are_found_with_8_seeds_against_10_references() -> None:
    assert rates(replace(SEVERAL[10]["normal"], seeds=8), 300)["found 3"].interval[1] >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [None, 3, 5, 8, 20])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_number_of_seeds_is_calibrated(name: str, seeds: int | None) -> None:
    assert_calibrated(rates(replace(SETTINGS[name], seeds=seeds), 3000))


@pytest.mark.slow
def test_more_references_and_a_single_score_are_calibrated() -> None:
    for name in SEVERAL[10]:
        assert_calibrated(rates(replace(settings_of(20)[name], seeds=5), 3000))
    for seeds in (None, 3, 5, 8, 20):
        assert_calibrated(rates(replace(RIGHT_TO_A_QUARTER, seeds=seeds), FULL))


@pytest.mark.slow
def test_power_with_8_seeds_against_10_references_is_at_least_90_percent() -> None:
    for name in ("normal", "prior right to a quarter"):
        assert rates(replace(SEVERAL[10][name], seeds=8), FULL)["found 3"].value >= 0.9


@pytest.mark.parametrize("references", [1, 2, 5, 10])
def test_three_or_more_runs_that_all_collapse_are_not_reproduced(references: int) -> None:
    for k in (3, 5, 8):
        claim = Claim(**{**RETRAIN, "value": 0.93, "sigma": 0.002, "reference_runs": references})
        assert judge(claim, measurement(*[0.1] * k, baseline=0.1), steps=FAMILY).verdict == "not-reproduced"


def test_no_other_rule_has_as_few_false_alarms_and_lets_as_few_losses_pass() -> None:
    rules = [(welch, True), (convergence_check, False), (within(0.2), False), (within(1.0), False)]
    for name in CONTESTED:
        setting = SEVERAL[5][name]
        for rule, adjusts in rules:
            found = rival_rates(setting, 200, rule, adjusts=adjusts)
            assert found["alarm"].value > 0.5 or found["passed 4"].value > 0.1


def test_the_p_value_of_welch_is_that_of_scipy() -> None:
    sample = simulate(replace(SEVERAL[5]["own spread twice"], seeds=6), 3, random_of(SEVERAL[5]["normal"]))
    expected = stats.ttest_ind(sample.claims.runs, sample.reference, axis=-1, equal_var=False).pvalue
    np.testing.assert_allclose(welch(sample), expected, rtol=1e-9)


def test_drawn_runs_have_the_spread_and_the_failures_of_their_setting() -> None:
    for name, setting in SEVERAL[10].items():
        sample = simulate(replace(setting, seeds=8, looks=""), 200, random_of(setting))
        runs = np.where(sample.claims.runs <= BASELINE, np.nan, sample.claims.runs) / sample.points[:, None]
        assert np.isclose(np.nanstd(runs, axis=(0, 2)).mean(), setting.own, rtol=0.06), name
        assert math.isclose(np.isnan(runs).mean(), setting.collapse, abs_tol=0.01)
        assert (sample.claims.references + sample.claims.reference_failures == 10).all()


def test_intervals_of_rates_are_exact() -> None:
    assert Rate(count=0, of=100).interval == pytest.approx((0, 1 - 0.025 ** (1 / 100)))
    assert Rate(count=100, of=100).interval == pytest.approx((0.025 ** (1 / 100), 1))
    normal = 0.5 + NormalDist().inv_cdf(0.975) * 0.5 / math.sqrt(40_000)
    assert Rate(count=20_000, of=40_000).interval[1] == pytest.approx(normal, abs=1e-4)
    assert str(Rate(count=12, of=1000)) == "1.2 [0.6, 2.1]"


@pytest.mark.slow
def test_docs_hold_the_numbers_that_the_benchmark_prints() -> None:
    report = pytest.importorskip("benchmarks.verdicts.report", reason="the extra `benchmark` is not installed")
    row = report.several_references_row("own spread twice", report.rates_of(FULL))
    page = (report.DOCS / "verdicts.md").read_text(encoding="utf-8").splitlines()
    assert row in [[cell.strip() for cell in line.strip("|").split("|")] for line in page]
