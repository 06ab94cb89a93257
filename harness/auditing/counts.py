"""The count rule: a share of n rows is k/n for an integer k.

Passing by luck: of all values with unit u between 0 and 1, about `(n + 1) u` are such a share. If several numbers of
rows may be meant, their chances add up.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from harness.auditing.types import EVIDENCE
from zoo.claims.printed import Printed

BATCHES = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""The batch sizes that are tried for averages over batches, and for rows that a loader repeats or drops."""
MOST_ROWS = 50_000
"""The largest number of rows that is looked for where the data are unknown."""


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


def find_counts(share: Printed, n: int) -> Fit | None:
    """Return the counts of n rows whose share is printed as this value; None if there are none."""
    for is_loose in (False, True):
        low, high = share.interval(loose=is_loose)
        counts = range(max(math.ceil(low * n), 0), min(math.floor(high * n), n) + 1)
        if counts:
            chance = chance_of_count(share, n, loose=is_loose)
            return Fit(n=n, counts=counts, is_loose=is_loose, how=share.loosely, chance=chance)
    return None


def chance_of_count(share: Printed, n: int, *, loose: bool = False) -> float:
    """Return the share of values, printed with as many decimals, that are a share of n rows."""
    return min((n + 1) * share.width(loose=loose), 1.0)


def nearest_counts(share: Printed, n: int) -> str:
    """Return the nearest shares of n rows, as text."""
    below, places = math.floor(share.value * n), min(math.ceil(-math.log10(max(share.unit, 1e-14))) + 2, 16)
    return " and ".join(f"{k:,}/{n:,} = {k / n:.{places}f}" for k in (below, below + 1) if 0 <= k <= n)


def find_loader_effect(share: Printed, n: int) -> tuple[str, float] | None:
    """Return what a data loader may have done to the share, and the chance that a random value can be explained so.

    Loaders repeat rows to fill the last batch, or drop it; and some programs average the shares of batches, so that the
    rows of a small last batch count more.

    Returns:
        None if nothing explains the value.
    """
    effects = [*_other_sizes(n), *((f"the mean over batches of {size}", size) for size in BATCHES if size < n)]
    found, chance = "", 0.0
    for text, size in effects:
        is_mean = text.startswith("the mean")
        chance += _chance_of_mean(share, n, size) if is_mean else chance_of_count(share, size)
        if not found and (_is_mean(share, n, size) if is_mean else _is_count(share, size)):
            found = text
    return (found, min(chance, 1.0)) if found else None


def find_rows(share: Printed) -> Fraction | None:
    """Return the share in lowest terms, if its digits are enough to know the number of rows up to a multiple."""
    low, high = share.interval()
    if low <= 0:
        return None
    simplest = _simplest(Fraction(low), Fraction(high))
    likely = simplest.denominator**2 * share.width()
    return simplest if simplest.denominator <= MOST_ROWS and likely < EVIDENCE / 5 and share.unit < 1e-6 else None


def _other_sizes(n: int) -> Iterator[tuple[str, int]]:
    sizes = set[int]()
    for batch in BATCHES:
        padded, dropped = -(-n // batch) * batch, n // batch * batch
        for size, what in ((padded, "repeated to fill"), (dropped, "dropped from")):
            if size not in (0, n) and size not in sizes and abs(size - n) < batch:
                sizes.add(size)
                yield f"a share of {size:,} rows: rows {what} batches of {batch}", size


def _is_count(share: Printed, n: int) -> bool:
    low, high = share.interval()
    return math.floor(high * n) >= math.ceil(low * n)


def _is_mean(share: Printed, n: int, size: int) -> bool:
    """Return whether the value is the mean of the shares of all batches, if the last batch is smaller."""
    full, rest = divmod(n, size)
    if rest == 0:
        return False
    low, high = share.interval()
    last = np.arange(rest + 1) / rest
    lowest, highest = (np.asarray((end * (full + 1) - last) * size) for end in (low, high))
    first = np.ceil(lowest)
    return bool(np.any((first <= highest) & (first >= 0) & (first <= full * size)))


def _chance_of_mean(share: Printed, n: int, size: int) -> float:
    full, rest = divmod(n, size)
    return min((full * size + 1) * (rest + 1) * share.width(), 1.0) if rest else 0.0


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """Return the fraction with the smallest denominator in an interval of positive numbers."""
    floor = math.floor(low)
    if floor == low:
        return Fraction(floor)
    if floor < math.floor(high):
        return Fraction(floor + 1)
    return floor + 1 / _simplest(1 / (high - floor), 1 / (low - floor))


def total_chance(fits: Iterable[Fit]) -> float:
    """Return the chance that a value passes one of several rules by luck."""
    return min(sum(fit.chance for fit in fits), 1.0)
