"""The rates of the table, with 95 % upper bounds for the pairs that have one."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal

import numpy as np
from numpy.typing import NDArray
from scipy import special

NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, kw_only=True)
class Rate:
    """The number of pairs that differ, and the one-sided 95 % upper bound of their share; None without a bound."""

    count: int
    at_most: float | None

    def __str__(self) -> str:
        """Return the count and the bound, which is rounded up and stays on one line of a table."""
        bound = "" if self.at_most is None else f" ({f'at most {percent_above(self.at_most)}'.replace(' ', NO_BREAK)})"
        return f"{self.count:,}{bound}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Pairs of a kind, and how many of them differ by each criterion; None where it does not apply."""

    pairs_of: str
    pairs: int
    verdicts: Rate | None = None
    """Pairs with different verdicts."""
    jobs: Rate | None = None
    """Pairs with different exit codes."""
    diffs: Rate | None = None
    """Pairs in which `zoo diff` reports a difference."""


def rate(count: int, pairs: int) -> Rate:
    """Return the rate of independent pairs."""
    return Rate(count=count, at_most=upper_bound(count, pairs))


def rate_of_groups(differ: NDArray[np.bool_]) -> Rate:
    """Return the rate of pairs `(G, N)`: G groups of N pairs. The pairs of a group depend on each other.

    The bound is that of the effective number of pairs, `p (1 - p) / v` with the variance v of p between the groups:
    Korn and Graubard, Survey Methodology 1998. It is at most the number of pairs, and G if no two groups differ.
    """
    groups, pairs, share = len(differ), differ.size, float(differ.mean())
    variance = float(differ.mean(axis=1).var(ddof=1)) / groups
    effective = min(share * (1 - share) / variance, pairs) if variance else groups
    return Rate(count=int(differ.sum()), at_most=upper_bound(share * effective, effective))


def upper_bound(count: float, of: float) -> float:
    """Return the one-sided 95 % upper bound of a rate (Clopper and Pearson, Biometrika 1934)."""
    return float(special.betaincinv(count + 1, of - count, 0.95)) if count < of else 1.0


def percent_above(share: float) -> str:
    """Return a share in percent with two digits, rounded up so that the text is no smaller than the share."""
    return f"{Context(prec=2, rounding=ROUND_CEILING).create_decimal(100 * Decimal(share)):f} %"
