"""The optimizer, the schedule and the loss of a training by timm."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.importers.settings import Notes, Settings

OPTIMIZERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "sgd": ("SGD", {"nesterov": True}), "nesterov": ("SGD", {"nesterov": True}), "momentum": ("SGD", {}),
    "adam": ("Adam", {}), "adamw": ("AdamW", {}), "nadam": ("NAdam", {}), "radam": ("RAdam", {}),
    "radamw": ("RAdam", {"decoupled_weight_decay": True}), "adamax": ("Adamax", {}), "adadelta": ("Adadelta", {}),
    "adagrad": ("Adagrad", {"eps": 1e-8}), "rmsprop": ("RMSprop", {"alpha": 0.9}),
}  # fmt: skip
"""Names of timm whose optimizer is one of torch, with timm's own defaults (timm/optim/_optim_factory.py)."""
WITH_MOMENTUM, WITH_BETAS, WITHOUT_EPS = ("SGD", "RMSprop"), ("Adam", "AdamW", "NAdam", "RAdam", "Adamax"), ("SGD",)
SCHEDULES = ("cosine", "step", "multistep", "poly", "constant", "none")
CYCLES = ("cosine", "poly")
"""Schedules with a length of their own, after which the cooldown follows."""


def convert_stage(
    settings: Settings, undecayed: Sequence[str], scored: str, processes: int, notes: Notes
) -> dict[str, Any]:
    """Return the only stage of the recipe.

    Args:
        settings: The options.
        undecayed: Paths of the parameters without weight decay.
        scored: The split by which timm selects the best epoch.
        processes: How many processes timm ran; its batch size is per process.
        notes: Collects obstacles, assumptions and differences.
    """
    batch = settings.whole("batch_size", 128, least=1) * settings.whole("grad_accum_steps", 1, least=1) * processes
    rate = _rate(settings, batch, notes)
    decay = settings.number("weight_decay", 2e-5, least=0)
    groups = {path: {"weight_decay": 0.0} for path in undecayed} if decay else {}
    epochs, schedule = _schedule(settings, rate, notes)
    return {
        "epochs": epochs, "batch_size": batch, "drop_last": True,
        "optimizer": _optimizer(settings, rate, decay, notes),
        **({"groups": groups} if groups else {}), **schedule, **_clipping(settings, notes),
        "criterion": {"ce": {"loss": _loss(settings)}}, **_selection(settings, scored, notes),
    }  # fmt: skip


def _rate(settings: Settings, batch: int, notes: Notes) -> float:
    """Return the learning rate: that of the file, or the one that `train.py` makes of `lr_base` and the batch size."""
    if settings.value("lr") is not None:
        return settings.number("lr", 0.05, least=0)
    base, size = settings.number("lr_base", 0.1, least=0), settings.number("lr_base_size", 256, least=1)
    name = settings.text("opt", "sgd").lower()
    kind = settings.text("lr_base_scale") or ("sqrt" if any(part in name for part in ("ada", "lamb")) else "linear")
    if kind not in ("sqrt", "linear"):
        message = f"lr_base_scale: {kind[:60]!r} is unknown; write `linear` or `sqrt` in a copy of the file"
        notes.refuse(settings.mark("lr_base_scale"), message)
    factor = math.sqrt(batch / size) if kind == "sqrt" else batch / size
    rate = float(f"{base * factor:.10g}")
    notes.assume(
        f"the learning rate is {rate:g}: lr_base {base:g}, scaled ({kind}) from a batch of {size:g} to {batch:,}"
    )
    return rate


def _optimizer(settings: Settings, rate: float, decay: float, notes: Notes) -> dict[str, Any]:
    name = settings.text("opt", "sgd").lower()
    if name not in OPTIMIZERS:
        listed = ", ".join(OPTIMIZERS)
        message = f"opt: torch has no {name[:60]!r}; write one of {listed} in a copy of the file, or another optimizer"
        notes.refuse(settings.mark("opt"), f"{message} in the recipe")
        return {}
    use, own = OPTIMIZERS[name]
    optimizer: dict[str, Any] = {"use": use, "lr": rate, **own, "weight_decay": decay}
    if use in WITH_MOMENTUM:
        optimizer["momentum"] = settings.number("momentum", 0.9, least=0)
    if settings.value("opt_betas") is not None and use in WITH_BETAS:
        optimizer["betas"] = settings.numbers("opt_betas", (0.9, 0.999), (2,))
    if settings.value("opt_eps") is not None and use not in WITHOUT_EPS:
        optimizer["eps"] = settings.number("opt_eps", 1e-8, least=0)
    further = settings.value("opt_kwargs") or {}
    if not isinstance(further, dict) or not all(isinstance(value, bool | int | float) for value in further.values()):
        message = "opt_kwargs must be numbers by their names; write `opt_kwargs: {}` in a copy of the file"
        notes.refuse(settings.mark("opt_kwargs"), message)
        return optimizer
    return {**optimizer, **further}


