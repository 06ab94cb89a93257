"""Build the optimizer and the learning-rate schedule of a stage."""

import inspect
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from zoo.errors import RecipeError
from zoo.recipes.build import Builder
from zoo.recipes.reader import Call
from zoo.recipes.schema import Stage


def build_optimizer(call: Call, groups: list[dict[str, Any]], builder: Builder) -> Optimizer:
    """Build an optimizer over groups of parameters.

    If torch has a fused kernel for it, that is used, unless the recipe sets `fused`, `foreach` or `differentiable`.
    """
    parameters = inspect.signature(builder.target(call, "optimizer")).parameters
    settings = call.args.keys() | {key for group in groups for key in group}
    fused = {"fused": True} if "fused" in parameters and not {"fused", "foreach", "differentiable"} & settings else {}
    return builder.instance(call, "optimizer", Optimizer, groups, **fused)


def build_schedule(stage: Stage, optimizer: Optimizer, steps: int, builder: Builder) -> LRScheduler:
    """Build the schedule of a stage of `steps` optimizer steps.

    A schedule is a function of progress, as in `harness.schedules`, or a scheduler class of torch or transformers.
    Without one the learning rate is constant.

    Raises:
        RecipeError: The schedule cannot be built, or it needs a metric.
    """
    ticks = steps if stage.schedule_per == "step" else stage.epochs
    if stage.schedule is None:
        return LambdaLR(optimizer, lambda tick: 1.0)
    target = builder.target(stage.schedule, "schedule")
    if inspect.isclass(target) and issubclass(target, ReduceLROnPlateau):
        message = "ReduceLROnPlateau needs a metric; a schedule of a recipe depends on the step alone"
        raise RecipeError.at(stage.schedule.mark, message)
    parameters = inspect.signature(target).parameters
    if "optimizer" in parameters:
        number: dict[str, Any] = {"num_training_steps": ticks} if "num_training_steps" in parameters else {}
        return builder.instance(stage.schedule, "schedule", LRScheduler, optimizer, **number)
    factor = builder.partial(stage.schedule, "schedule")
    try:
        return LambdaLR(optimizer, lambda tick: factor(tick / ticks, ticks))
    except (TypeError, ValueError) as error:
        raise RecipeError.at(stage.schedule.mark, f"{stage.schedule.use}: {error}") from error
