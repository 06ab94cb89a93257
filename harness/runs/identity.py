"""The identity of a run: everything that decides what it computes. Runs with the same identity need not be repeated."""

from collections.abc import Iterable, Iterator
from typing import Any

from harness.evaluation.metric_code import metric_code
from harness.models.provenance import trusted_code
from harness.records.record import Identity
from harness.runs.experiment import Experiment
from harness.runs.teachers import ResolvedTeachers
from harness.runs.training_splits import teacher_splits
from harness.training.teacher import TeacherWeights
from zoo.fetch.fetched import Fetched
from zoo.fetch.source_types import HubRepo, RecipeRepo, UserFolder, parse_source
from zoo.recipes.load_model import architecture, is_configured
from zoo.recipes.values import Call
from zoo.recipes.walk import walk_sources
from zoo.tasks.base import content

WANTS_OF_FIELDS = {"task": "data", "tokenizer": "tokenizer", "preprocessing": "preprocessing"}
"""Field of a recipe -> the files that are fetched of a source in it; weights for the other fields."""


def weights_identity(experiment: Experiment) -> Identity:
    """Return the identity of an evaluation of the published weights; all files that it reads are verified."""
    weights = experiment.published_weights()
    model = experiment.recipe.model
    models = [] if is_configured(model, weights) else [architecture(model)]
    files = _files(experiment, [weights], [("model", model) for model in models])
    return Identity(
        mode="weights", digest=experiment.recipe.digest, sources={"files": files, "data": _scored_data(experiment)},
        metric_code=metric_code(experiment.metrics, experiment.task), numerics=_numerics(experiment), seed=None,
    )  # fmt: skip


def training_identity(experiment: Experiment, teachers: ResolvedTeachers, seed: int) -> Identity:
    """Return the identity of a training with a seed; all files and rows that it reads are verified and hashed."""
    recipe, context = experiment.recipe, experiment.context
    weights = [teacher.weights for teacher in teachers if teacher.weights]
    models = [recipe.model, *(_built_model(teacher) for teacher in teachers if not _has_configuration(teacher))]
    parts = [*(("stages", stage) for stage in recipe.stages), *(("model", model) for model in models)]
    files = _files(experiment, weights, parts)
    data = _scored_data(experiment) | _training_data(experiment)
    numerics = _numerics(experiment)
    if context.options.micro_batch:
        numerics["micro_batch"] = context.options.micro_batch
    if context.accelerator.num_processes > 1:
        numerics["processes"] = context.accelerator.num_processes
    return Identity(
        mode="retrain", digest=recipe.digest, sources={"files": files, "data": data},
        metric_code=metric_code(experiment.metrics, experiment.task), numerics=numerics, seed=seed,
    )  # fmt: skip


def _files(experiment: Experiment, weights: list[Fetched], parts: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return the SHA-256 of every file of the weights, of what calls name, and of the code that the user trusts."""
    recipe = experiment.recipe
    parts = [("task", recipe.task), ("tokenizer", recipe.tokenizer), ("metrics", recipe.metrics), *parts]
    files: dict[str, str] = {}
    for fetched in [*weights, *_named_files(experiment, parts)]:
        files |= fetched.files
    return files | trusted_code(experiment.builder.trust)


def _named_files(experiment: Experiment, parts: Iterable[tuple[str, Any]]) -> Iterator[Fetched]:
    """Fetch what calls name as arguments. A task's data are left out: their rows are hashed, wherever they are from."""
    for name, part in parts:
        for named in walk_sources(part, name):
            if named.field != "task" or not isinstance(parse_source(named.text), HubRepo | RecipeRepo | UserFolder):
                yield experiment.sources.fetch(named.text, WANTS_OF_FIELDS.get(named.field, "weights"))


def _built_model(teacher: TeacherWeights) -> Call:
    """Return the call that builds a teacher; one with weights does not read those that `pretrained` names."""
    return teacher.model if teacher.weights is None else architecture(teacher.model)


def _has_configuration(teacher: TeacherWeights) -> bool:
    """Return whether a teacher's weights come with their own configuration, as in a repository of the Hub."""
    return teacher.weights is not None and is_configured(teacher.model, teacher.weights)


def _scored_data(experiment: Experiment) -> dict[str, Any]:
    return {split: experiment.task.content(split) for split in experiment.task.scored}


def _training_data(experiment: Experiment) -> dict[str, Any]:
    data: dict[str, Any] = {}
    by_stage = zip(experiment.recipe.stages, experiment.stage_tasks, teacher_splits(experiment), strict=True)
    for number, (stage, task, splits) in enumerate(by_stage, 1):
        data[stage.split if stage.task is None else f"stage {number}: {stage.split}"] = task.content(stage.split)
        for name, split in splits.items():
            data[f"stage {number}, {name}: {stage.split}"] = content(split)
    return data


def _numerics(experiment: Experiment) -> dict[str, Any]:
    context = experiment.context
    numerics = {"precision": context.options.precision, "device": context.accelerator.device.type}
    return numerics | ({"strict": True} if context.options.strict else {})
