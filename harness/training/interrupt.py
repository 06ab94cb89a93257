"""Ctrl-C in a training: the step is finished and a state saved; a second one ends it at once."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self


class Interrupt:
    """While a `with` lasts in the main thread, whether the user has asked to stop; says so, once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.asked = say, False
        self._before: Any = None

    def __enter__(self) -> Self:
        # A command in the background does not heed it.
        heeded = signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None)
        if heeded and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, self._before)
        self.say("stopping after this step, with a state saved; Ctrl-C again stops at once")
