"""A piece of work in progress, and how long the rest of it takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from zoo.cli.plan import duration


@dataclass(kw_only=True)
class Work:
    """A piece of work.

    Attributes:
        name: `ENTRY: WORK` for work on an entry, else the work.
        unit: `bytes`, or the plural of what is counted.
        clock: Returns the time in seconds.
    """

    name: str
    unit: str
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    total: int | None = None
    note: str = ""
    _first: tuple[int, float] | None = field(default=None, repr=False)
    """The first amount that was reported, and when: work of an earlier process says nothing about the speed now."""
    _last: float = 0.0
    """When an amount was last reported."""
    _given: float | None = None
    """The time left that was reported with the last amount."""

    def advance(self, done: int, total: int, note: str = "", seconds_left: float | None = None) -> None:
        """Note how much is done. Without a time left it is estimated by the speed since the first amount."""
        self.done, self.total, self.note, self._given, self._last = done, total, note, seconds_left, self.clock()
        self._first = self._first or (done, self._last)

    @property
    def entry(self) -> str | None:
        """The entry that is worked on, or None."""
        entry, separator, _ = self.name.partition(": ")
        return entry if separator else None

    @property
    def seconds_left(self) -> float | None:
        """The time left; None without data, and once the work takes longer than estimated."""
        if self.done == self.total:
            return 0.0
        left = self._given if self._given is not None else self._by_speed()
        rest = None if left is None else left - (self.clock() - self._last)
        return None if rest is None or rest < 0 else rest

    def _by_speed(self) -> float | None:
        if self._first is None or self.total is None or self.done <= self._first[0] or self._last <= self._first[1]:
            return None
        return (self.total - self.done) * (self._last - self._first[1]) / (self.done - self._first[0])

    def __str__(self) -> str:
        """Return the state on one line."""
        amount = f"{self.done:,}" if self.total is None else f"{self.done:,} of {self.total:,}"
        left = self.seconds_left
        of_note, of_left = f", {self.note}" if self.note else "", f", about {duration(left)} left" if left else ""
        return f"{self.name}: {amount} {self.unit}{of_note}{of_left}"
