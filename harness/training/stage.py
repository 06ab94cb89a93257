"""Build a stage: its models, terms, optimizer and schedule, ready for the first step."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from harness.evaluation.label_order import order_outputs
from harness.losses.base import adapter_builder, split_preparer
from harness.models.detector_classes import check_classes
from harness.models.environment import autocast
from harness.models.feature_hooks import find_module, parse_feature_path
from harness.models.memory_format import place_model
from harness.models.text_inputs import fit_to_texts
from harness.training.batch_parts import check_batch_sizes, lengths_to_split_by, terms_that_count_labels
from harness.training.checkpointing import Checkpoint
from harness.training.objective import Objective, build_objective
from harness.training.optimization import build_optimizer, build_schedule
from harness.training.row_order import shuffled_rows, steps_per_epoch
from harness.training.step_graph import StepGraph
from harness.training.teacher import LiveTeachers, TeacherOutputs, build_teacher
from harness.training.teacher_cache import cache_teacher_outputs
from harness.training.training_run import StateDicts, TrainingRun
from zoo import paths
from zoo.errors import Mark, RecipeError, UsageError
from zoo.recipes.load_model import is_configured
from zoo.recipes.stage import STUDENT, Stage
from zoo.tasks.base import Split, read_batch


@dataclass(kw_only=True)
class ActiveStage:
    """A stage that is being trained."""

    recipe: Stage
    number: int
    """Its index in the recipe, from 0."""
    seed: int
    split: Split
    """The rows to train on, as the terms prepared them."""
    objective: Objective
    optimizer: Optimizer
    schedule: LRScheduler
    scaler: torch.amp.GradScaler
    teachers: TeacherOutputs
    wrapped: nn.Module
    """The objective as accelerate wraps it for several processes."""
    micro_batch: int | None
    """The most rows that a process takes at once; it is halved if memory runs out."""
    lengths: Sequence[int] | None = None
    """The rows' lengths, if the rows of a step are grouped by length and each group padded by itself."""
    counting_terms: tuple[str, ...] = ()
    """The terms whose mean divides by something else than the number of rows, see `Loss.denominator`."""
    rates: Sequence[Tensor] | None = None
    """The learning rates as tensors, if the steps may be captured, see `harness.training.cuda_graph`."""
    graph: StepGraph | None = None
    """The kernels of a full batch, once they are captured."""
    best: Checkpoint | None = None
    """The epoch with the best score so far, with its objective's parameters."""

    @property
    def steps(self) -> int:
        """The optimizer steps of all epochs."""
        return self.recipe.epochs * self.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        """The optimizer steps of an epoch."""
        return steps_per_epoch(self.recipe, self.split)

    def rows(self, step: int) -> list[int]:
        """Return the rows of a step, over all processes. Their order is another one in each epoch."""
        epoch, place = divmod(step, self.steps_per_epoch)
        start = place * self.recipe.batch_size
        return shuffled_rows(len(self.split), self.seed, self.number, epoch)[start : start + self.recipe.batch_size]

    def position(self, step: int) -> dict[str, Any]:
        """Return the fields of the training log after a step of this stage, counted from 0."""
        epoch = (step + 1) / self.steps_per_epoch
        return {
            "stage": self.number + 1, "epoch": round(epoch, 4), "epochs": self.recipe.epochs,
            "rate": self.optimizer.param_groups[0]["lr"],
        }  # fmt: skip

    def parts(self) -> dict[str, nn.Module]:
        """Return the terms and the teachers that learn, by name."""
        return {**self.objective.teachers, **self.objective.terms}

    def state_dict(self) -> Checkpoint:
        """Return all that changes while the stage is trained."""
        return {
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best": self.best,
            "micro_batch": self.micro_batch,
        }

    def load_state_dict(self, state: Checkpoint) -> None:
        """Load what `state_dict` returned."""
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.best, self.micro_batch = state["best"], state["micro_batch"]