def _schedule(settings: Settings, rate: float, notes: Notes) -> tuple[int, dict[str, Any]]:
    """Return the number of epochs, with the warm-up and the cooldown, and the schedule."""
    kind, epochs = settings.text("sched", "cosine"), settings.whole("epochs", 300, least=1)
    if kind not in SCHEDULES:
        message = f"sched: zoo has no {kind[:60]!r}; write one of {', '.join(SCHEDULES)} in a copy of the file"
        notes.refuse(settings.mark("sched"), message)
    if kind == "none" or not rate:
        return epochs, {}
    warmup = settings.number("warmup_epochs", 5, least=0)
    prefix = settings.flag("warmup_prefix")
    cooldown = settings.whole("cooldown_epochs", 0) if kind in CYCLES else 0
    total = math.floor(epochs + cooldown + (warmup if prefix else 0))
    call: dict[str, Any] = {"use": f"timm_{'step' if kind == 'constant' else kind}", "epochs": total}
    if warmup:
        call |= {"warmup": warmup, "start": _share(settings.number("warmup_lr", 1e-5, least=0), rate)}
    call |= {"prefix": True} if prefix and warmup else {}
    call |= _decay(kind, epochs, rate, settings)
    per = {} if settings.flag("sched_on_updates") else {"schedule_per": "epoch"}
    return total, {"schedule": call, **per}


def _decay(kind: str, epochs: int, rate: float, settings: Settings) -> dict[str, Any]:
    """Return the arguments of a schedule for what follows the warm-up."""
    factor = settings.number("decay_rate", 0.1, least=0)
    if kind == "constant":
        return {"every": 1, "gamma": 1.0}
    if kind == "step":
        return {"every": settings.number("decay_epochs", 90, least=0.01), "gamma": factor}
    if kind == "multistep":
        return {"milestones": settings.numbers("decay_milestones", (90, 180, 270)), "gamma": factor}
    least = _share(settings.number("min_lr", 0.0, least=0), rate)
    power = settings.number("lr_k_decay", 1.0, least=0)
    return {
        "length": epochs, **({"least": least} if least else {}), **({"k": power} if power != 1 else {}),
        **({"power": factor} if kind == "poly" else {}),
    }  # fmt: skip


def _share(rate: float, of: float) -> float:
    return float(f"{rate / of:.12g}")


def _clipping(settings: Settings, notes: Notes) -> dict[str, Any]:
    if settings.value("clip_grad") is None:
        return {}
    if (mode := settings.text("clip_mode", "norm")) != "norm":
        message = f"clip_mode: a recipe clips the norm of the gradient, not by {mode[:60]!r}"
        notes.refuse(settings.mark("clip_mode"), f"{message}; write `clip_mode: norm` in a copy of the file")
    norm = settings.number("clip_grad", 0.0, least=0)
    return {"clip_norm": float(norm)} if norm else {}


def _loss(settings: Settings) -> Any:
    smoothing = settings.number("smoothing", 0.1, least=0)
    return {"use": "CrossEntropy", "label_smoothing": smoothing} if smoothing else "CrossEntropy"


def _selection(settings: Settings, scored: str, notes: Notes) -> dict[str, Any]:
    """Return the keys by which the recipe ends with the epoch that timm saves as `model_best.pth.tar`."""
    metric = settings.text("eval_metric", "top1")
    by = {"top5": "top5_accuracy"}.get(metric, "accuracy")
    if metric not in ("top1", "top5"):
        notes.differ(f"timm selects the epoch by {metric[:60]}, the recipe by {by}")
    notes.assume(f"the weights are those of the best epoch on {scored}, timm's model_best.pth.tar; for the last epoch"
                 " remove selection, selected_on and selected_by")  # fmt: skip
    return {"selection": "best", "selected_on": scored, "selected_by": [by]}
