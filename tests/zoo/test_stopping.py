"""Time limits and SIGTERM become exceptions of the main thread."""

import os
import signal
import threading
import time

import pytest

from zoo.errors import Terminated, TimeLimitError, UsageError
from zoo.recipes.options import TrainingOptions
from zoo.stopping import deadline_of, parse_time_limit, terminable, time_limited


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", 7200), ("90min", 5400), ("90m", 5400), ("5400", 5400), ("5400s", 5400), ("1.5 h", 5400), ("1d", 86400),
        ("01:30:00", 5400), ("1-00:00:01", 86401), ("100:00:00", 360000),
    ],
)  # fmt: skip
def test_a_time_limit_can_be_written_in_several_ways(text: str, seconds: float) -> None:
    assert parse_time_limit(text) == seconds
    assert TrainingOptions(time_limit=text).time_limit == text


@pytest.mark.parametrize("text", ["", "0", "2 hours", "-1h", "1:00", "01:60:00", "nan", "inf", "2h30"])
def test_another_text_is_no_time_limit(text: str) -> None:
    with pytest.raises(UsageError, match=f"--time-limit {text}: write a time such as 2h, 90min, 20s"):
        TrainingOptions(time_limit=text)


def test_a_command_ends_some_seconds_before_its_limit() -> None:
    assert deadline_of(None, 5.0) is None
    assert deadline_of("2h", 5.0) == 5 + 7200 - 10
    assert deadline_of("20s", 5.0) == 5 + 20 - 2


def test_the_deadline_ends_the_block_with_an_error_and_leaves_no_timer() -> None:
    before = signal.getsignal(signal.SIGALRM)
    started = time.monotonic()
    with (
        pytest.raises(TimeLimitError, match="stopped before the time limit of 1s") as raised,
        time_limited("1s", started),
    ):
        time.sleep(60)
    assert raised.value.exit_code == 75
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_block_that_ends_in_time_returns() -> None:
    with time_limited("2h", time.monotonic() + 7200):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_in_another_thread_there_is_no_timer() -> None:
    ended = []

    def work() -> None:
        with time_limited("1s", time.monotonic()), terminable():
            ended.append(signal.getitimer(signal.ITIMER_REAL))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [(0, 0)]


def test_sigterm_is_raised_once() -> None:
    cleaned = []
    with pytest.raises(Terminated), terminable():  # noqa: PT012  what is tested is the cleanup
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
