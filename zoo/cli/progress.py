"""Progress on stderr: a bar on a terminal, else a line a minute."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

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
from rich.table import Column
from rich.text import Text

from zoo.api.session import Session
from zoo.errors import UnreachableError
from zoo.progress import TRUSTED, Report, Step
from zoo.recipes.options import SourceOptions
from zoo.safe_text import printable
from zoo.stopping import STARTED
from zoo.text_tables import counted

SECONDS_BETWEEN_LINES = 60.0


class _Rate(ProgressColumn):
    """Steps or examples per second."""

    def render(self, task: Task) -> Text:
        speed = task.speed or 0
        return Text(f"{speed:.{0 if speed >= 10 else 2}f}/s" if speed else "", style="progress.data.speed")


@contextmanager
def show_progress(name: str, unit: str) -> Iterator[Step]:
    """Show the progress of a named piece of work in the block.

    Args:
        name: The text beside the bar.
        unit: `bytes` to show sizes and speeds of a download; else the plural of what is counted, such as `steps`.

    Yields:
        A function to call with the number of finished steps or bytes, and of all.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        with _printed_lines(name, unit) as advance_line:
            yield advance_line
        return
    fixed = Column(no_wrap=True)  # so that in a narrow terminal the bar is what shrinks
    amounts = (
        (DownloadColumn(table_column=fixed.copy()), TransferSpeedColumn(table_column=fixed.copy()))
        if unit == "bytes"
        else (MofNCompleteColumn(table_column=fixed.copy()), TextColumn(unit), _Rate(table_column=fixed.copy()))
    )
    remaining = TimeRemainingColumn(table_column=fixed.copy())
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *amounts, remaining)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)

        def advance(done: int, total: int, note: str = "") -> None:
            bar.update(task, completed=done, total=total, description=f"{name}\n{note}" if note else name)

        yield advance


def report(message: str) -> None:
    """Print a message on stderr. If a bar is drawn, rich prints the message above it."""
    print(printable(message), file=sys.stderr)


def report_unreachable(errors: Iterable[BaseException | None]) -> None:
    """Point to the page on working offline, once, if one of these errors is that a server cannot be reached."""
    if any(isinstance(error, UnreachableError) for error in errors):
        report(
            "no connection: docs/offline.md shows how to download with `zoo fetch ENTRY` on another machine, and how to"
            " use files that you have with --mirror DIR"
        )


@dataclass
class SweepReport:
    """Prints messages on stderr, but only counts the sources that are trusted on first use."""

    trusted: int = 0

    def __call__(self, message: str) -> None:
        """Print or count a message."""
        if message.endswith(TRUSTED):
            self.trusted += 1
        else:
            report(message)

    def finish(self) -> None:
        """Print the number of sources, if there are any."""
        if self.trusted:
            verb = "is" if self.trusted == 1 else "are"
            report(f"{counted(self.trusted, 'source')} {verb} {TRUSTED}")


def session_of(sources: SourceOptions, report: Report = report) -> Session:
    """Return a session that shows messages and progress on stderr."""
    return Session(sources=sources, report=report, show_progress=show_progress, started=STARTED)


@contextmanager
def _printed_lines(name: str, unit: str) -> Iterator[Step]:
    """Print a line a minute, also while a step takes longer."""
    state, ended = f"0 {unit}", Event()

    def advance(done: int, total: int, note: str = "") -> None:
        nonlocal state
        state = f"{done:,} of {total:,} {unit}{note and f', {note}'}"

    def print_lines() -> None:
        while not ended.wait(SECONDS_BETWEEN_LINES):
            report(f"{name}: {state}")

    printer = Thread(target=print_lines, daemon=True)
    printer.start()
    try:
        yield advance
    finally:
        ended.set()
        printer.join()
