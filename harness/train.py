"""Training: stages, epochs, steps.

Every random stream is a function of the run's seed: initial weights and dropout through the global generators, the
order of examples through one generator per stage and epoch.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from harness.objective import build_objective
from harness.observation import Observation
from harness.teacher import LiveTeacher
from zoo.build import Builder
from zoo.errors import RecipeError, UsageError
from zoo.recipe import Recipe, Stage
from zoo.tasks.base import Batch, Split, Task

Progress = Callable[[int, int], None]
"""Called after every step with the steps done and the steps in all."""


def train(
    recipe: Recipe,
    task: Task,
    *,
    seed: int,
    builder: Builder,
    accelerator: Accelerator,
    log: Path,
    progress: Progress = lambda done, total: None,
) -> nn.Module:
    """A new student, trained through all stages of the recipe; every step's losses go to `log` as JSON lines.

    Raises RecipeError for what cannot be built and UsageError for a recipe without stages or a loss that is not finite.
    """
    if not recipe.stages:
        raise UsageError(f"{recipe.name} has no stages: it can be evaluated, not trained")
    set_seed(seed)
    student: nn.Module = builder.build(recipe.model, "model")
    splits = [load_split(task, stage.split) for stage in recipe.stages]
    total = sum(stage.epochs * _steps(stage, split) for stage, split in zip(recipe.stages, splits, strict=True))
    with log.open("w", encoding="utf-8") as file:
        writer = _StepLog(file, lambda done: progress(done, total))
        for number, (stage, split) in enumerate(zip(recipe.stages, splits, strict=True)):
            orders = [np.random.SeedSequence([seed, number, epoch]) for epoch in range(stage.epochs)]
            train_stage(stage, student, split, orders, builder=builder, accelerator=accelerator, log=writer)
    return student


def train_stage(
    stage: Stage,
    student: nn.Module,
    split: Split,
    orders: list[np.random.SeedSequence],
    *,
    builder: Builder,
    accelerator: Accelerator,
    log: "_StepLog",
) -> None:
    """Train the student in place through one stage; `orders` seeds the order of examples, one an epoch."""
    device = accelerator.device
    objective = build_objective(student.to(device), stage.criterion, builder)
    teacher = LiveTeacher(stage.teacher, builder=builder, device=device) if stage.teacher else _no_teacher
    optimizer = builder.build(stage.optimizer, "optimizer", objective.parameters())
    schedule = _schedule(stage, optimizer, stage.epochs * _steps(stage, split), builder)
    objective, optimizer = accelerator.prepare(objective, optimizer)
    objective.train()
    for order in orders:
        for batch in shuffled(split, stage.batch_size, order):
            moved = batch.to(device)
            losses = objective(moved, teacher(moved))
            log.write(losses, optimizer.param_groups[0]["lr"])
            accelerator.backward(losses["total"])
            if stage.clip_norm is not None:
                accelerator.clip_grad_norm_(objective.parameters(), stage.clip_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


def shuffled(split: Split, batch_size: int, order: np.random.SeedSequence) -> Iterator[Batch]:
    """The split's rows in a random order, in batches; the last may be shorter."""
    generator = torch.Generator().manual_seed(int(order.generate_state(1, np.uint64)[0] >> np.uint64(1)))
    order_of_rows: list[int] = torch.randperm(len(split), generator=generator).tolist()
    for start in range(0, len(split), batch_size):
        yield split.batch(order_of_rows[start : start + batch_size])


def load_split(task: Task, name: str) -> Split:
    """The task's split; raises UsageError naming those there are."""
    if name not in task.splits:
        raise UsageError(f"{task.name} has no split {name!r}; it has {', '.join(task.splits)}")
    return task.load(name)


def _steps(stage: Stage, split: Split) -> int:
    return math.ceil(len(split) / stage.batch_size)


def _no_teacher(batch: Batch) -> Observation | None:
    return None


def _schedule(stage: Stage, optimizer: Optimizer, steps: int, builder: Builder) -> LambdaLR:
    """The stage's schedule, stepped once per optimiser step."""
    factor = builder.partial(stage.schedule, "schedule") if stage.schedule else lambda progress, steps: 1.0
    try:
        return LambdaLR(optimizer, lambda step: factor(step / steps, steps))
    except (TypeError, ValueError) as error:
        assert stage.schedule is not None
        raise RecipeError.at(stage.schedule.mark, f"{stage.schedule.use}: {error}") from error


class _StepLog:
    """One JSON line a step: the step's number, its rate and every named loss."""

    def __init__(self, file: IO[str], progress: Callable[[int], None]) -> None:
        self.file, self.progress, self.step = file, progress, 0

    def write(self, losses: dict[str, Tensor], rate: float) -> None:
        values = {name: loss.item() for name, loss in losses.items()}
        if not math.isfinite(values["total"]):
            raise UsageError(f"the loss is {values['total']} at step {self.step}: {values}; a lower rate may help")
        self.step += 1
        self.file.write(json.dumps({"step": self.step, "rate": rate, "losses": values}) + "\n")
        self.progress(self.step)
