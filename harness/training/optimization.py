"""Build the optimizer and the learning-rate schedule of a stage."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.optim import SGD, Adagrad, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from zoo.errors import RecipeError
from zoo.recipes.build import Builder
from zoo.recipes.stage import Stage
from zoo.recipes.values import Call


def build_optimizer(call: Call, groups: list[dict[str, Any]], builder: Builder, *, can_skip: bool = False) -> Optimizer:
    """Build an optimizer over groups of parameters.

    If torch has a fused kernel for it, that is used, unless the recipe sets `fused`, `foreach` or `differentiable`, or
    an SGD with dampening, whose fused kernel needs a first step that is not skipped.

    Args:
        call: The optimizer of the recipe.
        groups: Its parameter groups.
        builder: Builds it.
        can_skip: Whether a gradient scaler may skip steps.

    Raises:
        RecipeError: The optimizer cannot be built, or it cannot skip the first step.
    """
    target = builder.target(call, "optimizer")
    parameters = inspect.signature(target).parameters
    settings = call.args.keys() | {key for group in groups for key in group}
    is_damped = any(values.get("dampening") for values in (call.args, *groups))
    is_free = "fused" in parameters and not {"fused", "foreach", "differentiable"} & settings
    is_possible = not is_damped and _has_fused_kernel(target, groups)
    fused = {"fused": True} if is_free and is_possible else {}
    optimizer = builder.instance(call, "optimizer", Optimizer, groups, **fused)
    if can_skip and any(
        group.get("fused") and group.get("dampening") and group["momentum"] for group in optimizer.param_groups
    ):
        message = "torch's fused SGD with dampening cannot skip its first step, as fp16 may; remove `fused: true`"
        raise RecipeError.at(call.mark, message)
    _fill_momentum(optimizer)
    return optimizer


def _has_fused_kernel(target: Any, groups: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether all versions of torch have a fused kernel of the optimizer for the devices of the parameters."""
    types = {parameter.device.type for group in groups for parameter in group["params"]}
    return types <= {"cpu"} or not (inspect.isclass(target) and issubclass(target, Adagrad))


def _fill_momentum(optimizer: Optimizer) -> None:
    """Start the momentum of the fused SGD at zero. Without dampening the first step is the same as without momentum.

    torch creates these buffers in the first step without filling them, also if the gradient scaler skips that step.
    """
    for group in optimizer.param_groups if isinstance(optimizer, SGD) else ():
        if group["fused"] and group["momentum"] and not group["dampening"]:
            for parameter in group["params"]:
                optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))


def build_schedule(stage: Stage, optimizer: Optimizer, steps: int, builder: Builder) -> LRScheduler:
    """Build the schedule of a stage of `steps` optimizer steps.

    A schedule is a function of progress, as in `harness.schedules`, or a scheduler class of torch or transformers.
    Without one the learning rate is constant.

    Raises:
        RecipeError: The schedule cannot be built, or it needs a metric.
    """
    if any(group["lr"] is None for group in optimizer.param_groups):
        message = f"{stage.optimizer.use}: write lr, and relative_step: false; a schedule changes this learning rate"
        raise RecipeError.at(stage.optimizer.mark, message)
    ticks = steps if stage.schedule_per == "step" else stage.epochs
    if stage.schedule is None:
        return LambdaLR(optimizer, lambda tick: 1.0)
    if _is_scheduler(stage.schedule, builder):
        return _build_scheduler(stage.schedule, optimizer, ticks, builder)
    factor = builder.partial(stage.schedule, "schedule")
    try:
        return LambdaLR(optimizer, lambda tick: factor(tick / ticks, ticks))
    except (TypeError, ValueError) as error:
        raise RecipeError.at(stage.schedule.mark, f"{stage.schedule.use}: {error}") from error


def _is_scheduler(call: Call, builder: Builder) -> bool:
    return "optimizer" in inspect.signature(builder.target(call, "schedule")).parameters


def _build_scheduler(call: Call, optimizer: Optimizer, ticks: int, builder: Builder) -> LRScheduler:
    """Build a scheduler of torch or transformers, and those that it combines: its argument `schedulers`."""
    target = builder.target(call, "schedule")
    supplied: dict[str, Any] = {}
    parameters, parts = inspect.signature(target).parameters, call.args.get("schedulers", [])
    if "num_training_steps" in parameters:
        supplied["num_training_steps"] = ticks
    if parts:
        if not all(isinstance(part, Call) and _is_scheduler(part, builder) for part in parts):
            message = f"{call.use}: its schedulers are written {{use: torch.optim.lr_scheduler.NAME, ...}}"
            raise RecipeError.at(call.mark, message)
        supplied["schedulers"] = [_build_scheduler(part, optimizer, ticks, builder) for part in parts]
        call = replace(call, args={name: value for name, value in call.args.items() if name != "schedulers"})
    scheduler = builder.instance(call, "schedule", LRScheduler, optimizer=optimizer, **supplied)
    if isinstance(scheduler, ReduceLROnPlateau):
        message = f"{type(scheduler).__name__} needs a metric; a schedule of a recipe depends on the step alone"
        raise RecipeError.at(call.mark, message)
    _fill_momentum(optimizer)  # a schedule such as OneCycleLR sets the momentum
    return scheduler
