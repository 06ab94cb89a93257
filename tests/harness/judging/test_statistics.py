"""The formulas of the verdicts, compared with numbers worked out by hand or read from statistical tables."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from harness.judging import statistics
from harness.judging.statistics import KNOWN


def test_standard_error_of_a_difference_of_means() -> None:
    assert statistics.standard_error(0.01, 3, 10) == pytest.approx(0.01 * math.sqrt(13 / 30))


def test_p_values_and_quantiles_match_the_tables() -> None:
    assert statistics.p_value(1.96, 1.0, KNOWN) == pytest.approx(0.05, abs=1e-5)
    assert statistics.p_value(-2.776, 1.0, 4.0) == pytest.approx(0.05, abs=1e-4)
    assert statistics.quantile(0.95, KNOWN) == pytest.approx(1.644854, abs=1e-6)
    assert statistics.quantile(0.95, 9.0) == pytest.approx(1.833, abs=1e-3)


def test_band_is_wider_for_forty_one_claims_than_for_one() -> None:
    assert statistics.band_half_width(0.5, KNOWN) == pytest.approx(0.979982, abs=1e-6)
    assert statistics.band_half_width(1.0, KNOWN, 41) == pytest.approx(3.2343, abs=1e-4)


def test_equivalence_half_width_of_three_seeds_against_a_single_score() -> None:
    """4 - 1.644854 x sqrt(4 / 3)."""
    assert statistics.equivalence_half_width(4.0, math.sqrt(4 / 3), KNOWN) == pytest.approx(2.100686, abs=1e-6)


def test_power_of_three_seeds_against_ten_reference_runs() -> None:
    """2 Phi(2 / 0.658281 - 1.644854) - 1 = 2 Phi(1.393360) - 1 = 2 x 0.918245 - 1."""
    assert statistics.power(2.0, math.sqrt(13 / 30), KNOWN) == pytest.approx(0.836490, abs=1e-6)
    assert statistics.power(1.0, 1.0, KNOWN) == 0


def test_a_single_published_score_caps_the_power() -> None:
    """Phi(4 / sqrt(1 + 1/k) - 3.2343): 59 % with three seeds, 78 % with any number."""
    assert statistics.detection_power(4.0, math.sqrt(4 / 3), KNOWN, 41) == pytest.approx(0.591, abs=1e-3)
    assert statistics.detection_power(4.0, 1.0, KNOWN, 41) == pytest.approx(0.778, abs=1e-3)


def test_standard_deviations_are_pooled_by_their_degrees_of_freedom() -> None:
    sigma, dof = statistics.pool([(1.0, 4), (2.0, 8)])
    assert (sigma, dof) == (pytest.approx(math.sqrt(3)), 12)


def test_f_test_compares_a_prior_with_a_measured_standard_deviation() -> None:
    """F of equal spreads with four and eight degrees: P(F <= 1) = I(1/3; 2, 4) = 131 / 243."""
    assert statistics.prior_p_value(1.0, 4, 1.0) == pytest.approx(2 * (1 - 131 / 243))
    assert statistics.prior_p_value(0.001, 4, 0.02) < 0.001
    assert statistics.prior_p_value(0.03, 4, 0.01) == pytest.approx(2 * 0.0046, abs=1e-3)


def test_binomial_sigma_is_the_sampling_error_of_the_test_set() -> None:
    assert statistics.binomial_sigma(0.9, 500) == pytest.approx(0.01)


def test_holm_steps_stop_at_the_first_hypothesis_that_is_not_rejected() -> None:
    """0.05 / 4 = 0.0125, then / 3 = 0.0167, then / 2 = 0.025: the third p-value and all after it are not rejected."""
    assert statistics.holm_steps([0.03, 0.001, 0.016, 0.9], 4) == [2, 4, 3, 2]
    assert statistics.holm_steps([0.03, 0.001, 0.016, 0.9], 41) == [40, 41, 40, 40]
    assert statistics.holm_steps([0.2, None, math.nan], 3) == [3, 3, 3]
    assert statistics.holm_steps([0.01, 0.04], 2) == [2, 1]
    assert statistics.holm_steps([], 1) == []


P = st.floats(0, 1)


@given(p=st.lists(P | st.none(), max_size=8), family=st.integers(1, 50))
def test_holm_rejects_exactly_what_its_definition_rejects(p: list[float | None], family: int) -> None:
    steps = statistics.holm_steps(p, family)
    size = max(family, sum(value is not None for value in p))
    known = sorted(value for value in p if value is not None)
    expected = 0
    while expected < len(known) and known[expected] <= statistics.ALPHA / (size - expected):
        expected += 1
    rejected = [
        value for value, step in zip(p, steps, strict=True) if value is not None and value <= statistics.ALPHA / step
    ]
    assert sorted(rejected) == known[:expected]
    assert all(1 <= step <= size for step in steps)


def test_failure_p_value_matches_fishers_exact_test() -> None:
    """Three of three against none of ten: 1 / C(13, 3); two of eight against none of one: C(8, 2) / C(9, 2)."""
    assert statistics.failure_p_value(3, 3, 0, 10) == pytest.approx(1 / 286)
    assert statistics.failure_p_value(2, 8, 0, 1) == pytest.approx(28 / 36)
    assert statistics.failure_p_value(0, 8, 3, 9) == pytest.approx(1)


def test_spread_p_value_matches_its_closed_forms() -> None:
    """With two degrees of freedom both tests have closed forms: e^(-x/2), and (1 + 2 f / d)^(-d/2)."""
    assert statistics.spread_p_value(3.0, 3, 1.0, KNOWN) == pytest.approx(math.exp(-9))
    assert statistics.spread_p_value(3.0, 3, 1.0, 4) == pytest.approx(5.5**-2)


@pytest.mark.parametrize(("part", "right", "n"), [(4, 7, 10), (1000, 9173, 10_000), (71, 40, 72)])
def test_the_error_of_a_part_is_that_of_the_hypergeometric_distribution(part: int, right: int, n: int) -> None:
    error = statistics.shares_error(0.5, part, right / n, n, is_part=True)
    assert error == pytest.approx(hypergeom.std(n, right, part) / part, rel=1e-9)
    assert statistics.shares_error(1.0, n, 1.0, n + 1, is_part=True) == 0


def test_the_error_of_two_samples_matches_a_worked_example() -> None:
    """15 of 100 and 30 of 100: z = -0.15 / sqrt(0.225 x 0.775 x 0.02) = -2.540."""
    error = statistics.shares_error(0.15, 100, 0.30, 100, is_part=False)
    assert (0.15 - 0.30) / error == pytest.approx(-2.540, abs=1e-3)


@given(share=st.floats(0, 1), m=st.integers(1, 999), n=st.integers(1000, 10**6))
def test_a_part_has_a_smaller_error_than_separate_examples(share: float, m: int, n: int) -> None:
    part, separate = (statistics.shares_error(share, m, share, n, is_part=is_part) for is_part in (True, False))
    assert part <= separate


def test_seeds_needed_gives_up_after_999_further_runs() -> None:
    assert statistics.seeds_needed(3, lambda k: k >= 5) == 2
    assert statistics.seeds_needed(1500, lambda k: k >= 1505) == 5
    assert statistics.seeds_needed(3, lambda k: False) is None
