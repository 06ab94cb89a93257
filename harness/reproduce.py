"""From an entry to its judgements: what is missing for its claims is run, recorded and judged."""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn

from harness.environment import deterministic, environment, peak_memory
from harness.evaluate import Evaluation, evaluate, metric_code, metrics_of
from harness.metrics import Metric
from harness.record import FILE, Identity, Mode, Record, Result, new_folder, read_record, verify_files
from harness.train import train
from harness.verdict import Judgement, Measured, Verdict, judge, not_run, overall
from zoo import sources, weights
from zoo.build import Builder, calls
from zoo.catalogue import Entry
from zoo.errors import UsageError, ZooError
from zoo.recipe import Claim, Recipe
from zoo.tasks.base import Task, content_hash

WEIGHTS, LOG, RECIPE = "model.safetensors", "log.jsonl", "recipe.yaml"

Step = Callable[[int, int], None]
Show = Callable[[str], AbstractContextManager[Step]]
"""Shows the progress of what is named inside a `with`: a function of what is done and of all there is to do."""


def _silent(_: str) -> AbstractContextManager[Step]:
    return nullcontext(lambda done, total: None)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """With what and where runs are made; nothing of it is in a recipe."""

    builder: Builder
    accelerator: Accelerator
    runs: Path
    show: Show = _silent


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """An entry's verdict, the judgements of its claims and the records behind them; or the error that ended it."""

    entry: Entry
    verdict: Verdict
    judgements: tuple[Judgement, ...] = ()
    records: tuple[Path, ...] = ()
    error: ZooError | None = None


def verify(entry: Entry, mode: Mode, setup: Setup, *, seeds: list[int] | None = None) -> Outcome:
    """Run what the entry's claims of `mode` lack and judge them; an error becomes part of the outcome.

    `seeds` are those of a re-training, the claim's own number from 0 on when None.
    """
    try:
        return _verify(entry, mode, setup, seeds)
    except ZooError as error:
        shown: tuple[Judgement, ...] = ()
        if "recipe" in entry.__dict__:
            shown = tuple(not_run(claim, str(error).splitlines()[0]) for claim in entry.recipe.claims)
        return Outcome(entry=entry, verdict="not-run", judgements=shown, error=error)


def _verify(entry: Entry, mode: Mode, setup: Setup, seeds: list[int] | None) -> Outcome:
    claims = [claim for claim in entry.recipe.claims if claim.of == mode]
    study = Study(entry, setup)
    if mode == "weights":
        runs = [study.weights()]
    else:
        chosen = list(range(max((claim.seeds for claim in claims), default=3))) if seeds is None else seeds
        runs = [study.retrain(seed) for seed in chosen]
    judgements = tuple(
        judge(claim, measured(claim, [record for _, record in runs])) if claim.of in (mode, "test-server")
        else not_run(claim, "asked for with --train" if claim.of == "retrain" else "asked for without --train")
        for claim in entry.recipe.claims
    )  # fmt: skip
    counted = [judgement for judgement in judgements if judgement.claim.of == mode]
    paths = tuple(path for path, _ in runs)
    return Outcome(entry=entry, verdict=overall(counted), judgements=judgements, records=paths)


def measured(claim: Claim, records: list[Record]) -> Measured | None:
    """What the records say of a claim: one value each; None where one of them has nothing on its split and metric."""
    results = [record.result(claim.split) for record in records]
    found = [result for result in results if result is not None and claim.metric in result.metrics]
    if not found or len(found) < len(records):
        return None
    values = [result.metrics[claim.metric] for result in found]
    return Measured(
        split=claim.split,
        metric=claim.metric,
        n=found[0].n,
        values=tuple(_or_nan(value["value"]) for value in values),
        one_prediction=max(_or_nan(value["one_prediction"]) for value in values),
        precision=records[0].identity.numerics["precision"],
        selection=found[0].selection,
    )


