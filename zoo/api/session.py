"""The session behind the Python API and the command line: it prepares entries, and runs them."""

import os
import shlex
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import paths
from zoo.api.select_entries import EntrySelection
from zoo.errors import UsageError, ZooError, translate_errors
from zoo.fetch.servers import Servers
from zoo.files import is_read_only
from zoo.progress import Report, ShowProgress, ignore_message, ignore_progress
from zoo.recipes.catalogue import Entry, selection_of
from zoo.recipes.devices import AUTO, kind_of, number_of_gpus, parse_devices
from zoo.recipes.options import (
    DeviceOptions,
    EvaluationOptions,
    RunOptions,
    SourceOptions,
    TrainingOptions,
)
from zoo.recipes.positions import located_in
from zoo.stopping import deadline_of, time_limited

if TYPE_CHECKING:
    from harness.auditing.outcome import AuditOutcome
    from harness.fleet.plan_file import Plan
    from harness.fleet.slurm_script import SlurmPreview
    from harness.fleet.worker import UnitMaker
    from harness.judging.judge_runs import EntryRuns, Outcome
    from harness.records.record import RecordedRun
    from harness.runs.cache import RunConditions
    from harness.runs.experiment import Experiment, RunContext
    from harness.runs.plan import PlannedRuns
    from harness.runs.verify import WantedRuns
    from zoo.api.plots import Plotted
    from zoo.api.results import EvaluationResult, TrainingResult
    from zoo.fetch.sources import Sources
    from zoo.recipes.build import Builder

