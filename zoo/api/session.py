"""The session behind the Python API and the command line: its sources, and the context in which runs are made."""

import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import paths
from zoo.api.select_entries import EntrySelection
from zoo.fetch.servers import Servers
from zoo.progress import Report, ShowProgress, ignore_message, ignore_progress
from zoo.recipes.catalogue import Entry, selection_of
from zoo.recipes.devices import AUTO
from zoo.recipes.options import DeviceOptions, RunOptions, SourceOptions, TrainingOptions
from zoo.stopping import deadline_of, time_limited

if TYPE_CHECKING:
    from harness.runs.experiment import Experiment, RunContext
    from zoo.fetch.sources import Sources
    from zoo.recipes.build import Builder


@dataclass(frozen=True, kw_only=True)
class Session:
    """One use of zoo: where its files come from, and how it talks to the user.

    Attributes:
        sources: Where weights and data come from, and which code recipes may import.
        report: Shows a message.
        report_error: Shows the error of an entry, which does not stop the others.
        show_progress: Shows the progress of a named piece of work in a `with` block.
        fill: A cache folder to add everything to that is fetched.
        started: When a time limit began, on the clock of `time.monotonic`. The processes of a host share this clock.
        reported: The messages that are shown once in a session, such as sources that are trusted on first use.
        servers: The servers that have answered, and those that have not. A dead server is asked again after 5 minutes.
    """

    sources: SourceOptions
    report: Report = ignore_message
    report_error: Report = ignore_message
    show_progress: ShowProgress = ignore_progress
    fill: Path | None = None
    started: float = field(default_factory=time.monotonic)
    reported: set[str] = field(default_factory=set, compare=False, repr=False)
    servers: Servers = field(default_factory=Servers, compare=False, repr=False)

    @property
    def entries(self) -> EntrySelection:
        """The selection of entries, by name and from the Hub."""
        return EntrySelection(fetcher=self.fetcher, report=self.report, show_progress=self.show_progress)

    def fetcher(self, selection: str = "ENTRY") -> "Sources":
        """Return the object that fetches and verifies files.

        Args:
            selection: The arguments of `zoo fetch` that fetch what is read, for messages.
        """
        from zoo.fetch.cache_folder import CacheFolder
        from zoo.fetch.cache_reader import read_from
        from zoo.fetch.cache_writer import write_to
        from zoo.fetch.lock import read_lock
        from zoo.fetch.mirror import Mirror
        from zoo.fetch.sources import Sources

        lock, mirror = self.sources.lock, self.sources.mirror
        sources = Sources(
            lock=read_lock(lock),
            mirror=Mirror(mirror) if mirror else None,
            data=dict(self.sources.data),
            report=self.report,
            reported=self.reported,
            servers=self.servers,
            selection=selection,
        )
        if self.fill is not None:
            return write_to(self.fill, sources)
        return read_from(CacheFolder(self.sources.cache, selection), sources) if self.sources.cache else sources

    def builder(self, entries: Sequence[Entry], *, train: bool = False, report_new_lock: bool = True) -> "Builder":
        """Return the object that builds the recipes of entries.

        Args:
            entries: The entries.
            train: Whether they are trained, so that messages about missing files name `--train`.
            report_new_lock: Whether to report a lock that does not exist.
        """
        from zoo.recipes.build import Builder

        if self.sources.trust:  # a trusted module is usually beside the user's recipe
            local = [
                entry.path.parent.resolve() for entry in entries if entry.recipe_repo is None
            ]  # nothing downloaded
            sys.path[:0] = dict.fromkeys(map(str, [*local, Path.cwd()]))
        lock, selection = self.sources.lock, selection_of(entries) or "ENTRY"
        if report_new_lock and lock is not None and not lock.exists():
            write = f"; `zoo lock --update {selection} --lock {shlex.quote(str(lock))}` writes the lock"
            self.report(f"{lock}: no such lock yet: files are trusted on first use{write if entries else ''}")
        return Builder(frozenset(self.sources.trust), self.fetcher(f"{selection} --train" if train else selection))

    def context(
        self, entries: Sequence[Entry], options: DeviceOptions, device: str | None = None, *, train: bool = False
    ) -> "RunContext":
        """Return the context in which runs of entries are made.

        Args:
            entries: The entries.
            options: How the runs are made.
            device: The device of this process, if `options` names those of several.
            train: Whether the entries are trained. The options of claims say so themselves.
        """
        from harness.models.devices import describe
        from harness.models.environment import accelerator_on, check_precision
        from harness.runs.experiment import RunContext
        from harness.runs.verify import run_conditions
        from harness.tracking.log_to import check_trackers
        from harness.training.training_run import ComputeOptions

        training = options if isinstance(options, TrainingOptions) else TrainingOptions(**vars(options))
        check_trackers(training.log_to)
        accelerator = accelerator_on(device or options.device)
        check_precision(accelerator.device, options.precision)
        context = RunContext(
            builder=self.builder(entries, train=options.train if isinstance(options, RunOptions) else train),
            accelerator=accelerator,
            runs=paths.runs(training.records),
            fresh=training.fresh,
            options=ComputeOptions(
                precision=training.precision,
                micro_batch=training.micro_batch,
                strict=training.strict,
                save_every=training.save_every,
                deadline=deadline_of(training.time_limit, self.started),
                score_epochs=training.score_epochs,
                log_to=tuple(training.log_to),
            ),
        )
        if isinstance(options, RunOptions):
            context = replace(context, conditions=run_conditions(options, self.sources))
        if not accelerator.is_main_process:
            return context
        if options.device == AUTO:
            self.report(f"--device auto: computing on {describe(accelerator.device)}")
        return replace(context, show=self.show_progress, report=self.report)

    def experiment(self, entry: Entry, context: "RunContext") -> "Experiment":
        """Return an entry with its recipe checked, and its task, tokenizer and metrics built."""
        from harness.runs.experiment import prepare

        return prepare(entry, context)

    def time_limited(self, options: TrainingOptions) -> AbstractContextManager[None]:
        """Return a context that ends with TimeLimitError before the time limit."""
        return time_limited(options.time_limit, deadline_of(options.time_limit, self.started))
