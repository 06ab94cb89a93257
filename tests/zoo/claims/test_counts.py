"""The counts of right predictions that a printed share stands for."""

import pytest

from zoo.claims.counts import counts_of


@pytest.mark.parametrize(
    ("value", "decimals", "n", "rounded", "truncated"),
    [
        (0.875, 3, 1000, [875], [875]),
        (0.499, 3, 1000, [499], [499]),  # 500 of 1,000 is 0.500, however it is printed
        (0.499, 3, 2, [], []),
        (0.87, 2, 400, [346, 347, 348, 349, 350], [348, 349, 350, 351]),
        (1.0, 2, 100, [100], [100]),
        (0.8725490, 7, 408, [356], [356]),
        (0.8840381, 7, 733, [], [648]),  # 0.88403820 with eight decimals
    ],
)
def test_a_printed_share_stands_for_the_counts_that_round_or_truncate_to_it(
    value: float, decimals: int, n: int, rounded: list[int], truncated: list[int]
) -> None:
    assert list(counts_of(value, decimals, n)) == rounded
    assert list(counts_of(value, decimals, n, truncated=True)) == truncated
