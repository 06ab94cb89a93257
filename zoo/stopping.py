"""Stop a command in order: SIGTERM, and the end of its time, become exceptions of the main thread.

So locks are released and temporary files deleted. A training handles both itself, and saves a checkpoint first.
"""

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from zoo.errors import Terminated, TimeIsUp, TimeLimitError, UsageError

STARTED = time.monotonic()
"""When this process started: this module is among the first that a command imports."""
RESERVE = 10.0
"""The seconds before a time limit at which a command ends: it has to delete locks and to leave Python."""
RESERVED_SHARE = 0.1
"""The most of a time limit that is reserved."""
UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def parse_time_limit(text: str) -> float:
    """Return the seconds of `2h`, `90min`, `5400` or `HH:MM:SS`. Raise UsageError for any other text."""
    if number := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|)", text.strip()):
        seconds = float(number[1]) * UNITS[number[2]]
    elif clock := re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)", text.strip()):
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        seconds = float(days * 86400 + hours * 3600 + minutes * 60 + rest)
    else:
        seconds = 0.0
    if not seconds:
        raise UsageError(f"--time-limit {text}: write a time such as 2h, 90min, 20s, 5400 (seconds) or HH:MM:SS")
    return seconds


def deadline_of(limit: str | None, started: float) -> float | None:
    """Return when a command has to end, on the clock of `time.monotonic`; None without a limit.

    Args:
        limit: The text of the time limit.
        started: When the command started, on the same clock.
    """
    if limit is None:
        return None
    seconds = parse_time_limit(limit)
    return started + seconds - min(RESERVE, RESERVED_SHARE * seconds)


@contextmanager
def time_limited(limit: str | None, deadline: float | None) -> Iterator[None]:
    """Raise TimeIsUp in the block at the deadline, and TimeLimitError after the block.

    In another thread than the main one, and on Windows, only trainings notice the deadline.

    Args:
        limit: The text of the time limit, for the message.
        deadline: The result of `deadline_of`; None for no limit.
    """
    if deadline is None:
        yield
        return
    with _alarm(deadline):
        try:
            yield
        except TimeIsUp:
            raise TimeLimitError(
                f"stopped before the time limit of {limit}; run the same command again to go on from here"
            ) from None


@contextmanager
def _alarm(deadline: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _end_time)
    signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 1e-3))  # no jump of the clock changes it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _end_time(number: int, frame: FrameType | None) -> None:
    raise TimeIsUp


@contextmanager
def terminable() -> Iterator[None]:
    """Raise Terminated in the block when SIGTERM arrives, once; a launcher may send it several times."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise Terminated