def build_stage(run: TrainingRun, number: int, student: nn.Module, inherited: StateDicts | None = None) -> ActiveStage:
    """Build a stage, on one process and with live teachers.

    The order of the steps below is the order in which initial parameters are drawn from the global generators.

    Args:
        run: The training.
        number: The index of the stage in the recipe, from 0.
        student: The student as the previous stage left it.
        inherited: The state dicts of terms and teachers that earlier stages keep for this one.

    Raises:
        RecipeError: Something cannot be built or does not fit the models; with the line of the recipe.
    """
    stage, teacher_splits = run.recipe.stages[number], run.teacher_splits[number]
    learning, frozen = build_models(run, number, student)
    objective = build_objective(learning, stage, run.builder)
    with _problems_at(stage.marks.get("criterion", stage.optimizer.mark)):
        split = prepare_rows(objective, run.splits[number], teacher_splits)
    for name, model in {STUDENT: student, **learning, **frozen}.items():
        rows = teacher_splits.get(name, run.splits[number])
        fit_to_texts(model, rows, f"the split {stage.split!r}")
        check_classes(model, rows, f"the split {stage.split!r}")
    order_teachers(run, number, {**learning, **frozen}, objective)
    objective.to(run.device)
    check_batch_sizes(stage, objective, split, run.options.micro_batch, run.accelerator.num_processes)
    teachers = LiveTeachers(frozen, objective.needs, run.device, teacher_splits)
    build_adapters(stage, objective, teachers, {**learning, **frozen}, split)
    for name, state in (inherited or {}).items():
        with _problems_at(stage.optimizer.mark):
            _inherit(name, {**frozen, **objective.teachers, **objective.terms}[name], state, complete=name in frozen)
    freeze_parts(stage, objective)
    with _problems_at(stage.marks.get("groups", stage.optimizer.mark)):
        groups = objective.parameter_groups(stage.groups)
    scaler = torch.amp.GradScaler(run.device.type, enabled=run.options.precision == "fp16")
    optimizer = build_optimizer(stage.optimizer, groups, run.builder, can_skip=scaler.is_enabled())
    schedule = build_schedule(stage, optimizer, stage.epochs * steps_per_epoch(stage, split), run.builder)
    return ActiveStage(
        recipe=stage, number=number, seed=run.seed, split=split, objective=objective.train(), optimizer=optimizer,
        schedule=schedule, scaler=scaler, teachers=teachers, wrapped=objective, micro_batch=run.options.micro_batch,
        counting_terms=terms_that_count_labels(objective, split),
    )  # fmt: skip


def prepare_stage(
    run: TrainingRun, number: int, student: nn.Module, inherited: StateDicts | None = None
) -> ActiveStage:
    """Build a stage and make it ready for its first step.

    The objective is shared among the processes. The teachers' outputs are computed once if the stage has several epochs
    and that is possible. Arguments and errors are those of `build_stage`.
    """
    stage = build_stage(run, number, student, inherited)
    wrapped: nn.Module = run.accelerator.prepare(stage.objective)
    teachers = stage.teachers
    if stage.recipe.epochs > 1 and isinstance(teachers, LiveTeachers):
        with autocast(run.device, run.options.precision):
            folder = paths.home() / "cache" / "teachers"
            teachers = cache_teacher_outputs(teachers, stage.split, run.accelerator, folder)
    lengths = lengths_to_split_by(stage.objective, stage.split, run.accelerator)
    return replace(stage, wrapped=wrapped, teachers=teachers, lengths=lengths)


def build_models(
    run: TrainingRun, number: int, student: nn.Module
) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """Build the teachers of a stage; return the models that learn, the student among them, and the frozen ones."""
    stage = run.recipe.stages[number]
    learning: dict[str, nn.Module] = {STUDENT: student}
    frozen: dict[str, nn.Module] = {}
    for name, teacher in stage.all_teachers.items():
        with _problems_at(teacher.marks.get("weights", stage.optimizer.mark)):
            weights = run.teachers[number][name]
            model = place_model(build_teacher(weights, run.builder), run.device, run.options.precision)
        (learning if teacher.trainable else frozen)[name] = model
    return learning, frozen