@dataclass(frozen=True)
class Study:
    """An entry made ready to run: recipe checked, task and metrics built, files verified and data hashed, each once."""

    entry: Entry
    setup: Setup

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe, with every name and argument checked."""
        self.setup.builder.check(self.entry.recipe)
        return self.entry.recipe

    @cached_property
    def task(self) -> Task:
        """The task, given the recipe's tokenizer where it names one."""
        builder, recipe = self.setup.builder, self.recipe
        given = {"tokenizer": builder.build(recipe.tokenizer, "tokenizer")} if recipe.tokenizer else {}
        task: Task = builder.build(recipe.task, "task", **given)
        return task

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that every record of this entry holds."""
        return metrics_of(self.recipe, self.task, self.setup.builder)

    def weights(self) -> tuple[Path, Record]:
        """The record of the published weights, evaluated now unless it is there already."""
        if self.recipe.weights is None:
            raise UsageError(f"{self.entry.name} names no weights to evaluate; --train trains it")
        published = sources.fetch(self.recipe.weights)
        identity = self.identity("weights", None)

        def run(folder: Path) -> tuple[nn.Module, str]:
            return self.model_with(published.path), published.sha256

        return self.recorded(identity, run)

    def retrain(self, seed: int, out: Path | None = None) -> tuple[Path, Record]:
        """The record of one training with this seed, trained now unless it is there already; into `out` if given."""
        identity = self.identity("retrain", seed)

        def run(folder: Path) -> tuple[nn.Module, str]:
            setup = self.setup
            with setup.show(f"{self.entry.name}: train, seed {seed}") as step:
                student = train(
                    self.recipe, self.task, seed=seed, builder=setup.builder, accelerator=setup.accelerator,
                    log=folder / LOG, progress=step,
                )  # fmt: skip
            weights.save(student, folder / WEIGHTS)
            (folder / RECIPE).write_bytes(self.entry.path.read_bytes())
            return student, sources.sha256(folder / WEIGHTS)

        return self.recorded(identity, run, out)

    def model_with(self, path: Path) -> nn.Module:
        """The recipe's model with the weights of a file."""
        model: nn.Module = self.setup.builder.build(self.recipe.model, "model")
        weights.load_into(model, path)
        return model

    def evaluations(self, model: nn.Module) -> Iterator[Evaluation]:
        """The model on every scored split of the task."""
        for split in self.task.scored:
            with self.setup.show(f"{self.entry.name}: evaluate on {split}") as step:
                yield evaluate(
                    model, self.task, split, self.metrics, device=self.setup.accelerator.device, progress=step
                )

    def identity(self, mode: Mode, seed: int | None) -> Identity:
        """What this run would compute; verifies every file it reads."""
        stages = self.recipe.stages if mode == "retrain" else ()
        splits = dict.fromkeys([*(stage.split for stage in stages), *self.task.scored])
        return Identity(
            mode=mode,
            digest=self.recipe.digest,
            sources={
                "files": {name: sources.fetch(name).sha256 for name in sources_of(self.recipe, mode)},
                "data": {name: self.hashes[name] for name in splits if name in self.task.splits},
            },
            metric_code=metric_code(self.metrics),
            numerics={"precision": "fp32", "device": self.setup.accelerator.device.type},
            seed=seed,
        )

    @cached_property
    def hashes(self) -> Mapping[str, Any]:
        """Rows and content hash of every split."""
        splits = {name: self.task.load(name) for name in self.task.splits}
        return {name: {"rows": len(split), "sha256": content_hash(split)} for name, split in splits.items()}

    def recorded(
        self, identity: Identity, run: Callable[[Path], tuple[nn.Module, str]], out: Path | None = None
    ) -> tuple[Path, Record]:
        """The run of this identity from the user's own runs, else `run`, its model evaluated and all of it recorded."""
        final = out or self.setup.runs / self.entry.name / identity.folder
        if out is None and (final / FILE).exists():
            record = read_record(final / FILE)
            verify_files(final / FILE, record)
            return final / FILE, record
        with new_folder(final) as folder, _running(self.entry.name), deterministic():
            started = time.perf_counter()
            model, digest = run(folder)
            results = tuple(_write(evaluation, folder) for evaluation in self.evaluations(model))
            record = Record(
                entry=self.entry.name,
                suite=self.entry.suite,
                identity=identity,
                recipe=self.recipe.data(),
                weights=digest,
                results=results,
                environment=environment(self.setup.accelerator.device),
                cost={"seconds": round(time.perf_counter() - started, 3), "peak_memory_bytes": peak_memory()},
                created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            )
            (folder / FILE).write_text(record.to_json(), encoding="utf-8")
        return final / FILE, read_record(final / FILE)


def sources_of(recipe: Recipe, mode: Mode) -> list[str]:
    """Every source that a run in this mode reads: weights, teachers, and the files that calls name as arguments."""
    parts: list[Any] = [recipe.task, recipe.model, recipe.tokenizer, recipe.metrics]
    found = [recipe.weights] if mode == "weights" else []
    if mode == "retrain":
        parts += recipe.stages
        found = [stage.teacher.weights for stage in recipe.stages if stage.teacher]
    arguments = [value for _, call in calls(parts, "task") for value in call.args.values()]
    found += [value for value in arguments if isinstance(value, str) and value.startswith(sources.SCHEMES)]
    return sorted({source for source in found if source is not None})


@contextmanager
def _running(name: str) -> Iterator[None]:
    """What torch says of a model that does not fit its task is the recipe's fault, and told in a line."""
    try:
        yield
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError) as error:
        if os.environ.get("ZOO_DEBUG"):
            raise
        said = (str(error).splitlines() or [""])[0]
        raise UsageError(f"{name}: {type(error).__name__}: {said} (ZOO_DEBUG=1 shows where)") from error


def _write(evaluation: Evaluation, folder: Path) -> Result:
    """Write the predictions beside the record to be; their result."""
    name, data = f"predictions-{evaluation.split}.npz", evaluation.npz()
    (folder / name).write_bytes(data)
    scores = {
        metric: {"value": _or_none(score.value), "one_prediction": _or_none(score.one_prediction)}
        for metric, score in evaluation.scores.items()
    }
    digest = sha256(data).hexdigest()
    return Result(
        split=evaluation.split,
        n=evaluation.n,
        selection="last",
        metrics=scores,
        predictions={"file": name, "sha256": digest},
    )


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
