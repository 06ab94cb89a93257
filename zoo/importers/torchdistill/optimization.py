"""The optimizer, its settings per module, and the schedule of a stage."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import did_you_mean
from zoo.importers.torchdistill.findings import Findings
from zoo.importers.torchdistill.items import Item
from zoo.recipes.allowed import OPTIMIZERS, SCHEDULERS, TRANSFORMERS_SCHEDULES

NO_DECAY_OPTIMIZER, POLY, LINEAR = "optimizer_no_decay", "poly_lr_scheduler", "get_linear_schedule_with_warmup"
NO_DECAY = ("bias", "LayerNorm.weight")
"""The parts of names whose parameters `optimizer_no_decay` does not decay by default."""
NOT_SUPPORTED = {"ReduceLROnPlateau": "needs a metric; a schedule of a recipe depends on the step alone"}
POLY_POWER = 0.9
OPTIMIZER_KEYS = ("key", "kwargs", "filters_params", "max_grad_norm", "grad_accum_step", "module_wise_configs")


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
    settings = {name: item.plain for name, item in kwargs.mapping.items()}
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
    if (modules := config.get("module_wise_configs")) is not None:
        own, trainable = _module_settings(modules, run)
        groups |= own
        keys |= {"trainable": trainable}
        found.differ(
            "the learning rates per module are those of the configuration. torchdistill 1.x reads only the key"
            f" {'module_wise_configs' if has_teacher else 'module_wise_kwargs'}, and ignores other names of it"
        )
    keys |= {"groups": groups} if groups else {}
    if (norm := config.get("max_grad_norm")) is not None:
        keys["clip_norm"] = float(norm.number)
    return keys


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
        settings = {name: value.plain for name, value in kwargs.mapping.items()} if kwargs else {}
        settings |= {"lr": _scaled(kwargs.need("lr"), run)} if kwargs and "lr" in settings else {}
        groups |= {path: settings} if settings else {}
    return groups, listed


def convert_schedule(config: Item | None, accumulation: int, found: Findings) -> dict[str, Any]:
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
    schedule = dict(_schedule(key, kwargs, accumulation if every else 1, found))
    return {
        "schedule": schedule if len(schedule) > 1 else schedule["use"],
        **({} if every else {"schedule_per": "epoch"}),
    }


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
        yield from ((part, item.plain) for part, item in _without(kwargs.mapping, "num_training_steps"))
    elif name in SCHEDULERS and name not in NOT_SUPPORTED:
        yield "use", f"torch.optim.lr_scheduler.{name}"
        yield from ((part, item.plain) for part, item in kwargs.mapping.items())
    else:
        hint = (
            NOT_SUPPORTED.get(name) or f"is no schedule of torch or transformers{did_you_mean(name, list(SCHEDULERS))}"
        )
        raise key.blocked(f"{name} {hint}")


def _without(values: Mapping[str, Item], key: str) -> Iterator[tuple[str, Item]]:
    return ((name, item) for name, item in values.items() if name != key)
