"""The optimizer, its settings per module, and the schedule of a stage."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import did_you_mean
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Called, Item
from zoo.recipes.allowed import OPTIMIZERS, SCHEDULERS, TRANSFORMERS_SCHEDULES

NO_DECAY_OPTIMIZER, POLY, LINEAR = "optimizer_no_decay", "poly_lr_scheduler", "get_linear_schedule_with_warmup"
NO_DECAY = ("bias", "LayerNorm.weight")
"""The parts of names whose parameters `optimizer_no_decay` does not decay by default."""
NOT_SUPPORTED = {"ReduceLROnPlateau": "needs a metric; a schedule of a recipe depends on the step alone"}
POLY_POWER = 0.9
UNSAID = "None"
"""A text that the older examples write for a number that their script fills in."""
OPTIMIZER_KEYS = ("key", "kwargs", "filters_params", "max_grad_norm", "grad_accum_step", "module_wise_configs",
                  "module_wise_kwargs")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """How torchdistill is run, which its configurations do not say."""

    processes: int = 1
    adjust_lr: bool = False
    """Whether its option `-adjust_lr` multiplies the learning rate by the number of processes."""

    rows: int | None = None
    """The rows of a batch of a process in place of those of the configuration."""

    @property
    def rate_factor(self) -> int:
        """The factor of all learning rates."""
        return self.processes if self.adjust_lr else 1


def convert_optimizer(config: Item, run: Invocation, found: Findings, *, has_teacher: bool) -> dict[str, Any]:
    """Return the keys of a recipe's stage for torchdistill's `optimizer`: `optimizer`, `groups` and `clip_norm`."""
    config.check_keys(OPTIMIZER_KEYS, "an optimizer")
    key = config.need("key")
    kwargs = config.get("kwargs") or Item(value={}, mark=config.mark)
    settings = {name: _setting(item) for name, item in kwargs.mapping.items()}
    groups: dict[str, dict[str, Any]] = {}
    if key.text == NO_DECAY_OPTIMIZER:
        name = kwargs.need("optimizer_key").text
        del settings["optimizer_key"]
        no_decay = settings.pop("no_decay", None) or NO_DECAY
        if settings.get("weight_decay"):
            groups = {_pattern(part): {"weight_decay": 0} for part in no_decay}
    else:
        name = key.text
    if name not in OPTIMIZERS:
        raise key.blocked(f"{name} is no optimizer of torch{did_you_mean(name, list(OPTIMIZERS))}")
    settings |= {"lr": _scaled(kwargs.need("lr"), run)} if "lr" in settings else {}
    keys: dict[str, Any] = {"optimizer": {"use": name, **settings}}
    read = "module_wise_configs" if has_teacher else "module_wise_kwargs"
    if (modules := config.get("module_wise_configs", "module_wise_kwargs")) is not None:
        own, trainable = _module_settings(modules, run)
        groups |= own
        keys |= {"trainable": trainable}
        if config.get(read) is None:
            found.differ(
                f"the recipe has the settings of modules. torchdistill 1.x reads {read} alone here, so it ignores them"
                " and trains the whole model with the same settings"
            )
    keys |= {"groups": groups} if groups else {}
    if (norm := config.get("max_grad_norm")) is not None:
        keys["clip_norm"] = float(norm.number)
    return keys


def _setting(item: Item) -> Any:
    """Return a setting as a plain value; a number that YAML 1.1 reads as a text is refused with its position."""
    parts = item.value if isinstance(item.value, tuple) else (item,)
    for part in parts:
        if isinstance(part.value, str) and _is_number(part.value):
            part.number  # noqa: B018  raises with the position
    return item.plain


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _pattern(part: str) -> str:
    """Return the path that matches the parameters whose name holds a text, as the optimizer of the examples does."""
    return f"*{part}*" if part != "LayerNorm.weight" else "*.LayerNorm.weight"


def _scaled(rate: Item, run: Invocation) -> float:
    return rate.number * run.rate_factor


def _module_settings(modules: Item, run: Invocation) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the settings of modules that have some, and all modules that are listed: only these learn."""
    groups: dict[str, dict[str, Any]] = {}
    listed: list[str] = []
    for item in modules.list:
        if (is_teacher := item.get("is_teacher")) is not None and is_teacher.flag:
            raise item.blocked("settings for modules of the teacher have no equal")
        path = item.need("module").text
        listed.append(path)
        kwargs = item.get("kwargs")
        settings = {name: _setting(value) for name, value in kwargs.mapping.items()} if kwargs else {}
        settings |= {"lr": _scaled(kwargs.need("lr"), run)} if kwargs and "lr" in settings else {}
        groups |= {path: settings} if settings else {}
    return groups, listed


