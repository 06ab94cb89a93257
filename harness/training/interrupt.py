"""Ctrl-C, SIGTERM and a time limit during training: the step is finished and a checkpoint saved before the end."""

import signal
import threading
from types import FrameType
from typing import Any, Self

from harness.training.deadline import Deadline
from zoo.errors import Terminated, TimeIsUp
from zoo.progress import Report

ALARM: int = getattr(signal, "SIGALRM", -1)
"""The signal at a deadline; Windows has none, and no signal has this number."""


class Interrupt:
    """Record, inside a `with` block of the main thread, that a signal arrived, and report SIGINT and SIGTERM.

    A second Ctrl-C ends the process at once. A second SIGTERM changes nothing: a launcher may send it both to the
    process and to its group. ALARM is sent at the deadline, see `zoo.stopping`.
    """

    def __init__(self, report: Report, deadline: Deadline | None = None) -> None:
        self.report, self.deadline = report, deadline or Deadline(None)
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has arrived, or no time is left for another step."""
        return self.signal is not None or self.deadline.is_near

    @property
    def error(self) -> KeyboardInterrupt:
        """The exception to raise once the checkpoint is saved: one that tells what ended the training."""
        if self.signal == signal.SIGTERM:
            return Terminated()
        is_late = self.signal == ALARM or (self.signal is None and self.deadline.at is not None)
        return TimeIsUp() if is_late else KeyboardInterrupt()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            has_alarm = self.deadline.at is not None and ALARM > 0
            for number in (signal.SIGINT, signal.SIGTERM, *([ALARM] if has_alarm else [])):
                # a shell starts background commands with SIGINT ignored
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _record(self, number: int, frame: FrameType | None) -> None:
        if number == self.signal or (number == ALARM and self.signal is not None):
            return
        self.signal = number
        if number == ALARM:
            return
        again = ""
        if number == signal.SIGINT:
            signal.signal(number, self._previous[number])
            again = "; press Ctrl-C again to stop at once"
        self.report(f"stopping after this step, once a checkpoint is saved{again}")
