"""Whether a training has time for another step before it has to save a checkpoint and end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Deadline:
    """The time when a training has to have ended, and the slowest step and the slowest checkpoint so far.

    A step is the time from one decision to the next, with all that happens between: the scores of an epoch too.
    """

    def __init__(self, at: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Start to measure.

        Args:
            at: The time on the clock; None for no deadline.
            clock: Returns the seconds by a clock that never jumps.
        """
        self.at, self._clock = at, clock
        self._slowest_step = self._slowest_save = 0.0
        self._has_saved = False
        self._last: float | None = None

    def step_ended(self) -> None:
        """Note that a step has ended, and that the next one starts."""
        now = self._clock()
        if self._last is not None:
            self._slowest_step = max(self._slowest_step, now - self._last)
        self._last = now

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure the time of a checkpoint, which is not a part of a step."""
        started = self._clock()
        yield
        seconds = self._clock() - started
        self._slowest_save, self._has_saved = max(self._slowest_save, seconds), True
        if self._last is not None:
            self._last += seconds

    @property
    def is_near(self) -> bool:
        """Whether the next step, the end of this one and a checkpoint do not fit into the time that is left."""
        if self.at is None:
            return False
        return self._clock() + 2 * self._slowest_step + 1.5 * self._slowest_save >= self.at

    @property
    def needs_measured_save(self) -> bool:
        """Whether a checkpoint should be saved now, because nobody knows yet how long that takes."""
        return self.at is not None and not self._has_saved
