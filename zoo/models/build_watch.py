"""Stop building an object that takes too long or fills the memory: limits on sizes do not see loops and lists."""

import signal
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, TypeVar

import torch.utils.weak

from zoo.errors import UsageError
from zoo.fetch.build_limits import limit
from zoo.process_memory import peak_memory

INTERVAL = 0.25
AGAIN = 5.0
"""Seconds until a second error, in case that a library caught the first. Meanwhile the first ends the build."""
MOST_MEMORY = 1_000_000_000
"""Bytes that building without memory may take all the same, for modules and lists."""
LOSES_ERRORS = (weakref.__file__, torch.utils.weak.__file__)
"""Modules with callbacks of weak references. Python prints an error in a callback, and goes on."""


Built = TypeVar("Built")


def watched(build: Callable[[], Built]) -> Built:
    """Call `build`, and interrupt it if it takes more than ZOO_MAX_BUILD_SECONDS or more than MOST_MEMORY.

    Python interrupts its main thread only; in another thread, and on Windows, nothing is watched. This is no context
    manager, because an error between the start of the timer and the block of a `with` statement would leave the timer
    running.

    Raises:
        UsageError: `build` was interrupted.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "setitimer") or any(signal.getitimer(signal.ITIMER_REAL)):
        return build()
    end, memory = time.monotonic() + limit("ZOO_MAX_BUILD_SECONDS"), peak_memory()

    def check(number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_filename in LOSES_ERRORS:
            return  # the next signal is soon
        if time.monotonic() > end:
            most = limit("ZOO_MAX_BUILD_SECONDS")
            interrupt(f"building takes more than {most} s; ZOO_MAX_BUILD_SECONDS raises this limit")
        if peak_memory() - memory > MOST_MEMORY:
            interrupt(f"building takes more than {MOST_MEMORY / 1e9:g} GB of memory, without any weights")

    def interrupt(problem: str) -> NoReturn:
        signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
        raise UsageError(problem)

    before = signal.signal(signal.SIGALRM, check)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
            return build()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # also if a signal interrupted the line above
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
