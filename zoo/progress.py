"""How work reports to the user: the types of the functions that it calls, and those that show nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Report = Callable[[str], None]
"""Shows a message."""
TRUSTED = "trusted on first use"
"""The end of a message about a source that is pinned from now on."""


class Step(Protocol):
    """Called with the amount of work done, the whole amount, and a short note on the state of the work.

    The time left is passed if more is known of it than the speed of the work says.
    """

    def __call__(self, done: int, total: int, note: str = "", seconds_left: float | None = None) -> None: ...


ShowProgress = Callable[[str, str], AbstractContextManager[Step]]
"""Shows the progress of a piece of work in a `with` block, which calls the step: its name, and the unit of the step.

The name of work on one entry is `ENTRY: WORK`. Work in a block inside of another is a part of that work.
"""


def ignore_message(message: str) -> None:
    """Show no message."""


def ignore_step(done: int, total: int, note: str = "", seconds_left: float | None = None) -> None:
    """Show no step."""


def ignore_progress(name: str, unit: str) -> AbstractContextManager[Step]:
    """Show no progress."""
    return nullcontext(ignore_step)
