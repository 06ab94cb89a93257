"""The session behind the Python API and the command line: it prepares entries, and runs them."""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import paths
from zoo.api.select_entries import EntrySelection
from zoo.errors import UsageError, translate_errors
from zoo.progress import Report, ShowProgress, ignore_message, ignore_progress
from zoo.recipes.catalogue import LOCAL, Entry
from zoo.recipes.devices import AUTO
from zoo.recipes.options import (
    DeviceOptions,
    EvaluationOptions,
    RunOptions,
    SourceOptions,
    TrainingOptions,
)
from zoo.recipes.positions import located_in

if TYPE_CHECKING:
    from harness.auditing.outcome import AuditOutcome
    from harness.judging.judge_runs import Outcome
    from harness.records.record import RecordedRun
    from harness.runs.cache import RunConditions
    from harness.runs.experiment import Experiment, RunContext
    from harness.runs.plan import PlannedRuns
    from zoo.api.results import EvaluationResult, TrainingResult
    from zoo.fetch.sources import Sources
    from zoo.recipes.build import Builder

MOST_NAMES = 3
"""A suggested command names the suites of more entries."""


def configure_libraries() -> None:
    """Switch off the libraries' telemetry, warnings and progress bars, unless the environment says otherwise.

    On a Mac, let torch compute on the CPU what its GPU cannot.
    """
    for name in (
        "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_EVALUATE_OFFLINE",
        "DISABLE_SAFETENSORS_CONVERSION",
    ):  # fmt: skip
        os.environ.setdefault(name, "1")
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if sys.platform == "darwin":  # read when torch is imported; the record names the operations
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    if "RANK" in os.environ:  # DDP warns about parameters that no stage has left out yet
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


