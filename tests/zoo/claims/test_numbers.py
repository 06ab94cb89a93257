"""Scores are read as authors write them."""

from decimal import Decimal

import pytest

from zoo.claims.numbers import WrittenNumber, read_number


@pytest.mark.parametrize(
    ("text", "value", "decimals"),
    [
        ("0.8578431372549019", "0.8578431372549019", 16),
        ("85.70", "85.70", 2),
        ("86", "86", 0),
        (".5", ".5", 1),
        ("-0.05", "-0.05", 2),
        (" ~0.9 ", "0.9", 1),
        ("85,78", "85.78", 2),
        ("8.578431372549019e-02", "0.08578431372549019", 17),
        ("1e2", "100", 0),
    ],
)
def test_a_number_keeps_its_decimals(text: str, value: str, decimals: int) -> None:
    assert read_number(text) == WrittenNumber(value=Decimal(value), decimals=decimals)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("85.8 %", WrittenNumber(value=Decimal("85.8"), decimals=1, is_percent=True)),
        ("20.0 ± 1.2", WrittenNumber(value=Decimal("20.0"), decimals=1, spread=Decimal("1.2"))),
        ("20.0+/-1.2%", WrittenNumber(value=Decimal("20.0"), decimals=1, is_percent=True, spread=Decimal("1.2"))),
    ],
)
def test_percent_signs_and_spreads_are_read(text: str, number: WrittenNumber) -> None:
    assert read_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "n/a", "0.8 (dev)", "1.2.3", "0x1f", "1e400", "9" * 80, "± 3", "1_0"]
)
def test_a_text_that_is_no_finite_number_is_none(text: str) -> None:
    assert read_number(text) is None
