"""The retry policy of downloads: the same for the Hub and for any other server."""

import math
import os

from tenacity import RetryCallState, wait_exponential

from zoo.errors import UsageError

DEADLINE = 60.0
"""Seconds without a new byte, including retries and their pauses, before a request is abandoned."""


def deadline() -> float:
    """Return the deadline in seconds: ZOO_DEADLINE, or `DEADLINE`; raises UsageError for an invalid ZOO_DEADLINE."""
    text = os.environ.get("ZOO_DEADLINE", str(DEADLINE))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"ZOO_DEADLINE must be a positive number of seconds, not {text!r}")
    return seconds


def is_temporary(status: int) -> bool:
    """Return whether a server that answers with this HTTP status may answer differently soon."""
    return status in (408, 429) or status >= 500


def pause(state: RetryCallState, retry_after: str) -> float:
    """Return the seconds until the next try: the server's `Retry-After` header, or 0.5, 1, 2, 4 and then always 8."""
    if retry_after.isdigit():
        return float(retry_after)
    return float(wait_exponential(multiplier=0.5, min=0.5, max=8)(state))
