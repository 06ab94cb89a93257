"""The formulas of the verdicts, compared with numbers worked out by hand or read from statistical tables."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import hypergeom

from harness.judging import statistics
from harness.judging.statistics import KNOWN
from zoo.recipes.claim import sampling_sigma


def test_standard_error_of_a_difference_of_means() -> None:
    assert statistics.standard_error(0.01, 3, 10) == pytest.approx(0.01 * math.sqrt(13 / 30))


def test_p_values_and_quantiles_match_the_tables() -> None:
    assert statistics.p_value(1.96, 1.0, KNOWN) == pytest.approx(0.05, abs=1e-5)
    assert statistics.p_value(-2.776, 1.0, 4.0) == pytest.approx(0.05, abs=1e-4)
    assert statistics.quantile(0.95, KNOWN) == pytest.approx(1.644854, abs=1e-6)
    assert statistics.quantile(0.95, 9.0) == pytest.approx(1.833, abs=1e-3)


@pytest.mark.parametrize(("margin", "dof"), [(3.651, 13.0), (1.0, 4.0), (3.4, 8.0), (3.5, KNOWN)])
@pytest.mark.parametrize("level", [0.05, 0.0226])
def test_a_difference_of_the_margin_passes_the_equivalence_test_exactly_at_its_level(
    margin: float, dof: float, level: float
) -> None:
    """By definition: the probability of |t| below the bound, for a noncentral t with the margin as its mean."""
    bound = float(statistics.equivalence_bound(margin, dof, level))
    t = stats.norm(margin) if dof == KNOWN else stats.nct(dof, margin)
    assert t.cdf(bound) - t.cdf(-bound) == pytest.approx(level, abs=1e-6)


def test_a_known_sigma_gives_the_bound_of_two_one_sided_tests() -> None:
    """4 - 1.644854, up to the tail beyond the other margin."""
    assert float(statistics.equivalence_bound(4.0, KNOWN, 0.05)) == pytest.approx(2.355146, abs=1e-5)
    assert float(statistics.equivalence_power(2.355146, KNOWN)) == pytest.approx(1 - 2 * 0.009258, abs=1e-5)


def test_welch_matches_a_worked_example() -> None:
    """Spreads of 1 and 3 over 10 and 5 runs: e^2 = 0.1 + 1.8, dof = 3.61 / (0.01 / 9 + 3.24 / 4) = 4.4507."""
    error, dof = statistics.welch((1.0, 9), (3.0, 4), 10, 5)
    assert (error, dof) == (pytest.approx(math.sqrt(1.9)), pytest.approx(4.4507, abs=1e-4))


def test_looks_spend_the_whole_level_and_no_more() -> None:
    """ln(1 + (e - 1) t) at t = 1/3: ln 1.572761 = 0.452832."""
    shares = [statistics.look_share(look) for look in range(1, 8)]
    assert shares[0] == pytest.approx(0.452832, abs=1e-5)
    assert sum(shares) == pytest.approx(1)
    assert shares[statistics.LOOKS :] == [0, 0, 0, 0]


def test_failures_against_a_rate_have_the_binomial_tail() -> None:
    assert statistics.binomial_p_value(3, 3, 0.1) == pytest.approx(0.001)
    assert statistics.binomial_p_value(1, 3, 0.1) == pytest.approx(1 - 0.9**3)
    assert statistics.binomial_p_value(0, 3, 0.1) == 1


def test_standard_deviations_are_pooled_by_their_degrees_of_freedom() -> None:
    sigma, dof = statistics.pool([(1.0, 4), (2.0, 8)])
    assert (sigma, dof) == (pytest.approx(math.sqrt(3)), 12)


def test_f_test_compares_a_prior_with_a_measured_standard_deviation() -> None:
    """F of equal spreads with twice three degrees has the median 1, and 9.277 as its 95 % quantile."""
    assert statistics.prior_p_value(1.0, 3, 1.0) == pytest.approx(1)
    assert statistics.prior_p_value(0.001, 4, 0.02) < 0.001
    assert statistics.prior_p_value(0.01 * math.sqrt(9.277), 3, 0.01) == pytest.approx(2 * 0.05, abs=1e-3)


def test_the_least_sigma_is_the_sampling_error_of_the_test_set() -> None:
    assert sampling_sigma(0.9, 500) == pytest.approx(0.01)


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
    assert statistics.fisher_p_value(3, 3, 0, 10) == pytest.approx(1 / 286)
    assert statistics.fisher_p_value(2, 8, 0, 1) == pytest.approx(28 / 36)
    assert statistics.fisher_p_value(0, 8, 3, 9) == pytest.approx(1)


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
