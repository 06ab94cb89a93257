"""The session behind the Python API and the command line: it selects entries, prepares them, and runs them."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import paths
from zoo.errors import MissingError, UsageError, ZooError, translate_errors
from zoo.fetch.source_types import HF, HUB_NAME
from zoo.progress import Report, ShowProgress, ignore_message, ignore_progress
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.devices import AUTO
from zoo.recipes.options import (
    DeviceOptions,
    EvaluationOptions,
    RunOptions,
    SourceOptions,
    SweepOptions,
    TrainingOptions,
)
from zoo.recipes.positions import located_in
from zoo.recipes.suite_entries import entries_of, filtered
from zoo.suites.known import ORIGINS, StoredSuite, load_suite, wanted_suites

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

SEARCHED = 20
"""The number of models of a search, unless another one is passed."""


def changed_entries(
    entries: list[Entry], revision: str | None, lock: Path | None
) -> tuple[list[Entry], dict[str, str]]:
    """Return the entries that differ from a git revision, and why each does; all of them for None.

    Args:
        entries: The entries.
        revision: A revision of the repository that the working directory is in, or None.
        lock: The lock in use, if it is not the project's.
    """
    if revision is None:
        return entries, {}
    from zoo.recipes.changes import changed_since

    reasons = changed_since(revision, entries, lock)
    return [entry for entry in entries if entry.name in reasons], reasons


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
    """

    sources: SourceOptions
    report: Report = ignore_message
    show_progress: ShowProgress = ignore_progress

    def select(
        self,
        patterns: Sequence[str],
        suites: Sequence[str],
        everything: bool,
        *,
        refresh: bool = False,
        where: str | None = None,
    ) -> list[Entry]:
        """Return the entries that names, suites, globs, paths and names on the Hub select.

        Args:
            patterns: Names, suites, globs, paths of recipes, or [hf://]OWNER/NAME[@REVISION] of a model or recipe.
            suites: Names of suites. With patterns, only entries that a pattern selects too.
            everything: Whether to select all shipped entries.
            refresh: Whether to ask the Hub for the newest revision of published recipes, instead of the pinned one.
            where: Only entries that this expression selects, see `zoo.suites.where`. Default: all.

        Raises:
            UsageError: No pattern and no suite is passed, or a pattern matches nothing.
        """
        if not (patterns or suites or everything):
            raise UsageError(
                "nothing to do: name entries, suites, globs or recipe files, or pass --suite NAME or --all"
            )
        published = list({name.removeprefix(HF): name for name in patterns if _is_hub_name(name)}.values())
        if published and suites:
            raise UsageError(f"{published[0]} is on the Hub and in no suite; leave out --suite")
        shipped = [name for name in patterns if not _is_hub_name(name)]
        chosen = self._of_catalogues(shipped, suites, everything) if shipped or suites or everything else []
        found = [entry for name in published for entry in self._published_or_failure(name, refresh)]
        return filtered(chosen + found, where)

    def suite(self, name: str) -> StoredSuite:
        """Return a generated suite. Raise ZooError if its catalogue is not available."""
        return load_suite(name, self.fetcher(report_new_lock=False))

    def sweep(self, options: SweepOptions) -> list[Entry]:
        """Return the entries of many models of the Hub, those with the same task side by side.

        A model that cannot be read does not stop the others. Models that exceed a limit are left out and reported.

        Raises:
            UsageError: The file, the query or a limit is malformed.
            SourceError: The file or the Hub cannot be read.
        """
        from zoo.claims.sweep import grouped, parse_size, within_budget

        budget = parse_size(options.max_bytes) if options.max_bytes else None
        names = self._names_of_sweep(options)
        found: list[Entry] = []
        with self.show_progress("read model cards", "models") as step:
            for number, name in enumerate(names):
                step(number, len(names))
                found += self._published_or_failure(f"{HF}{name}", False)
        entries = grouped(found)
        if budget is None:
            return entries
        affordable = within_budget(entries, budget, self.fetcher(report_new_lock=False))
        for entry in affordable.left_out:
            self.report(f"--max-bytes {options.max_bytes}: {entry.name} is left out")
        return list(affordable.entries)

    def _names_of_sweep(self, options: SweepOptions) -> list[str]:
        """Return the names of the models in a file and of a search, each once, and report how many are too many."""
        from zoo.claims.sweep import parse_query, read_names

        names = read_names(options.from_file) if options.from_file else []
        if options.search is not None:
            query, most = parse_query(options.search), options.max_models or SEARCHED
            names += self.fetcher(report_new_lock=False).hub.search(query, most)
        distinct = list(dict.fromkeys(name.removeprefix(HF) for name in names))
        chosen = distinct[: options.max_models]
        if len(chosen) < len(distinct):
            self.report(f"--max-models {options.max_models}: {len(distinct) - len(chosen)} models are left out")
        return chosen

    def select_one(self, pattern: str) -> Entry:
        """Return the single entry that a name, a path or a name on the Hub selects. Raise UsageError otherwise."""
        if not _is_hub_name(pattern):
            return catalogue.only_one(pattern, self._of_catalogues([pattern], [], False))
        entries = self._published(pattern, False)
        if len(entries) > 1:
            paths_of_entries = "\n".join(f"  {entry.path}" for entry in entries)
            raise UsageError(
                f"{pattern} has claims on {len(entries)} data sets; name the recipe of one:\n{paths_of_entries}"
            )
        return entries[0]

    def name_of(self, pattern: str) -> str:
        """Return the name of the entry that `select_one` selects. Raise RecipeError if its recipe cannot be read."""
        return self.select_one(pattern).recipe.name

    def fetcher(self, *, report_new_lock: bool = True) -> "Sources":
        """Return the object that fetches and verifies files.

        Args:
            report_new_lock: Whether to report a lock that does not exist.
        """
        from zoo.fetch.lock import read_lock
        from zoo.fetch.mirror import Mirror
        from zoo.fetch.sources import Sources

        lock, mirror = self.sources.lock, self.sources.mirror
        if report_new_lock and lock is not None and not lock.exists():
            self.report(
                f"{lock}: no such lock yet: files are trusted on first use; `zoo lock --update` writes the lock"
            )
        return Sources(
            lock=read_lock(lock),
            mirror=Mirror(mirror) if mirror else None,
            data=dict(self.sources.data),
            report=self.report,
        )

    def builder(self, entries: Sequence[Entry], *, report_new_lock: bool = True) -> "Builder":
        """Return the object that builds the recipes of entries."""
        from zoo.recipes.build import Builder

        if self.sources.trust:  # a trusted module is usually beside the user's recipe
            local = [
                entry.path.parent.resolve() for entry in entries if entry.recipe_repo is None
            ]  # nothing downloaded
            sys.path[:0] = dict.fromkeys(map(str, [*local, Path.cwd()]))
        return Builder(frozenset(self.sources.trust), self.fetcher(report_new_lock=report_new_lock))

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

    def audit(self, targets: Sequence[str], suites: Sequence[str], everything: bool) -> "list[AuditOutcome]":
        """Return what arithmetic says about the claims of each target. See `zoo.claims.targets.read_targets`."""
        from harness.auditing.outcome import audit_targets
        from zoo.claims.targets import read_targets

        return audit_targets(read_targets(targets, suites, everything, partial(self.fetcher, report_new_lock=False)))

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

    def _of_catalogues(self, patterns: Sequence[str], suites: Sequence[str], everything: bool) -> list[Entry]:
        """Return the selected entries that are shipped, in generated suites, or in files."""
        stored = [self.suite(name) for name in wanted_suites(patterns, suites)] if not everything else []
        generated = [entry for suite in stored for entry in entries_of(suite)]
        for suite in stored:
            if (count := len(suite.suite.unsupported)) and suite.name in (*suites, *patterns):
                self.report(f"{suite.name}: {count} more are not supported; `zoo suite {suite.name}` says why")
        unsupported = {row.name: row.reason for suite in stored for row in suite.suite.unsupported}
        for pattern in patterns:
            if pattern in unsupported:
                raise UsageError(f"{pattern} is not supported: {unsupported[pattern]}")
        return catalogue.select(list(patterns), list(suites), everything, generated=generated, suite_names=[*ORIGINS])

    def _published_or_failure(self, name: str, refresh: bool) -> list[Entry]:
        """Return the entries of a model or recipe of the Hub, or one that raises the error where it is used."""
        plain = name.removeprefix(HF)
        try:
            with translate_errors(plain):
                return self._published(name, refresh)
        except ZooError as error:
            return [Entry(plain, catalogue.LOCAL, Path(plain), failure=error)]

    def _published(self, name: str, refresh: bool) -> list[Entry]:
        """Return the recipe in a repository on the Hub, or else those that zoo makes of the claims in its card.

        All files are read at one commit. `hub:.` in a published recipe is its repository.
        """
        from zoo.fetch.source_types import HUB, HubRepo

        repository = HubRepo.parse(f"{HUB}{name.removeprefix(HF)}")
        sources = self.fetcher(report_new_lock=False)
        wanted = replace(repository, revision=sources.hub.commit(repository)) if refresh else repository
        try:
            fetched = sources.fetch(str(wanted), catalogue.PUBLISHED)
        except MissingError:
            from harness.auditing.outcome import contradictions_in
            from zoo.claims.card_entries import entries_of_model

            return entries_of_model(wanted, sources, repository, contradictions_in)
        at_commit = replace(repository, revision=fetched.revision)
        return [catalogue.local(fetched.path / catalogue.PUBLISHED, str(at_commit), str(repository))]


def _is_hub_name(name: str) -> bool:
    plain = name.removeprefix(HF)
    return HUB_NAME.fullmatch(plain) is not None and (plain != name or not Path(name).exists())


def _is_occupied(folder: Path) -> bool:
    """Return whether a path holds something other than a run of zoo."""
    if not folder.exists() or (folder / "record.json").exists():
        return False
    return not folder.is_dir() or any(folder.iterdir())
