"""Prepare an entry to be run: check its recipe, and build its task, tokenizer and metrics."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor, nn

from harness.evaluation.evaluate import Evaluation, check_finite, evaluate, metrics_of
from harness.evaluation.label_order import order_outputs
from harness.evaluation.split_runner import SplitRunner
from harness.evaluation.threshold import thresholds_of
from harness.metrics import Array, Metric
from harness.models.environment import check_attention, deterministic
from harness.models.quantized import check_quantized
from harness.records.torchdistill_log import read_test_scores
from harness.runs.cache import RunConditions
from harness.runs.shared_tasks import SharedTasks
from harness.runs.tripwire import tripwire
from harness.training.training_run import ComputeOptions
from zoo.errors import MissingError, RecipeError, UsageError
from zoo.fetch.fetched import Fetched
from zoo.fetch.sources import Sources
from zoo.progress import Report, ShowProgress, ignore_message, ignore_progress
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import LOCAL, Entry
from zoo.recipes.check import check_entry
from zoo.recipes.check_claims import stage_name_problems
from zoo.recipes.load_model import is_configured, load_model
from zoo.recipes.schema import Recipe
from zoo.tasks.base import Task


def ignore_run(made: bool) -> None:
    """Count no run."""


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """Where and how runs are made; none of it is part of a recipe."""

    builder: Builder
    accelerator: Accelerator
    runs: Path
    """The folder of all runs."""
    options: ComputeOptions = field(default_factory=ComputeOptions)
    show: ShowProgress = ignore_progress
    report: Report = ignore_message
    run_over: Callable[[bool], None] = ignore_run
    """Called after each run of the entries, with whether it was made or existed."""
    fresh: bool = False
    """Whether a run that exists is made again and replaced."""
    shared: SharedTasks = field(default_factory=SharedTasks)
    """The tasks and tokenizers of entries that were run before."""
    conditions: RunConditions | None = None
    """The conditions under which the run cache finds the runs again; None to leave them out of the cache."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An entry whose recipe is checked and whose task, tokenizer and metrics are built; see `prepare`."""

    entry: Entry
    context: RunContext
    builder: Builder
    """The builder of the recipe's calls; it resolves `hub:.` to the repository that the recipe is published in."""
    recipe: Recipe
    tokenizer: Any
    """The recipe's tokenizer, or None."""
    task: Task
    stage_tasks: tuple[Task, ...]
    """For each stage, the task that it trains on: its own, or the recipe's."""
    metrics: Mapping[str, Metric]

    @property
    def sources(self) -> Sources:
        """Where weights, tokenizers and data come from."""
        return self.builder.sources

    def published_weights(self) -> Fetched:
        """Fetch and verify the published weights; raises UsageError if the recipe names none."""
        if self.recipe.weights is None:
            raise UsageError(f"{self.entry.name} names no weights to evaluate; --train trains it")
        return self.sources.fetch(self.recipe.weights)

    def published_model(self) -> tuple[nn.Module, str]:
        """Load the model with its published weights; return it with the SHA-256 of the weights."""
        weights = self.published_weights()
        return self.model_with(weights), weights.sha256

    def model_with(self, weights: Fetched) -> nn.Module:
        """Load the recipe's model with the given weights; its outputs have the order of the task's classes.

        Raises:
            UsageError: The weights do not fit the model, or the names of its classes do not match the task's.
        """
        model = load_model(self.recipe.model, weights, self.builder)
        published = getattr(model, "published_classes", ())
        if published or is_configured(self.recipe.model, weights):  # its classes may have another order
            order_outputs(model, self.class_names(), published)
        return model

    def class_names(self) -> tuple[str, ...]:
        """Return the names of the task's classes; if only the data declare them, a scored split is loaded."""
        if not self.task.class_names and self.task.kind != "regression":
            self.task.load(self.task.scored[0])
        return self.task.class_names

    def guarded(self, *folders: Path) -> AbstractContextManager[None]:
        """Return a context that turns the tripwire on, unless the recipe is shipped or trusted.

        Args:
            *folders: The folders that the run writes, besides that of all runs.
        """
        return _guarded(self.entry, self.context, *folders)

    def published_scores(self) -> dict[str, Mapping[str, str]]:
        """Return the scores in the files beside the weights that claims refer to; none for a file that is missing."""
        return {claim.log: self._scores_in(claim.log) for claim in self.recipe.claims if claim.log}

    def evaluations(self, model: nn.Module) -> Iterator[Evaluation]:
        """Evaluate a model on every scored split of the task."""
        task_of = thresholds_of(self.task, lambda split: self._outputs(model, split))
        for split in self.task.scored:
            label, precision = f"{self.entry.name}: evaluate on {split}", self.context.options.precision
            with self.context.show(label, "examples") as step, self.guarded(), deterministic(precision, model):
                scored = evaluate(
                    model, task_of(split), split, self.metrics,
                    accelerator=self.context.accelerator, precision=precision, progress=step,
                    strict=self.context.options.strict,
                )  # fmt: skip
            self._report_strict(scored)
            yield scored

    def predictions(self, model: nn.Module, split: str) -> Array:
        """Return a model's predictions for all rows of a split, `(N,)`; its labels may be hidden."""
        logits = self._outputs(model, split)
        check_finite(split, {"logits": logits.numpy()})
        predictions: Array = self.task.predict(logits).numpy()
        return predictions

    def _outputs(self, model: nn.Module, split: str) -> Tensor:
        """Return a model's logits for all rows of a split, `(N, C)`."""
        label, precision = f"{self.entry.name}: predict {split}", self.context.options.precision
        with self.context.show(label, "examples") as step, self.guarded(), deterministic(precision, model):
            runner = SplitRunner(model, self.task, self.context.accelerator, precision, step)
            return runner.outputs(self.task.load(split))

    def _report_strict(self, scored: Evaluation) -> None:
        """Report what a strict evaluation costs."""
        if self.context.options.strict:
            unit = "tokens" if "tokens" in scored.inference["batch"] else "rows"
            self.context.report(
                f"{self.entry.name}: strict: {scored.split} in batches of fixed shapes, which compute"
                f" {scored.inference['computed']:g} times its {unit}"
            )

    def _scores_in(self, file: str) -> dict[str, str]:
        if self.recipe.weights is None:
            return {}
        try:
            log = self.sources.fetch(self.recipe.weights, file).path / file
        except MissingError:
            return {}
        return read_test_scores(log.read_text(encoding="utf-8", errors="replace"))


