"""Show work in progress: bars on a terminal, else a line a minute, or events as JSON lines."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TransferSpeedColumn
from rich.table import Column
from rich.text import Text

from zoo.cli.json_lines import has_listener, send
from zoo.cli.verbosity import is_quiet
from zoo.cli.work import Work
from zoo.progress import Step, ignore_step
from zoo.safe_text import one_line, printable

SECONDS_BETWEEN_LINES = 60.0
SECONDS_BETWEEN_EVENTS = 1.0
LEAST_OF_ENTRY = 6
"""The name of an entry beside a bar is never cut to fewer characters."""


@dataclass
class Display:
    """Shows pieces of work, each of which may be a part of the one before it, such as a run of all runs."""

    _works: list[Work] = field(default_factory=list)
    _lock: Any = field(default_factory=Lock)
    _stop: Callable[[], None] | None = None
    _bars: Progress | None = None

    @contextmanager
    def show(self, name: str, unit: str) -> Iterator[Step]:
        """Show a piece of work in the block; see `zoo.progress.ShowProgress`."""
        work = Work(name=name, unit=unit)
        if has_listener():
            yield _events(work)
        elif is_quiet():
            yield ignore_step
        elif _can_draw():
            with self._in_progress(work, self._draw), self._bar(work) as advance:
                yield advance
        else:
            with self._in_progress(work, self._print_lines):
                yield work.advance

    @contextmanager
    def _in_progress(self, work: Work, start: Callable[[], Callable[[], None]]) -> Iterator[None]:
        """Show all pieces of work from the first that begins to the last that ends."""
        with self._lock:
            self._works.append(work)
            self._stop = self._stop or start()
        try:
            yield
        finally:
            with self._lock:
                self._works.remove(work)
                stop, self._stop = (None, self._stop) if self._works else (self._stop, None)
            if stop is not None:
                stop()

    def _draw(self) -> Callable[[], None]:
        console = Console(stderr=True)
        fixed = Column(no_wrap=True)  # so that in a narrow terminal the bar is what shrinks
        columns = (_Name(fixed, console), BarColumn(), _Amount(fixed), _Rate(fixed), _Left(fixed))
        self._bars = _Bars(*columns, console=console, transient=True)
        self._bars.start()
        return self._bars.stop

    @contextmanager
    def _bar(self, work: Work) -> Iterator[Step]:
        assert self._bars is not None
        bars, task = self._bars, self._bars.add_task(work.name, total=None, work=work)

        def advance(done: int, total: int, note: str = "", seconds_left: float | None = None) -> None:
            work.advance(done, total, note, seconds_left)
            bars.update(task, completed=done, total=total)

        try:
            yield advance
        finally:
            bars.remove_task(task)

    def _print_lines(self) -> Callable[[], None]:
        """Print a line a minute, also while a step takes longer."""
        ended = Event()

        def print_lines() -> None:
            while not ended.wait(SECONDS_BETWEEN_LINES):
                with self._lock:
                    state = "; ".join(map(str, self._works))
                print(printable(state), file=sys.stderr)

        printer = Thread(target=print_lines, daemon=True)
        printer.start()

        def stop() -> None:
            ended.set()
            printer.join()

        return stop


def _can_draw() -> bool:
    """Return whether stderr is a terminal that can move its cursor. FORCE_COLOR asks for colors, not for bars."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def _events(work: Work) -> Step:
    """Return a step that sends an event a second, one for each run, and one for the end."""
    sent = -SECONDS_BETWEEN_EVENTS

    def advance(done: int, total: int, note: str = "", seconds_left: float | None = None) -> None:
        nonlocal sent
        work.advance(done, total, note, seconds_left)
        if done >= total or work.unit == "runs" or time.monotonic() - sent >= SECONDS_BETWEEN_EVENTS:
            sent = time.monotonic()
            left = work.seconds_left
            send({
                "event": "progress", "work": work.name, "entry": work.entry, "unit": work.unit, "step": done,
                "of": total, "seconds_left": None if left is None else round(left, 1), "note": note or None,
            })  # fmt: skip

    return advance


class _Bars(Progress):
    """At most two lines: a bar and the note of its work, or the bars of the whole work and of the part in progress."""

    def get_renderables(self) -> Iterator[RenderableType]:
        """Yield the bars, then the note."""
        tasks = self.tasks
        yield self.make_tasks_table([tasks[0], tasks[-1]] if len(tasks) > 2 else tasks)
        if len(tasks) == 1 and (note := tasks[0].fields["work"].note):
            yield Text(one_line(note), no_wrap=True, overflow="ellipsis")


class _OfWork(ProgressColumn):
    """A column about the work of a bar."""

    def __init__(self, column: Column) -> None:
        super().__init__(column.copy())


class _Name(_OfWork):
    """The name of the work, in at most two fifths of the terminal. In a long one the entry is cut, not its work."""

    def __init__(self, column: Column, console: Console) -> None:
        super().__init__(column)
        self._console = console

    def render(self, task: Task) -> Text:
        entry, separator, work = one_line(task.fields["work"].name).partition(": ")
        room, name = self._console.width * 2 // 5, Text(entry)
        if separator and (left := room - cell_len(f": {work}")) >= LEAST_OF_ENTRY:
            name.truncate(left, overflow="ellipsis")
        name.append(f"{separator}{work}")
        name.truncate(room, overflow="ellipsis")
        return name


class _Amount(_OfWork):
    """How much is done, of how much."""

    def render(self, task: Task) -> Text:
        work: Work = task.fields["work"]
        if work.unit == "bytes":
            return DownloadColumn().render(task)
        of_total = "" if work.total is None else f"/{work.total:,}"
        return Text(f"{work.done:,}{of_total} {work.unit}", style="progress.download")


class _Rate(_OfWork):
    """Steps, examples or bytes per second."""

    def render(self, task: Task) -> Text:
        work: Work = task.fields["work"]
        if work.unit == "bytes":
            return TransferSpeedColumn().render(task)
        speed = task.speed or 0
        shown = speed and work.unit not in ("runs", "models")
        return Text(f"{speed:.{0 if speed >= 10 else 2}f}/s" if shown else "", style="progress.data.speed")


class _Left(_OfWork):
    """The time left, as far as it is known."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        left = task.fields["work"].seconds_left
        if left is None:
            return Text("-:--:--", style="progress.remaining")
        minutes, seconds = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        return Text(f"{hours}:{minutes:02}:{seconds:02}", style="progress.remaining")