@dataclass(frozen=True, kw_only=True)
class Length:
    """The length of a stage."""

    epochs: int | None
    """None if the configuration does not say it, which is a problem of its own."""
    accumulation: int
    """The batches of an optimizer step."""
    batches: int | None
    """The batches of an epoch of one process; None if the number of rows is not known."""


def convert_schedule(config: Item | None, length: Length, found: Findings) -> dict[str, Any]:
    """Return the keys of a recipe's stage for torchdistill's `scheduler`: `schedule` and `schedule_per`."""
    if config is None or not config.mapping:
        return {}
    config.check_keys(("key", "kwargs", "scheduling_step"), "a scheduler")
    key = config.need("key")
    kwargs = config.get("kwargs") or Item(value={}, mark=config.mark)
    every = item.whole if (item := config.get("scheduling_step")) else 0
    if every > 1:
        message = f"the schedule moves every {every} steps; that of a recipe moves per step or per epoch"
        raise config.need("scheduling_step").blocked(message)
    is_per_step = every > 0  # torchdistill moves the schedule once per epoch for any other value
    if key.text == POLY or key.text in TRANSFORMERS_SCHEDULES:
        if not is_per_step:
            message = (
                f"{key.text} counts steps, but without scheduling_step: 1 torchdistill moves it once per epoch, so"
            )
            raise key.blocked(f"{message} the learning rate hardly changes; write scheduling_step: 1")
        _check_length(kwargs, length)
    schedule = dict(_schedule(key, kwargs, length.accumulation if is_per_step else 1, found))
    return {
        "schedule": schedule if len(schedule) > 1 else schedule["use"],
        **({} if is_per_step else {"schedule_per": "epoch"}),
    }


def _check_length(kwargs: Item, length: Length) -> None:
    """Raise BlockedError if a schedule has another length than its stage, which is the length in a recipe."""
    steps = None if length.batches is None else math.ceil(length.batches / length.accumulation)
    in_all = None if steps is None or length.epochs is None else steps * length.epochs
    for name, of_stage, unit in (("num_epochs", length.epochs, "epochs"), ("num_iterations", length.batches, "batches"),
                                 ("num_training_steps", in_all, "steps")):  # fmt: skip
        item = kwargs.get(name)
        if item is None or isinstance(item.value, Called) or item.value == UNSAID:
            continue  # the script of torchdistill's examples fills the number in
        if of_stage is None and name != "num_epochs" and length.epochs is not None:
            message = f"{name}: the number of {unit} of this stage is not known, so the two cannot be compared; write"
            raise item.blocked(f"{message} `{name}:` without a number, then the schedule ends with the stage")
        if of_stage is not None and item.number != of_stage:
            message = f"{name}: the schedule counts {item.number:g} {unit}, the stage has {of_stage}; that of a recipe"
            raise item.blocked(f"{message} ends with its stage")


def _schedule(key: Item, kwargs: Item, accumulation: int, found: Findings) -> Iterator[tuple[str, Any]]:
    name = key.text
    if name == POLY:
        yield "use", "poly"
        yield "power", item.number if (item := kwargs.get("power")) else POLY_POWER
        if accumulation > 1:
            share = f"1 / {accumulation}"
            found.differ(
                f"with grad_accum_step: {accumulation}, torchdistill's poly schedule moves once per optimizer step but"
                f" counts all batches, so it ends at {share} of its range; that of the recipe ends at a rate of 0"
            )
    elif name in TRANSFORMERS_SCHEDULES:
        warmup = kwargs.get("num_warmup_steps")
        if name == LINEAR and not (warmup and warmup.number):
            yield "use", "linear"
            return
        yield "use", f"transformers.{name}"
        yield from ((part, _setting(item)) for part, item in _without(kwargs.mapping, "num_training_steps"))
    elif name in SCHEDULERS and name not in NOT_SUPPORTED:
        yield "use", f"torch.optim.lr_scheduler.{name}"
        yield from ((part, _setting(item)) for part, item in kwargs.mapping.items())
    else:
        hint = (
            NOT_SUPPORTED.get(name) or f"is no schedule of torch or transformers{did_you_mean(name, list(SCHEDULERS))}"
        )
        raise key.blocked(f"{name} {hint}")


def _without(values: Mapping[str, Item], key: str) -> Iterator[tuple[str, Item]]:
    return ((name, item) for name, item in values.items() if name != key)
