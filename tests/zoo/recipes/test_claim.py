"""Scores are printed with the decimals that were published."""

import pytest

from zoo.recipes.claim import Claim


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(0.98, 2, "0.98"), (0.9, 2, "0.90"), (0.8725490, 7, "0.8725490"), (None, None, "-")],
)
def test_a_claim_is_printed_with_its_own_decimals(value: float | None, decimals: int | None, text: str) -> None:
    claim = Claim(of="weights", split="s", metric="m", source="x", value=value, decimals=decimals)
    assert claim.printed_value == text
