"""Find what explains a share that no count of the declared rows has: a data loader, or another number of rows."""

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from harness.auditing.types import EVIDENCE
from zoo.claims.counts import chance_of_count, counts_between
from zoo.claims.printed import Printed

BATCHES = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""The batch sizes that are tried for averages over batches, and for rows that a loader repeats or drops."""
MOST_ROWS = 50_000
"""The largest number of rows that is looked for where the data are unknown."""


def find_loader_effect(share: Printed, n: int) -> tuple[str, float] | None:
    """Return what a data loader may have done to the share, and the chance that a random value can be explained so.

    Loaders repeat rows to fill the last batch, or drop it; and some programs average the shares of batches, so that the
    rows of a small last batch count more.

    Returns:
        None if nothing explains the value, or there are fewer rows than in any batch.
    """
    if n < BATCHES[0]:
        return None
    effects = [*_other_sizes(n), *((f"the mean over batches of {size}", size) for size in BATCHES if size < n)]
    found, chance = "", 0.0
    for text, size in effects:
        is_mean = text.startswith("the mean")
        chance += _chance_of_mean(share, n, size) if is_mean else chance_of_count(share, size)
        if not found and (_is_mean(share, n, size) if is_mean else bool(counts_between(share.interval(), size))):
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