@dataclass(frozen=True, kw_only=True)
class Session:
    """One use of zoo: where its files come from, and how it talks to the user.

    Attributes:
        sources: Where weights and data come from, and which code recipes may import.
        report: Shows a message.
        show_progress: Shows the progress of a named piece of work in a `with` block.
        reported: The messages that are shown once in a session, such as sources that are trusted on first use.
    """

    sources: SourceOptions
    report: Report = ignore_message
    show_progress: ShowProgress = ignore_progress
    reported: set[str] = field(default_factory=set, compare=False, repr=False)

    @property
    def entries(self) -> EntrySelection:
        """The selection of entries, by name and from the Hub."""
        return EntrySelection(fetcher=self.fetcher, report=self.report, show_progress=self.show_progress)

    def fetcher(self) -> "Sources":
        """Return the object that fetches and verifies files."""
        from zoo.fetch.lock import read_lock
        from zoo.fetch.mirror import Mirror
        from zoo.fetch.sources import Sources

        lock, mirror = self.sources.lock, self.sources.mirror
        return Sources(
            lock=read_lock(lock),
            mirror=Mirror(mirror) if mirror else None,
            data=dict(self.sources.data),
            report=self.report,
            reported=self.reported,
        )

    def builder(self, entries: Sequence[Entry], *, report_new_lock: bool = True) -> "Builder":
        """Return the object that builds the recipes of entries.

        Args:
            entries: The entries.
            report_new_lock: Whether to report a lock that does not exist.
        """
        from zoo.recipes.build import Builder

        if self.sources.trust:  # a trusted module is usually beside the user's recipe
            local = [
                entry.path.parent.resolve() for entry in entries if entry.recipe_repo is None
            ]  # nothing downloaded
            sys.path[:0] = dict.fromkeys(map(str, [*local, Path.cwd()]))
        lock = self.sources.lock
        if report_new_lock and lock is not None and not lock.exists():
            write = f"; `{_lock_command(entries, lock)}` writes the lock" if entries else ""
            self.report(f"{lock}: no such lock yet: files are trusted on first use{write}")
        return Builder(frozenset(self.sources.trust), self.fetcher())

    def context(self, entries: Sequence[Entry], options: DeviceOptions, device: str | None = None) -> "RunContext":
        """Return the context in which runs of entries are made.

        Args:
            entries: The entries.
            options: How the runs are made.
            device: The device of this process, if `options` names those of several.
        """
        from harness.models.devices import describe
        from harness.models.environment import accelerator_on, check_precision
        from harness.runs.experiment import RunContext
        from harness.runs.verify import run_conditions
        from harness.training.training_run import ComputeOptions

        training = options if isinstance(options, TrainingOptions) else TrainingOptions(**vars(options))
        accelerator = accelerator_on(device or options.device)
        check_precision(accelerator.device, options.precision)
        context = RunContext(
            builder=self.builder(entries),
            accelerator=accelerator,
            runs=paths.runs(training.records),
            fresh=training.fresh,
            options=ComputeOptions(
                precision=training.precision,
                micro_batch=training.micro_batch,
                strict=training.strict,
                save_every=training.save_every,
                score_epochs=training.score_epochs,
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

    def audit(
        self, targets: Sequence[str], suites: Sequence[str], everything: bool, where: str | None = None
    ) -> "list[AuditOutcome]":
        """Return what arithmetic says about the claims of each target. See `zoo.claims.targets.read_targets`."""
        from harness.auditing.outcome import audit_targets
        from zoo.claims.targets import read_targets

        found = read_targets(targets, suites, everything, self.fetcher, select=self.entries.select, where=where)
        return audit_targets(found)

    def verify(self, entries: Sequence[Entry], options: RunOptions) -> "list[Outcome]":
        """Return the verdict on each entry; runs that are missing are made."""
        from harness.runs.verify import verify as verify_entries

        started, make_context = time.time_ns(), partial(self.context, entries, options)
        outcomes = verify_entries(
            entries, options, self.sources, make_context, report=self.report, show_progress=self.show_progress
        )
        self._report_unscored_epochs(options, [path for outcome in outcomes for path in outcome.records], started)
        return outcomes

    def plan(self, entries: Sequence[Entry], options: RunOptions) -> "list[PlannedRuns]":
        """Return the runs that `verify` would use or make."""
        from harness.runs.plan import plan

        return plan(entries, options, self.sources)

    def train(self, entry: Entry, options: TrainingOptions, *, seed: int, out: Path | None) -> "TrainingResult":
        """Train an entry once, into the folder `out` or a folder in `records`, and return the scores.

        A run that exists is returned, unless `options.fresh` is set; if none of its inputs has changed, torch is not
        imported for that.
        """
        from zoo.api.results import training_result

        if out is not None and _is_occupied(out):
            raise UsageError(f"{out} exists and is not empty; --out needs a new folder")
        started, finished = time.time_ns(), self._finished_training(entry, options, seed, out)
        if finished is None:
            from harness.runs.record_runs import train_and_record

            with translate_errors(entry.name), located_in(entry.recipe):
                context = self.context([entry], options)
                context = replace(context, conditions=self._training_conditions(options, out))
                (finished,) = train_and_record(self.experiment(entry, context), [seed], out.resolve() if out else None)
        path, record = finished
        if record.failure:
            raise UsageError(f"{entry.name}: the training failed: {record.failure}. Its record is {path}")
        self._report_unscored_epochs(options, [path], started)
        existed = path.exists() and path.stat().st_mtime_ns < started  # of several processes, the main one writes it
        return training_result(path, record, entry.recipe.claims, existed=existed)

    def evaluate(self, entry: Entry, options: EvaluationOptions, path: Path, split: str | None) -> "EvaluationResult":
        """Score a user's weights or predictions on an entry's task."""
        from harness.runs.recorder import chance_findings
        from harness.runs.score_file import score_file
        from zoo.api.results import EvaluationResult, scores_of_evaluations

        with translate_errors(entry.name), located_in(entry.recipe):
            experiment = self.experiment(entry, self.context([entry], options))
            evaluations = list(score_file(experiment, path, split))
        return EvaluationResult(
            entry=entry.name, path=path, scores=scores_of_evaluations(evaluations, entry.recipe.claims),
            findings=chance_findings(entry.recipe, experiment.task, evaluations),
        )  # fmt: skip

    def _report_unscored_epochs(self, options: TrainingOptions, records: Sequence[Path], started: int) -> None:
        """Report the trainings that existed already, and whose epochs were not scored though the options ask for it."""
        from harness.records.training_log import without_epoch_scores

        if options.score_epochs and (unscored := len(without_epoch_scores(records, started))):
            runs = "1 run that exists" if unscored == 1 else f"{unscored} runs that exist"
            self.report(
                f"--score-epochs has no effect on {runs}, trained without it; to train and score again, add --fresh"
            )

    def _training_conditions(self, options: TrainingOptions, out: Path | None) -> "RunConditions":
        """Return the conditions under which the run cache finds a run of `train` again."""
        from harness.runs.verify import run_conditions

        folder = out or paths.runs(options.records)
        return replace(run_conditions(options, self.sources), out=str(folder.resolve()))

    def _finished_training(
        self, entry: Entry, options: TrainingOptions, seed: int, out: Path | None
    ) -> "RecordedRun | None":
        """Return a run whose inputs have not changed: made by `train`, or without `out` for a claim."""
        from harness.runs.cache import find_cached_runs

        if options.fresh or self.sources.trust:  # the trusted code is unknown until it is loaded
            return None
        own = self._training_conditions(options, out)
        for conditions in (own, replace(own, out=None)) if out is None else (own,):
            found = find_cached_runs(entry, "retrain", [seed], conditions, paths.runs(options.records))
            if found is not None:
                return found.runs[0]
        return None


def _lock_command(entries: Sequence[Entry], lock: Path) -> str:
    """Return the command that writes a lock for these entries, or for their suites if they are many."""
    names = list(dict.fromkeys(entry.argument for entry in entries))
    if len(names) > MOST_NAMES and LOCAL not in (suites := {entry.suite for entry in entries}):
        names = [word for suite in sorted(suites) for word in ("--suite", suite)]
    return shlex.join(["zoo", "lock", "--update", *names, "--lock", str(lock)])


def _is_occupied(folder: Path) -> bool:
    """Return whether a path holds something other than a run of zoo."""
    if not folder.exists() or (folder / "record.json").exists():
        return False
    return not folder.is_dir() or any(folder.iterdir())
