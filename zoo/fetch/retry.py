"""How long a download is waited for, and what is tried again: the same for the Hub and for any other server."""

import math
import os

from tenacity import RetryCallState, wait_exponential

from zoo.errors import UsageError

DEADLINE = 60.0
"""Seconds without a new byte, retries and their pauses included, until a request is given up; ZOO_DEADLINE."""


def deadline() -> float:
    """The deadline in seconds; raises UsageError where ZOO_DEADLINE is none."""
    given = os.environ.get("ZOO_DEADLINE", str(DEADLINE))
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"ZOO_DEADLINE is a number of seconds, not {given!r}")
    return seconds


def status_may_pass(status: int) -> bool:
    """Whether a server that answers so may answer otherwise soon."""
    return status in (408, 429) or status >= 500


def pause(state: RetryCallState, retry_after: str) -> float:
    """Seconds until the next try: what the server asks for by its header, else one, two, four, eight."""
    if retry_after.isdigit():
        return float(retry_after)
    return float(wait_exponential(multiplier=0.5, min=0.5, max=8)(state))
