"""Shares of examples as counts: k of n."""

import math

ROUNDING = 1e-9
"""Added to bounds, so that floating-point rounding excludes no count."""


def counts_of(value: float, decimals: int, n: int, *, truncated: bool = False) -> range:
    """Return the counts k of n examples whose share k/n is printed as this value.

    Args:
        value: The printed share.
        decimals: The number of its decimals.
        n: The number of examples.
        truncated: Whether further decimals were cut off, not rounded.
    """
    unit = 10.0**-decimals
    below = ROUNDING + min(ROUNDING, unit / 1000)  # a share of exactly value + unit is not truncated to the value
    low, high = (value, value + unit - below) if truncated else (value - unit / 2, value + unit / 2)
    return range(max(math.ceil((low - ROUNDING) * n), 0), min(math.floor((high + ROUNDING) * n), n) + 1)
