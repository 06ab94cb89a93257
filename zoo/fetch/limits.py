"""Limits that keep a server or a file from filling the disk or the memory; each can be set in the environment."""

import math
import os

from zoo.errors import SourceError, UsageError

DEADLINE = 60.0
"""Seconds without a new byte, including retries and their pauses, before a request is abandoned."""
CONNECT_DEADLINE = 10.0
"""Seconds to retry to connect to a server that has not answered yet; at most the deadline."""
MAX_DOWNLOAD = 100.0
"""The most gigabytes of one download."""
MIN_RATE = 1000.0
"""Bytes per second that a download must reach on average, once the deadline has passed."""
MAX_RATIO = 100.0
"""The most times that a compressed file may grow when it is unpacked."""
MAX_VALUES = 2_000_000
"""The most values of a parquet file, besides those that its size accounts for."""
MAX_DECODED = 20.0
"""The most gigabytes of decoded images that the models of a command share."""
MAX_PREDICTIONS = 1.0
"""The most gigabytes of the arrays in a file of predictions."""


def deadline() -> float:
    """Return the deadline in seconds: ZOO_DEADLINE, or `DEADLINE`. Raises UsageError for an invalid value."""
    return _positive("ZOO_DEADLINE", DEADLINE, "seconds")


def connect_deadline(deadline: float) -> float:
    """Return the seconds after which to give up a server that nobody could connect to, with this deadline."""
    return min(deadline, CONNECT_DEADLINE)


def max_ratio() -> float:
    """Return how many times a compressed file may grow: ZOO_MAX_RATIO, or `MAX_RATIO`. Raises UsageError."""
    return _positive("ZOO_MAX_RATIO", MAX_RATIO, "times")


def max_values() -> float:
    """Return how many values a small parquet file may have: ZOO_MAX_VALUES, or `MAX_VALUES`. Raises UsageError."""
    return _positive("ZOO_MAX_VALUES", MAX_VALUES, "values")


def min_rate() -> float:
    """Return the slowest rate in bytes per second: ZOO_MIN_RATE, or `MIN_RATE`. Raises UsageError."""
    return _positive("ZOO_MIN_RATE", MIN_RATE, "bytes per second")


def max_decoded() -> float:
    """Return the most bytes of decoded images that models share: ZOO_MAX_DECODED gigabytes. Raises UsageError."""
    return _positive("ZOO_MAX_DECODED", MAX_DECODED, "gigabytes") * 1e9


def check_arrays_size(size: int, what: str) -> None:
    """Raise UsageError for a file of predictions with more bytes than ZOO_MAX_PREDICTIONS gigabytes.

    Args:
        size: The bytes of the unpacked arrays.
        what: The file, for the message.
    """
    most = _positive("ZOO_MAX_PREDICTIONS", MAX_PREDICTIONS, "gigabytes")
    if size > most * 1e9:
        raise UsageError(f"{what}: {size / 1e9:.1f} GB of arrays; set ZOO_MAX_PREDICTIONS to allow more gigabytes")


def check_length(length: int, what: str) -> None:
    """Raise SourceError for a download with more bytes than ZOO_MAX_DOWNLOAD, or `MAX_DOWNLOAD`, gigabytes.

    Args:
        length: The bytes that were announced or that have come so far.
        what: What is downloaded, for the message.
    """
    most = _positive("ZOO_MAX_DOWNLOAD", MAX_DOWNLOAD, "gigabytes")
    if length > most * 1e9:
        raise SourceError(f"{what}: longer than {most:g} GB; set ZOO_MAX_DOWNLOAD to allow more gigabytes")


def time_left(started: float, last_byte: float, length: int, now: float, limit: float) -> float:
    """Return the seconds until a download has to be abandoned because no byte comes, or too few.

    Args:
        started: When the download began.
        last_byte: When the last new byte came.
        length: The number of bytes so far.
        now: The present time.
        limit: The deadline in seconds.
    """
    return limit - max(now - last_byte, now - started - length / min_rate())


def _positive(name: str, default: float, unit: str) -> float:
    text = os.environ.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UsageError(f"{name} must be a positive number of {unit}, not {text!r}")
    return value
