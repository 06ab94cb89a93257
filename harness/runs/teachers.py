"""Find the weights of the teachers that a recipe names: a file, another entry's published weights, or its run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.records.record import RecordedRun
from harness.runs.card_metadata import CONFIG
from harness.runs.experiment import Experiment, RunContext, checked_builder, prepare
from harness.runs.source_files import recipe_inputs
from harness.training.teacher import TeacherWeights
from harness.training.training_run import ComputeOptions
from zoo.errors import IntegrityError, UsageError
from zoo.fetch.checksum import sha256
from zoo.fetch.fetched import Fetched
from zoo.recipes.catalogue import Entry
from zoo.recipes.needs import declared_classes
from zoo.recipes.stage import Teacher

WEIGHTS = "model.safetensors"
"""The weights file of a training run."""


@dataclass(frozen=True, kw_only=True)
class ResolvedTeachers:
    """The teachers of a recipe, ready to be loaded."""

    stages: tuple[Mapping[str, TeacherWeights], ...] = ()
    """For each stage, its teachers by name."""
    inputs: tuple[Path, ...] = ()
    """The files and folders that the teachers, and the teachers of those, come from."""

    def __iter__(self) -> Iterator[TeacherWeights]:
        return (teacher for stage in self.stages for teacher in stage.values())


@dataclass(frozen=True)
class TeacherRun:
    """A run whose student is a teacher, and the files and folders that it was computed from."""

    experiment: Experiment
    run: RecordedRun
    inputs: tuple[Path, ...]


@dataclass(frozen=True)
class TeacherResolver:
    """Resolve teachers to weights.

    Teachers that are runs must be trained first, in the order of `required_runs`, and added with `add`.
    """

    runs: dict[tuple[Entry, int], TeacherRun] = field(default_factory=dict)

    def add(self, experiment: Experiment, seed: int, run: RecordedRun, teachers: ResolvedTeachers) -> None:
        """Add a run that a teacher needs, with the teachers that it learned from."""
        inputs = (*recipe_inputs(experiment.entry, experiment.sources), *teachers.inputs)
        self.runs[experiment.entry, seed] = TeacherRun(experiment, run, inputs)

    def resolve(self, experiment: Experiment) -> ResolvedTeachers:
        """Fetch and verify the weights of all teachers of a recipe.

        Raises:
            UsageError: The training of a teacher failed.
            IntegrityError: The weights of a run differ from its record.
            SourceError: Weights cannot be fetched.
        """
        stages, inputs = [], list[Path]()
        for stage in experiment.recipe.stages:
            resolved = {name: self._resolve(teacher, experiment) for name, teacher in stage.all_teachers.items()}
            stages.append({name: teacher for name, (teacher, _) in resolved.items()})
            inputs += [path for _, paths in resolved.values() for path in paths]
        return ResolvedTeachers(stages=tuple(stages), inputs=tuple(inputs))

    def _resolve(self, teacher: Teacher, experiment: Experiment) -> tuple[TeacherWeights, list[Path]]:
        """Return a teacher and the files and folders that it comes from."""
        inputs, task, classes = list[Path](), None, tuple[str, ...]()
        if teacher.run is not None:
            teacher_run = self.runs[experiment.entry.teacher_entry(teacher), teacher.seed]
            weights: Fetched | None = _weights_of_run(teacher_run, teacher.seed)
            model, inputs = teacher_run.experiment.recipe.model, list(teacher_run.inputs)
            task, classes = teacher_run.experiment.recipe.task, teacher_run.experiment.class_names()
        elif teacher.entry is not None:
            entry = experiment.entry.teacher_entry(teacher)
            builder = checked_builder(entry, experiment.context)
            sources, task = builder.sources, entry.recipe.task
            classes = declared_classes(entry.recipe, builder)
            model, source = entry.recipe.model, entry.recipe.weights
            weights = None if source is None else sources.fetch(source)
            inputs = list(recipe_inputs(entry, sources))
        else:
            assert teacher.model is not None
            model = teacher.model
            weights = None if teacher.weights is None else experiment.sources.fetch(teacher.weights)
        return TeacherWeights(model, weights, task, classes), [*inputs, *(weights.paths if weights else ())]


def required_runs(experiment: Experiment) -> list[tuple[Experiment, int]]:
    """Return the runs that a recipe needs as teachers, and the runs that these need, in the order to make them.

    The runs are made in their `teacher_context`, whatever the options of the student.
    """
    context = teacher_context(experiment.context)
    runs: dict[tuple[Entry, int], Experiment] = {}
    for stage in experiment.recipe.stages:
        for teacher in stage.all_teachers.values():
            if teacher.run is not None:
                student = prepare(experiment.entry.teacher_entry(teacher), context)
                runs |= {(other.entry, seed): other for other, seed in required_runs(student)}
                runs[student.entry, teacher.seed] = student
    return [(run, seed) for (_, seed), run in runs.items()]


def teacher_context(context: RunContext) -> RunContext:
    """Return the context in which the teachers of a student's recipe are made: with the default options."""
    given = context.options
    options = ComputeOptions(
        save_every=given.save_every,
        score_epochs=given.score_epochs,
        log_to=given.log_to,
        deadline=given.deadline,
    )
    return replace(context, options=options, fresh=False, conditions=None)


def trained_weights(folder: Path, source: str) -> Fetched:
    """Return the weights in the folder of a training run, with their configuration if the model is of transformers.

    Args:
        folder: The run's folder.
        source: The name of these weights in records.
    """
    path = folder / WEIGHTS
    digest = sha256(path)
    if (folder / CONFIG).exists():
        return Fetched(source, folder, digest, {source: digest}, WEIGHTS)
    return Fetched(source, path, digest, {source: digest})


def _weights_of_run(teacher: TeacherRun, seed: int) -> Fetched:
    path, record = teacher.run
    if record.failure:
        raise UsageError(f"{path}: this run cannot be a teacher: {record.failure}")
    weights = trained_weights(path.parent, f"run:{teacher.experiment.entry.name}:{seed}")
    if weights.sha256 != record.weights:
        raise IntegrityError(f"{path.parent / WEIGHTS}: expected sha256 {record.weights}, found {weights.sha256}")
    return weights
