"""Progress on stderr: a bar on a terminal, else a line a minute."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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
from zoo.errors import NotCachedError, UnreachableError
from zoo.progress import TRUSTED, Report, Step
from zoo.recipes.catalogue import Entry, selection_of
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


def report_unreachable(
    errors: Iterable[BaseException | None],
    entries: Sequence[Entry] = (),
    *,
    train: bool = False,
    everything: bool = False,
    to: Path | None = None,
) -> None:
    """Report, once, what to do without a network, if one of these errors is that a server cannot be reached.

    Errors of a cache folder say themselves what to do.

    Args:
        errors: The errors of a command.
        entries: The entries to fetch on another machine, as far as they are known.
        train: Whether to fetch what their trainings read, too.
        everything: Whether the command has the option `--all`.
        to: The cache folder that the command fills.
    """
    unreachable = [error for error in errors if isinstance(error, UnreachableError)]
    if all(isinstance(error, NotCachedError) for error in unreachable):
        return
    folder = "DIR" if to is None else shlex.quote(str(to))
    options = f"--train --to {folder}" if train else f"--to {folder}"
    selection = selection_of(entries, everything=everything)
    what = f"`zoo fetch {selection} {options}`" if entries else f"`zoo fetch` with {options}"
    why = "no connection" if any(error.server is not None for error in unreachable) else "to run without a network"
    report(
        f"{why}: run {what} on a machine with internet, and set ZOO_CACHE={folder} on this one. --mirror DIR uses files"
        " that you have already"
    )


def report_errors(
    errors: Iterable[BaseException],
    entries: Sequence[Entry],
    *,
    train: bool = False,
    everything: bool = False,
    to: Path | None = None,
) -> None:
    """Report errors of entries, each once; of a server that does not answer only that, on one line.

    Args:
        errors: The errors.
        entries: See `report_unreachable`.
        train: The same.
        everything: The same.
        to: The same.
    """
    distinct = list({str(error): error for error in errors}.values())
    unanswered: dict[str, list[UnreachableError]] = {}
    for error in distinct:
        if isinstance(error, UnreachableError) and error.server is not None:
            unanswered.setdefault(error.server, []).append(error)
        else:
            report(str(error))
    for found in unanswered.values():
        missing = f"{len(found)} downloads from there are missing; --json lists them"
        report(str(found[0]) if len(found) == 1 else f"{found[0].reason}; {missing}")
    report_unreachable(distinct, entries, train=train, everything=everything, to=to)


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
