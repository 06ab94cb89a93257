"""The benchmark of the audit, in a small version, and the page that it writes."""

import pytest

from benchmarks.audit.cards import FULL
from benchmarks.audit.faults import FAULTS
from benchmarks.audit.report import BEGIN, END, PAGE, chances, false_alarms, false_alarms_of_two_splits, find_faults


def test_no_honest_card_raises_an_alarm() -> None:
    verdicts = false_alarms(150, seed=1)
    assert not verdicts["inconsistent"] and not verdicts["impossible"]
    assert verdicts["consistent"] > 20


def test_no_honest_card_with_scores_of_two_splits_raises_an_alarm() -> None:
    assert false_alarms_of_two_splits(100, seed=1) == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found_where_arithmetic_can(fault: str) -> None:
    every = [find_faults(fault, decimals, 3, seed=1) for decimals in (4, FULL)]
    assert sum(each.found for each in every) == sum(each.findable for each in every)


def test_the_page_has_the_table_of_chances() -> None:
    page = PAGE.read_text(encoding="utf-8")
    generated = page.partition(BEGIN)[2].partition(END)[0]
    assert chances() in generated
    assert "Of 500 honest cards, 0 are" in generated
