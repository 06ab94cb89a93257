"""A stage made ready to be trained: its models, terms, optimiser and schedule, and the order of its rows."""

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from harness.evaluation.batching import lengths_of
from harness.models.environment import autocast
from harness.models.feature_hooks import find_module, parse_feature_path
from harness.models.memory_format import place_model
from harness.training.checkpointing import Checkpoint
from harness.training.objective import Objective, build_objective
from harness.training.teacher import LiveTeachers, ResolveTeacher, TeacherOutputs, build_teacher, cache_teacher_outputs
from zoo import paths
from zoo.errors import Mark, RecipeError, UsageError
from zoo.recipes.build import Builder
from zoo.recipes.reader import Call
from zoo.recipes.schema import STUDENT, Precision, Stage
from zoo.tasks.base import Split

IGNORE_INDEX = -100
"""Labels that torch's cross entropy leaves out where nothing else is said."""
StateDicts = dict[str, dict[str, Tensor]]
"""State dicts of terms and trained teachers that live on, by name."""


class ActiveStage:
    """The objective of a stage, who teaches it and what moves it.

    Raises RecipeError, at the line that is wrong, for what cannot be built or does not fit the models.
    """

    def __init__(
        self,
        stage: Stage,
        student: nn.Module,
        split: Split,
        number: int,
        seed: int,
        entered: list[Checkpoint],
        inherited: StateDicts,
        *,
        views: Mapping[str, Split],
        builder: Builder,
        accelerator: Accelerator,
        resolve: ResolveTeacher,
        precision: Precision = "fp32",
        micro_batch: int | None = None,
    ) -> None:
        self.recipe, self.accelerator = stage, accelerator
        self.number, self.seed, self.entered = number, seed, entered
        device = accelerator.device
        learning: dict[str, nn.Module] = {STUDENT: student}
        frozen: dict[str, nn.Module] = {}
        for name, teacher in stage.all_teachers.items():
            with _at(teacher.marks.get("weights", stage.optimizer.mark)):
                model = place_model(build_teacher(resolve(teacher), builder), device)
            (learning if teacher.trainable else frozen)[name] = model
        self.objective: Objective = build_objective(learning, stage, builder)
        with _at(stage.marks.get("criterion", stage.optimizer.mark)):
            self.split = self._prepared(split, views)
        self.objective.to(device)
        self._check_parts(micro_batch)
        teachers = LiveTeachers(frozen, self.objective.needs, device, views)
        self._build_adapters(teachers, {**learning, **frozen})
        for name, state in inherited.items():
            with _at(stage.optimizer.mark):
                _inherit(name, {**frozen, **self.parts()}[name], state, whole=name in frozen)
        with _at(stage.marks.get("trainable", stage.optimizer.mark)):
            paths = {name: stage.all_teachers[name].trainable for name in learning if name != STUDENT}
            self.objective.freeze({STUDENT: stage.trainable, **paths})
        with _at(stage.marks.get("groups", stage.optimizer.mark)):
            groups = self.objective.parameter_groups(stage.groups)
        self.optimizer = _optimizer(stage.optimizer, groups, builder)
        self.schedule = _schedule(stage, self.optimizer, self.steps, builder)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.wrapped: nn.Module = self.objective
        self.teachers: TeacherOutputs = teachers
        self.lengths: Sequence[int] | None = None
        """By what rows of a step are grouped, each group padded by itself; None where they stay together."""
        self.best: Checkpoint | None = None
        self.precision = precision
        self.objective.train()

    def begin(self) -> "ActiveStage":
        """Make it ready for its first step: shared among processes, and what its teachers say computed if it can be."""
        self.wrapped = self.accelerator.prepare(self.objective)
        if self.recipe.epochs > 1 and isinstance(self.teachers, LiveTeachers):  # from the second epoch on it pays
            with autocast(self.accelerator.device, self.precision):
                self.teachers = cache_teacher_outputs(
                    self.teachers, self.split, self.accelerator, paths.home() / "kept" / "teachers"
                )
        self.lengths = self._lengths_to_split_by()
        return self

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return self.recipe.epochs * self.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(self.recipe, self.split)

    def rows(self, step: int) -> list[int]:
        """The rows of a step, over all processes: another random order each epoch, whose last step may be shorter."""
        epoch, place = divmod(step, self.steps_per_epoch)
        start = place * self.recipe.batch_size
        return shuffled_rows(len(self.split), self.seed, self.number, epoch)[start : start + self.recipe.batch_size]

    def parts(self) -> dict[str, nn.Module]:
        """Terms and teachers that learn, by name."""
        return {**self.objective.teachers, **self.objective.terms}

    def normalises_by_batch(self) -> bool:
        """Whether a part of a batch is normalised otherwise than the whole: BatchNorm that learns."""
        modules = self.objective.modules()
        return any(isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training for module in modules)

    def _lengths_to_split_by(self) -> Sequence[int] | None:
        """The rows' lengths, where parts of a batch give its gradient, and on this device sooner.

        That is, where terms only read logits, keep no state and are means over all rows. So are this project's unless
        they say `needs_whole_batch`; others must say that they do not.
        """
        lengths = lengths_of(self.split)
        terms, needs = list(self.objective.terms.values()), self.objective.needs.values()
        if lengths is None or self.accelerator.device.type != "cpu" or self.accelerator.num_processes > 1:
            return None
        if any(need.taps for need in needs) or self.normalises_by_batch():
            return None
        if not all(_is_mean_over_rows(term) for term in terms):
            return None
        ignored = {getattr(term, "ignore_index", IGNORE_INDEX) for term in terms}
        return None if any(bool((self.split.labels == index).any()) for index in ignored) else lengths

    def agree(self) -> None:
        """Give every process the first one's buffers: in between, BatchNorm follows what each has seen of a batch."""
        if self.accelerator.num_processes > 1:
            for buffer in self.objective.buffers():
                broadcast(buffer)

    def _check_parts(self, micro_batch: int | None) -> None:
        """Raise RecipeError for a term that compares the rows of a batch where it would be given parts of it."""
        parts = self.accelerator.num_processes > 1 or (micro_batch or math.inf) < self.recipe.batch_size
        for name, term in self.objective.terms.items():
            if parts and getattr(term, "needs_whole_batch", False):
                message = (
                    f"{name} compares the rows of a batch with each other: it needs one process, and no --micro-batch"
                )
                raise RecipeError.at(self.recipe.criterion[name].loss.mark, message)
            if self._fewest(micro_batch) < 2 and getattr(term, "needs_two_rows", False):
                message = (
                    f"{name} cannot do with a batch of one row, as the last of an epoch; `drop_last` leaves that out"
                )
                raise RecipeError.at(self.recipe.criterion[name].loss.mark, message)

    def _fewest(self, micro_batch: int | None) -> int:
        """The fewest rows that a process is ever given at once."""
        size, rows = self.recipe.batch_size, len(self.split)
        batches = {min(size, rows)} if self.recipe.drop_last or rows % size == 0 else {min(size, rows), rows % size}
        shares = {max(batch // int(self.accelerator.num_processes), 1) for batch in batches}
        return min(share // math.ceil(share / (micro_batch or share)) for share in shares)

    def state_dict(self) -> Checkpoint:
        """All that changes as the stage is trained, and where the generators stood when it was entered."""
        return {
            "entered": self.entered,
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best": self.best,
        }

    def load_state_dict(self, state: Checkpoint) -> None:
        """Go on from a state of this stage."""
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.best = state["best"]

    def _prepared(self, split: Split, views: Mapping[str, Split]) -> Split:
        """The split with what the terms make of it; raises UsageError where a teacher's own inputs would not follow."""
        given = split
        for name, term in self.objective.terms.items():
            prepare = getattr(term, "prepare_split", None)
            split = prepare(split) if callable(prepare) else split
            if split is not given and views:
                raise UsageError(f"{name} changes the rows, which a teacher with inputs of its own would not see")
            if len(split) != len(given):
                raise UsageError(f"{name} makes {len(split)} rows of {len(given)}")
        return split

    def _build_adapters(self, teachers: LiveTeachers, models: Mapping[str, nn.Module]) -> None:
        """Check every tap against its model, then let terms make what they need for the shapes of two examples."""
        for name, term in self.recipe.criterion.items():
            loss, place = self.objective.terms[name], self.objective.places[name]
            with _at(term.loss.mark):
                for model, declared in ((place.student, "student_features"), (place.teacher or "", "teacher_features")):
                    for tap in getattr(loss, declared, ()) if model else ():
                        find_module(models[model], parse_feature_path(tap).path)
        has_adapters = any(callable(getattr(term, "build_adapters", None)) for term in self.objective.terms.values())
        if has_adapters or any(need.taps for need in self.objective.needs.values()):
            two = self.split.batch(range(min(2, len(self.split))), self.accelerator.device)
            with _at(self.recipe.marks.get("criterion", self.recipe.optimizer.mark)):
                self.objective.build_adapters(two, teachers(two, whole=True))


def _is_mean_over_rows(term: nn.Module) -> bool:
    own = type(term).__module__.startswith("harness.losses.")
    whole = getattr(term, "needs_whole_batch", not own) or getattr(term, "needs_two_rows", False)
    return not whole and not term.state_dict()


def steps_per_epoch(stage: Stage, split: Split) -> int:
    """Optimiser steps in an epoch; the last may have fewer examples, unless these are dropped."""
    steps = len(split) / stage.batch_size
    return max(math.floor(steps), 1) if stage.drop_last else math.ceil(steps)


@lru_cache(maxsize=1)
def shuffled_rows(rows: int, *key: int) -> list[int]:
    """A random order of the rows; the key is seed, stage and epoch."""
    seed = np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1)
    order: list[int] = torch.randperm(rows, generator=torch.Generator().manual_seed(int(seed))).tolist()
    return order


def _optimizer(call: Call, groups: list[dict[str, Any]], builder: Builder) -> Optimizer:
    """The optimiser; where torch has one kernel for all of its step, with that, unless the recipe says how."""
    has = inspect.signature(builder.target(call, "optimizer")).parameters
    said = call.args.keys() | {key for group in groups for key in group}
    fused = {"fused": True} if "fused" in has and not {"fused", "foreach", "differentiable"} & said else {}
    made: Optimizer = builder.build(call, "optimizer", groups, **fused)
    return made


def _schedule(stage: Stage, optimizer: Optimizer, steps: int, builder: Builder) -> LRScheduler:
    """What moves the learning rate: a function of progress, or a scheduler of torch or transformers."""
    ticks = steps if stage.schedule_per == "step" else stage.epochs
    if stage.schedule is None:
        return LambdaLR(optimizer, lambda tick: 1.0)
    target = builder.target(stage.schedule, "schedule")
    if inspect.isclass(target) and issubclass(target, ReduceLROnPlateau):
        raise RecipeError.at(
            stage.schedule.mark, "ReduceLROnPlateau waits for a metric; a schedule here sees only steps"
        )
    taken = inspect.signature(target).parameters
    if "optimizer" in taken:
        given: dict[str, Any] = {"num_training_steps": ticks} if "num_training_steps" in taken else {}
        made: LRScheduler = builder.build(stage.schedule, "schedule", optimizer, **given)
        return made
    factor = builder.partial(stage.schedule, "schedule")
    try:
        return LambdaLR(optimizer, lambda tick: factor(tick / ticks, ticks))
    except (TypeError, ValueError) as error:
        raise RecipeError.at(stage.schedule.mark, f"{stage.schedule.use}: {error}") from error


def _inherit(name: str, module: nn.Module, state: Mapping[str, Tensor], *, whole: bool) -> None:
    """Load what an earlier stage kept under this name; a term may have fewer or further parts, unless it is `whole`."""
    own = module.state_dict()
    shared = {key: value for key, value in state.items() if key in own}
    lacking = next((key for key in own if key not in state), None) if whole else None
    wrong = next((key for key, value in shared.items() if own[key].shape != value.shape), None)
    if lacking or wrong or (state and not shared):
        found = f": {wrong} is {tuple(state[wrong].shape)} there, {tuple(own[wrong].shape)} here" if wrong else ""
        found = f": it has no {lacking}" if lacking else found
        raise UsageError(f"what an earlier stage keeps as {name!r} does not fit this stage's{found}")
    module.load_state_dict(shared, strict=False)


@contextmanager
def _at(mark: Mark) -> Iterator[None]:
    """What is wrong inside the `with` is a problem of the recipe, at this place."""
    try:
        yield
    except RecipeError:
        raise
    except (UsageError, ValueError) as error:
        raise RecipeError.at(mark, str(error)) from error