def checked_builder(entry: Entry, context: RunContext) -> Builder:
    """Check all names and arguments of an entry's recipe, and return the builder of its calls.

    Raises:
        RecipeError: The recipe has problems; all are listed.
    """
    builder = context.builder.at(entry.recipe_repo, entry.folder)
    check_entry(entry, builder, with_claims=False)
    return builder


def prepare(entry: Entry, context: RunContext) -> Experiment:
    """Check an entry's recipe, and build its task, tokenizer and metrics.

    Weights and data are not read yet. The tokenizer is, from the Hub if it is not in the cache.

    Raises:
        RecipeError: The recipe has problems; all are listed.
        SourceError: The tokenizer cannot be fetched.
    """
    builder = checked_builder(entry, context)
    check_attention(entry.recipe, context.accelerator.device, context.options.precision)
    check_quantized(entry.recipe.model, context.accelerator.device, context.options.precision)
    with _guarded(entry, context):
        return _build(entry, context, builder)


def _build(entry: Entry, context: RunContext, builder: Builder) -> Experiment:
    recipe, shared = entry.recipe, context.shared
    call, is_trained = recipe.tokenizer, bool(recipe.stages)
    tokenizer = None if call is None else shared.tokenizer(call, builder, by_content=not is_trained)
    task = shared.task(recipe.task, tokenizer, builder, recipe)
    stage_tasks = tuple(
        task if stage.task is None else shared.task(stage.task, tokenizer, builder, recipe) for stage in recipe.stages
    )
    if problems := list(stage_name_problems(recipe, task, stage_tasks)):  # of tasks that only the user's code knows
        raise RecipeError(problems)
    return Experiment(
        entry=entry, context=context, builder=builder, recipe=recipe, tokenizer=tokenizer, task=task,
        stage_tasks=stage_tasks, metrics=metrics_of(recipe, task, builder),
    )  # fmt: skip


def _guarded(entry: Entry, context: RunContext, *folders: Path) -> AbstractContextManager[None]:
    if entry.suite != LOCAL or context.builder.trust:
        return nullcontext()
    return tripwire([context.runs, *folders])