def order_teachers(run: TrainingRun, number: int, models: Mapping[str, nn.Module], objective: Objective) -> None:
    """Let the teachers return logits in the order of the stage's classes.

    The classes of a teacher are named by its own configuration, by that of timm, or else by the task of the entry that
    it comes from.
    """
    stage, classes = run.recipe.stages[number], run.class_names[number]
    for name, teacher in stage.all_teachers.items():
        source, reads = run.teachers[number][name], objective.needs.get(name)
        if source.weights is None or reads is None or not reads.logits:
            continue
        is_other_task = source.task is not None and source.task != (stage.task or run.recipe.task)
        trained = getattr(models[name], "published_classes", ()) or (source.class_names if is_other_task else ())
        if is_configured(source.model, source.weights) or trained:
            with _problems_at(teacher.marks.get("weights", stage.optimizer.mark)):
                order_outputs(models[name], classes, trained)
        if note := getattr(models[name], "class_note", None):
            run.report(f"note: the teacher {name}: {note}")
        elif is_other_task and bool(trained) != bool(classes):
            run.report(
                f"note: the teacher {name}: its classes are taken to be in the same order, since they have no names"
            )


def prepare_rows(objective: Objective, split: Split, teacher_splits: Mapping[str, Split]) -> Split:
    """Return the rows to train on, as the terms change them.

    Raises:
        UsageError: A term returns another number of rows, or changes rows that a teacher reads with its own task.
    """
    prepared = split
    for name, term in objective.terms.items():
        prepare = split_preparer(term)
        prepared = prepare(prepared) if prepare else prepared
        if prepared is None:
            raise UsageError(f"{name} returns no rows from `prepare_split`")
        if prepared is not split and teacher_splits:
            raise UsageError(f"{name} changes the rows, but a teacher with its own task or tokenizer reads other rows")
        if len(prepared) != len(split):
            raise UsageError(f"{name} makes {len(prepared)} rows of {len(split)}")
    return prepared


def build_adapters(
    stage: Stage, objective: Objective, teachers: LiveTeachers, models: Mapping[str, nn.Module], split: Split
) -> None:
    """Check that the models have all features that terms read, and let terms build their learned parts.

    The shapes are those of the first two rows. Nothing is computed if no term reads a feature or has learned parts.
    """
    for name, term in stage.criterion.items():
        roles, needs = objective.roles[name], objective.term_needs[name]
        with _problems_at(term.loss.mark):
            for model, features in ((roles.student, needs.student_features), (roles.teacher, needs.teacher_features)):
                for feature in features if model else ():
                    find_module(models[str(model)], parse_feature_path(feature).path)
    has_adapters = any(adapter_builder(term) for term in objective.terms.values())
    if has_adapters or any(need.features for need in objective.needs.values()):
        two_rows = read_batch(split, range(min(2, len(split))), teachers.device)
        with _problems_at(stage.marks.get("criterion", stage.optimizer.mark)):
            objective.build_adapters(two_rows, teachers(two_rows, to_the_end=True))


def freeze_parts(stage: Stage, objective: Objective) -> None:
    """Freeze the parts of the models that the stage does not list as `trainable`."""
    with _problems_at(stage.marks.get("trainable", stage.optimizer.mark)):
        teachers = {name: stage.all_teachers[name].trainable for name in objective.teachers}
        objective.freeze({STUDENT: stage.trainable, **teachers})


def share_buffers(stage: ActiveStage, accelerator: Accelerator) -> None:
    """Give every process the buffers of the first one: BatchNorm statistics follow each process's own rows."""
    if accelerator.num_processes > 1:
        for buffer in stage.objective.buffers():
            broadcast(buffer)


def _inherit(name: str, module: nn.Module, state: Mapping[str, Tensor], *, complete: bool) -> None:
    """Load the parameters that an earlier stage keeps under this name.

    A term may have fewer or more parameters than its namesake, unless the state must be `complete`.
    """
    parameters = module.state_dict()
    shared = {key: value for key, value in state.items() if key in parameters}
    missing = next((key for key in parameters if key not in state), None) if complete else None
    wrong = next((key for key, value in shared.items() if parameters[key].shape != value.shape), None)
    if missing or wrong or (state and not shared):
        reason = (
            f": {wrong} is {tuple(state[wrong].shape)} there, {tuple(parameters[wrong].shape)} here" if wrong else ""
        )
        reason = f": it has no {missing}" if missing else reason
        raise UsageError(f"{name!r} that an earlier stage keeps does not fit {name!r} of this stage{reason}")
    module.load_state_dict(shared, strict=False)


@contextmanager
def _problems_at(mark: Mark) -> Iterator[None]:
    """Turn a UsageError or ValueError inside the `with` block into a problem of the recipe at this position."""
    try:
        yield
    except RecipeError:
        raise
    except (UsageError, ValueError) as error:
        raise RecipeError.at(mark, str(error)) from error
