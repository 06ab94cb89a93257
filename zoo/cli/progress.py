"""Notes, errors and progress on stderr."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zoo.api.session import Session
from zoo.cli.progress_display import Display
from zoo.cli.verbosity import is_quiet
from zoo.errors import NotCachedError, UnreachableError
from zoo.progress import TRUSTED, Report, Step
from zoo.recipes.catalogue import Entry, selection_of
from zoo.recipes.options import SourceOptions
from zoo.safe_text import printable
from zoo.stopping import STARTED
from zoo.text_tables import counted


@contextmanager
def show_progress(name: str, unit: str) -> Iterator[Step]:
    """Show the progress of a named piece of work in the block.

    Args:
        name: The text beside the bar.
        unit: `bytes` to show sizes and speeds of a download; else the plural of what is counted, such as `steps`.

    Yields:
        A function to call with the number of finished steps or bytes, and of all.
    """
    with Display().show(name, unit) as step:
        yield step


def report(message: str) -> None:
    """Print a note on stderr, unless --quiet is used. If a bar is drawn, rich prints the note above it."""
    if not is_quiet():
        report_error(message)


def report_error(message: str) -> None:
    """Print a message on stderr that --quiet does not hide."""
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
    report_error(
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
            report_error(str(error))
    for found in unanswered.values():
        missing = f"{len(found)} downloads from there are missing; --json lists them"
        report_error(str(found[0]) if len(found) == 1 else f"{found[0].reason}; {missing}")
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
    return Session(
        sources=sources, report=report, report_error=report_error, show_progress=Display().show, started=STARTED
    )
