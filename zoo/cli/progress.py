"""Progress on stderr: a bar with rate and time left; where stderr is no terminal, a line a minute."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

EVERY = 60.0
"""Seconds between two lines."""


class _Rate(ProgressColumn):
    """Steps or examples per second."""

    def render(self, task: Task) -> Text:
        speed = task.speed or 0
        return Text(f"{speed:.{0 if speed >= 10 else 2}f}/s" if speed else "", style="progress.data.speed")


@contextmanager
def progress(name: str, unit: str = "") -> Iterator[Callable[[int, int], None]]:
    """A bar that the yielded function moves: call it with what is done and all there is to do, in steps or bytes."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _spoken(name)
        return
    amounts = (DownloadColumn(), TransferSpeedColumn()) if unit == "bytes" else (MofNCompleteColumn(), _Rate())
    columns = (TextColumn("{task.description}"), BarColumn(), *amounts, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _spoken(name: str) -> Callable[[int, int], None]:
    """Says where it stands, a minute after it said so last; what is done sooner needs no word."""
    said = time.monotonic()

    def move(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            say(f"{name}: {done} of {total}")

    return move


def say(message: str) -> None:
    """A line on stderr, above the bar if there is one: rich catches what is printed while it draws."""
    print(message, file=sys.stderr)
