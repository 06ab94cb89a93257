"""The count rule: a share of n rows is k/n for an integer k.

`counts_of` finds the counts behind a share that was rounded or cut off, and `find_counts` also those behind a share
that was rounded twice or computed in single precision. Passing by luck: of all values with unit u between 0 and 1,
about `(n + 1) u` are such a share. If several numbers of rows may be meant, their chances add up.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from zoo.claims.printed import Printed


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The counts that a printed share can stand for."""

    n: int
    counts: range
    is_loose: bool
    """Whether the value cannot be rounded, but may be cut off."""
    how: str
    """How it is printed then."""
    chance: float

    def __str__(self) -> str:
        first, last = self.counts[0], self.counts[-1]
        counts = f"{first:,}" if first == last else f"{first:,} to {last:,}"
        return f"{counts} of {self.n:,}{f' {self.how}' if self.is_loose else ''}"


def counts_of(value: float, decimals: int, n: int, *, truncated: bool = False) -> range:
    """Return the counts k of n rows whose share k/n is printed as this value.

    Args:
        value: The printed share.
        decimals: The number of its decimals.
        n: The number of rows.
        truncated: Whether further decimals were cut off, not rounded.
    """
    share = Printed(value=value, unit=10.0**-decimals)
    return counts_between(share.interval_if_cut_off() if truncated else share.interval(), n)


def can_be_count(value: float, decimals: int, n: int) -> bool:
    """Return whether a share of n rows is rounded or cut off to this value."""
    return bool(counts_of(value, decimals, n) or counts_of(value, decimals, n, truncated=True))


def find_counts(share: Printed, n: int) -> Fit | None:
    """Return the counts of n rows whose share is printed as this value; None if there are none."""
    for is_loose in (False, True):
        if counts := counts_between(share.interval(loose=is_loose), n):
            chance = chance_of_count(share, n, loose=is_loose)
            return Fit(n=n, counts=counts, is_loose=is_loose, how=share.loosely, chance=chance)
    return None


def counts_between(interval: tuple[float, float], n: int) -> range:
    """Return the counts k of n rows whose share k/n lies in an interval."""
    low, high = interval
    return range(max(math.ceil(low * n), 0), min(math.floor(high * n), n) + 1)


def chance_of_count(share: Printed, n: int, *, loose: bool = False) -> float:
    """Return the share of values, printed with as many decimals, that are a share of n rows."""
    return min((n + 1) * share.width(loose=loose), 1.0)


def total_chance(fits: Iterable[Fit]) -> float:
    """Return the chance that a value passes one of several rules by luck."""
    return min(sum(fit.chance for fit in fits), 1.0)


def nearest_counts(share: Printed, n: int) -> str:
    """Return the nearest shares of n rows, as text."""
    below, places = math.floor(share.value * n), min(math.ceil(-math.log10(max(share.unit, 1e-14))) + 2, 16)
    return " and ".join(f"{k:,}/{n:,} = {k / n:.{places}f}" for k in (below, below + 1) if 0 <= k <= n)
