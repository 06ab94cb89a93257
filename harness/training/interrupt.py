"""Ctrl-C and SIGTERM during training: the current step is finished and a checkpoint saved before the process ends."""

import signal
import threading
from types import FrameType
from typing import Any, Self

from zoo.errors import Terminated
from zoo.progress import Report


class Interrupt:
    """Record, inside a `with` block of the main thread, that SIGINT or SIGTERM arrived, and report it.

    A second Ctrl-C ends the process at once. A second SIGTERM changes nothing: a launcher may send it both to the
    process and to its group.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has arrived."""
        return self.signal is not None

    @property
    def error(self) -> KeyboardInterrupt:
        """The exception to raise once the checkpoint is saved: `Terminated` after SIGTERM, else KeyboardInterrupt."""
        return Terminated() if self.signal == signal.SIGTERM else KeyboardInterrupt()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # a shell starts background commands with SIGINT ignored
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _record(self, number: int, frame: FrameType | None) -> None:
        if number == self.signal:
            return
        self.signal = number
        again = ""
        if number == signal.SIGINT:
            signal.signal(number, self._previous[number])
            again = "; press Ctrl-C again to stop at once"
        self.report(f"stopping after this step, once a checkpoint is saved{again}")
