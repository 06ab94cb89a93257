"""The search for the number of further seeds."""

from harness.judging import statistics


def test_the_least_number_of_further_runs_is_found_in_few_trials() -> None:
    tried: list[int] = []

    def at_least(least: int, k: int) -> bool:
        tried.append(k)
        return k >= least

    for least in (*range(4, 40), 500, 1001, 1002):
        tried.clear()
        assert statistics.seeds_needed(3, lambda k, least=least: at_least(least, k)) == least - 3
        assert len(tried) < 30
    assert statistics.seeds_needed(3, lambda k: at_least(1003, k)) is None


def test_a_number_that_is_enough_only_by_the_rule_for_few_runs_is_found() -> None:
    assert statistics.seeds_needed(3, lambda k: k == 4 or k > 30) == 1