RECORD = "record.json"
"""The record file of a run, as in `harness.records.record`, which is imported only when it is needed."""
_HF_JOBS = "--on hf-jobs: zoo starts no Jobs itself; add --dry-run, which prints the commands to start them with"


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

    def plot(self, targets: Sequence[str], only: Sequence[str], records: Path | None = None) -> "Plotted":
        """Return the picture of runs. See `zoo.api.plots.plot_runs`."""
        from zoo.api.plots import Folders, plot_runs

        folders = Folders(runs=paths.runs(records), evidence=paths.evidence(), entry_of=self.entries.select_one)
        return plot_runs(targets, only, folders)

    def audit(
        self, targets: Sequence[str], suites: Sequence[str], everything: bool, where: str | None = None
    ) -> "list[AuditOutcome]":
        """Return what arithmetic says about the claims of each target. See `zoo.claims.targets.read_targets`."""
        from harness.auditing.outcome import audit_targets
        from zoo.claims.targets import read_targets

        found = read_targets(targets, suites, everything, self.fetcher, select=self.entries.select, where=where)
        return audit_targets(found)

    def verify(self, entries: Sequence[Entry], options: RunOptions) -> "list[Outcome]":
        """Return the verdict on each entry; runs that are missing are made.

        Raises:
            TimeLimitError: `options.time_limit` is nearly over. The runs that are finished are stored.
        """
        from harness.runs.verify import verify as verify_entries

        earlier, make = self._records_of(entries, options), partial(self._make, entries, options)
        with self.time_limited(options):
            outcomes = verify_entries(entries, options, self.sources, make, report=self.report_error)
        self._report_without_effect(options, [path for outcome in outcomes for path in outcome.records], earlier)
        return outcomes

    def _make(self, entries: Sequence[Entry], options: RunOptions, wanted: "WantedRuns") -> "Iterator[EntryRuns]":
        """Yield the missing runs of entries: made here, or by other processes."""
        from harness.runs.verify import mode_of

        device = options.device
        if options.uses_fleet and is_read_only(paths.runs(options.records)):
            device = parse_devices(device)[0]  # no run can be made, so this process finds those that exist
        elif options.uses_fleet:
            from harness.fleet.dispatch import make_with_fleet

            if int(os.environ.get("WORLD_SIZE", "1")) > 1:
                raise UsageError("--jobs and --on exclude torchrun: its processes work on every run together")
            make = partial(self._make_elsewhere, options)
            return make_with_fleet(entries, wanted, options, self.sources, make, report=self.report)
        from harness.runs.reproduce import make_runs

        return make_runs(wanted, mode_of(options), self.context(entries, options, device))

    def _make_elsewhere(self, options: RunOptions, plan: "Plan", missing: "Collection[int]") -> None:
        """Have the units of a plan made where the options say."""
        if options.on == "hf-jobs":
            raise UsageError(_HF_JOBS)
        deadline = deadline_of(options.time_limit, self.started)
        seconds = None if deadline is None else deadline - time.monotonic()
        if options.on == "ray":
            from harness.fleet.ray_cluster import run_ray

            address = options.ray_address or os.environ.get("RAY_ADDRESS") or None
            run_ray(
                plan, missing, options.jobs, address=address, report=self.report, show_progress=self.show_progress,
                seconds=seconds,
            )  # fmt: skip
            return
        if options.on == "slurm":
            from harness.fleet.slurm import run_slurm
            from harness.fleet.slurm_config import read_slurm_config

            config, fetch = read_slurm_config(options.slurm_config), partial(self._prefetch, train=options.train)
            run_slurm(plan, missing, config, fetch, report=self.report, show_progress=self.show_progress)
            return
        from harness.fleet.local import run_local

        jobs = options.jobs or number_of_gpus(options.device) or 1
        if options.train and jobs > 1:
            self.report(
                f"{jobs} processes share the threads. Training results depend on their number; records name it."
            )
        run_local(plan, missing, jobs, report=self.report, show_progress=self.show_progress, seconds=seconds)

    def hf_jobs(self, entries: Sequence[Entry], options: RunOptions, *, dry_run: bool) -> str:
        """Return the script that makes the missing runs of entries as Jobs of the Hub. Raise UsageError to run it.

        Without `--device` the Jobs have GPUs, whatever this machine has.
        """
        from harness.fleet.existing_units import missing_units
        from harness.fleet.hf_jobs import job_script
        from harness.fleet.units import plan_units

        if not dry_run:
            raise UsageError(_HF_JOBS)
        of_jobs = replace(options, device="cuda") if kind_of(options.device) is None else options
        plan = plan_units(entries, of_jobs, self.sources)
        return job_script(plan, missing_units(plan))

    def _prefetch(self, entries: Sequence[Entry], *, train: bool) -> dict[Entry, ZooError]:
        """Download everything that runs of entries read, and return the error of each entry that lacks something."""
        from zoo.recipes.prefetch import DownloadSize, prefetch_entries

        def report_size(size: DownloadSize) -> None:
            self.report(f"before the jobs are submitted, their files are fetched: {size}")

        return prefetch_entries(entries, self.builder(entries, train=train), train=train, started=report_size)

    def slurm_preview(self, entries: Sequence[Entry], options: RunOptions) -> "SlurmPreview":
        """Return the script and the commands that `verify` would submit to Slurm."""
        from harness.fleet.dispatch import open_units
        from harness.fleet.existing_units import missing_units
        from harness.fleet.fresh_plans import current_plan
        from harness.fleet.slurm_config import read_slurm_config
        from harness.fleet.slurm_script import preview
        from harness.fleet.trusted_runs import made_by_same_code

        plan = current_plan(entries, options, self.sources)
        units = set(open_units(plan))
        submitted = units - made_by_same_code(plan, units)
        return preview(plan, submitted, missing_units(plan), read_slurm_config(options.slurm_config))

    def unit_maker(self, plan: "Plan", number: int = 0, processes: int = 1) -> "UnitMaker":
        """Return what makes the units of a plan in one of several processes on this machine."""
        from harness.fleet.worker import UnitMaker

        entries = [unit.entry for unit in plan.units]
        return UnitMaker(plan, partial(self.context, entries, plan.options), number=number, processes=processes)

    def plan(self, entries: Sequence[Entry], options: RunOptions) -> "list[PlannedRuns]":
        """Return the runs that `verify` would use or make."""
        from harness.runs.plan import plan

        return plan(entries, options, self.sources)

    def download_sizes(self, entries: Sequence[Entry], *, train: bool) -> dict[str, int | None]:
        """Return for each readable entry the bytes to download before it can be run; None if that cannot be known.

        Args:
            entries: The entries.
            train: Whether they are to be trained.
        """
        from zoo.recipes.prefetch import needs_or_error

        builder, sizes = self.builder(entries, report_new_lock=False), dict[str, int | None]()
        for entry in entries:
            if entry.is_readable:
                needs, error = needs_or_error(entry, builder, train=train)
                try:
                    size = sum(need.download_size(builder.sources) for need in dict.fromkeys(needs))
                    sizes[entry.name] = None if error else size
                except ZooError:
                    sizes[entry.name] = None
        return sizes

    def train(self, entry: Entry, options: TrainingOptions, *, seed: int, out: Path | None) -> "TrainingResult":
        """Train an entry once, into the folder `out` or a folder in `records`, and return the scores.

        A run that exists is returned, unless `options.fresh` is set; if none of its inputs has changed, torch is not
        imported for that.
        """
        from harness.records.find_runs import is_among
        from zoo.api.results import training_result

        if out is not None and _is_occupied(out):
            raise UsageError(f"{out} exists and is not empty; --out needs a new folder")
        earlier = self._records_of([entry], options, *([out.resolve() / RECORD] if out else []))
        finished = self._finished_training(entry, options, seed, out)
        if finished is None:
            from harness.runs.record_runs import train_and_record

            with self.time_limited(options), translate_errors(entry.name), located_in(entry.recipe):
                context = self.context([entry], options, train=True)
                context = replace(context, conditions=self._training_conditions(options, out))
                (finished,) = train_and_record(self.experiment(entry, context), [seed], out.resolve() if out else None)
        path, record = finished
        if record.failure:
            raise UsageError(f"{entry.name}: the training failed: {record.failure}. Its record is {path}")
        self._report_without_effect(options, [path], earlier)
        return training_result(path, record, entry.recipe.claims, existed=is_among(path, earlier))

    def evaluate(self, entry: Entry, options: EvaluationOptions, path: Path, split: str | None) -> "EvaluationResult":
        """Score a user's weights or predictions on an entry's task."""
        from harness.runs.recorder import chance_findings, scoring_findings
        from harness.runs.score_file import score_file
        from zoo.api.results import EvaluationResult, scores_of_evaluations

        with translate_errors(entry.name), located_in(entry.recipe):
            experiment = self.experiment(entry, self.context([entry], options))
            evaluations = list(score_file(experiment, path, split))
        return EvaluationResult(
            entry=entry.name, path=path, scores=scores_of_evaluations(evaluations, entry.recipe.claims),
            findings=scoring_findings(evaluations) + chance_findings(entry.recipe, experiment.task, evaluations),
        )  # fmt: skip

    def time_limited(self, options: TrainingOptions) -> AbstractContextManager[None]:
        """Return a context that ends with TimeLimitError before the time limit."""
        return time_limited(options.time_limit, deadline_of(options.time_limit, self.started))

    def _records_of(self, entries: Sequence[Entry], options: TrainingOptions, *others: Path) -> dict[Path, int]:
        """Return the records of entries that exist now, see `harness.records.find_runs.record_times`."""
        from harness.records.find_runs import record_times

        return record_times(paths.runs(options.records), [entry.name for entry in entries], *others)

    def _report_without_effect(
        self, options: TrainingOptions, records: Sequence[Path], earlier: Mapping[Path, int]
    ) -> None:
        """Report the trainings that existed already, so that options of a training have no effect on them."""
        from harness.records.find_runs import is_among
        from harness.records.training_log import without_epoch_scores

        if options.score_epochs and (unscored := len(without_epoch_scores(records, earlier))):
            self.report(
                f"--score-epochs has no effect on {_existing_runs(unscored)}, trained without it; to train and score"
                " again, add --fresh"
            )
        if options.log_to and (existing := sum(is_among(path, earlier) for path in records)):
            self.report(f"--log-to has no effect on {_existing_runs(existing)}; to train again, add --fresh")

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


def _is_occupied(folder: Path) -> bool:
    """Return whether a path holds something other than a run of zoo."""
    if not folder.exists() or (folder / RECORD).exists():
        return False
    return not folder.is_dir() or any(folder.iterdir())


def _existing_runs(number: int) -> str:
    return "1 run that exists" if number == 1 else f"{number} runs that exist"
