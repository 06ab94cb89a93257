"""The retry policy of downloads: the same for the Hub and for any other server."""

from tenacity import RetryCallState, wait_exponential


def is_temporary(status: int) -> bool:
    """Return whether a server that answers with this HTTP status may answer differently soon."""
    return status in (408, 429) or status >= 500


def pause(state: RetryCallState, retry_after: str) -> float:
    """Return the seconds until the next try: the server's `Retry-After` header, or 0.5, 1, 2, 4 and then always 8."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    return float(wait_exponential(multiplier=0.5, min=0.5, max=8)(state))
