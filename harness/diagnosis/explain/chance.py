"""How many of the changes that were tried would hit an invented claim by chance. This module does not import torch."""

from collections.abc import Iterable, Sequence
from math import ceil, floor

from harness.diagnosis.explain.explanation import Attempt, ClaimResult
from harness.judging.types import ROUNDING
from zoo.recipes.claim import SHARES

UNLIKELY = 0.1
"""A change is unlikely to hit the claims by chance if fewer changes than this would."""


def chance_hits(claims: Iterable[ClaimResult], attempt: Attempt, scored: Sequence[Attempt]) -> float | None:
    """Return the expected number of changes that would come as near to invented claims as an attempt does to the real.

    Args:
        claims: The claims that failed.
        attempt: An attempt that reproduces them.
        scored: All attempts that were scored, with this one.

    Returns:
        The smallest number of any claim, because all claims must be hit; None if no claim is a share of the rows.
    """
    hits = (_hits(claim, attempt, scored) for claim in claims)
    return min((number for number in hits if number is not None), default=None)


def _hits(claim: ClaimResult, attempt: Attempt, scored: Sequence[Attempt]) -> float | None:
    """Return the number for one claim.

    The invented claim is any count that is nearer to the claimed one than half the way to the count of the run: scores
    of changes cluster, for example at that of guessing, so those around the claim tell how likely a hit is there.
    """
    value, run, rows, claimed = attempt.values.get(claim.name), claim.as_run, claim.rows, claim.claimed
    if claim.metric not in SHARES or claim.fits_no_rows or value is None or run is None or claimed is None or not rows:
        return None
    miss = rows * abs(value - claimed)
    radius = max(rows * abs(run - claimed) / 2, miss) + ROUNDING
    low, high = max(ceil(rows * claimed - radius), 0), min(floor(rows * claimed + radius), rows)
    scores = [score for other in scored if (score := other.values.get(claim.name)) is not None]
    near = sum(rows * abs(score - claimed) <= radius for score in scores)
    of_digits = 1.0 if claim.decimals is None else rows * 10.0**-claim.decimals
    as_near = max(of_digits, 1.0) if attempt.exact else 1 + 2 * round(miss)
    return near * min(as_near / max(high - low + 1, 1), 1.0)
