"""The length and the learning-rate schedule of a training by the Trainer."""

import math
from typing import Any

from zoo.importers.settings import Notes, Settings

LINEAR, COSINE, CONSTANT = "linear", "cosine", "constant"
OF_TRANSFORMERS = {
    LINEAR: "get_linear_schedule_with_warmup", COSINE: "get_cosine_schedule_with_warmup",
    "cosine_with_restarts": "get_cosine_with_hard_restarts_schedule_with_warmup",
    "polynomial": "get_polynomial_decay_schedule_with_warmup",
    "constant_with_warmup": "get_constant_schedule_with_warmup", "inverse_sqrt": "get_inverse_sqrt_schedule",
}  # fmt: skip
"""Types of schedules, and the functions of transformers that the Trainer calls."""
BY_SHARE = {LINEAR: LINEAR, COSINE: COSINE, "constant_with_warmup": CONSTANT}
"""Types of schedules, and those of zoo whose warm-up is a share of the training."""


def epochs_of(values: Settings, batch: int, rows: int | None, notes: Notes) -> int:
    """Return the number of epochs, by `num_epochs` or by `training_steps`.

    Args:
        values: The hyperparameters.
        batch: The examples of an optimizer step.
        rows: The number of rows of the split that trains, if it is known.
        notes: Collects obstacles.
    """
    if (steps := values.value("training_steps")) is None:
        return _whole_epochs(values, notes)
    if not rows:
        message = "training_steps: the number of rows is not known, so it is no number of epochs"
        notes.refuse(values.mark("training_steps"), f"{message}; write num_epochs into a copy of the card instead")
        return 1
    per_epoch, steps = math.ceil(rows / batch), values.whole("training_steps", 1, least=1)
    if steps % per_epoch:
        message = f"training_steps: {steps:,} steps are {steps / per_epoch:.2f} epochs of {per_epoch:,} steps; a recipe"
        nearest = max(round(steps / per_epoch), 1)
        notes.refuse(values.mark("training_steps"), f"{message} trains whole ones; write `num_epochs: {nearest}` in a"
                     " copy of the card instead")  # fmt: skip
    return max(steps // per_epoch, 1)


def _whole_epochs(values: Settings, notes: Notes) -> int:
    if values.value("num_epochs") is None:
        notes.assume("the card has no num_epochs; the Trainer's default is 3")
    epochs = values.number("num_epochs", 3.0, least=0)
    if epochs < 1 or epochs != int(epochs):
        message = f"num_epochs: a recipe trains whole epochs, not {epochs:g}"
        nearest = max(round(epochs), 1)
        notes.refuse(values.mark("num_epochs"), f"{message}; write `num_epochs: {nearest}` in a copy of the card")
        return 1
    return int(epochs)


def schedule_of(values: Settings, steps: int | None, notes: Notes) -> dict[str, Any]:
    """Return the key `schedule` of a stage; nothing for a constant learning rate.

    Args:
        values: The hyperparameters.
        steps: The number of optimizer steps, if it is known.
        notes: Collects obstacles, assumptions and differences.
    """
    kind = values.text("lr_scheduler_type") or LINEAR
    kind = kind.removeprefix("SchedulerType.").lower()
    if values.value("lr_scheduler_type") is None:
        notes.assume("the card has no lr_scheduler_type; the Trainer's default is linear")
    if kind == CONSTANT:
        return {}
    if kind not in OF_TRANSFORMERS:
        message = f"lr_scheduler_type: {kind[:60]!r} is not converted; write one of {', '.join(OF_TRANSFORMERS)} or"
        notes.refuse(values.mark("lr_scheduler_type"), f"{message} {CONSTANT} in a copy of the card")
        return {}
    warmup, share = _warmup(values, steps)
    if warmup == 0 and kind in (LINEAR, COSINE):
        return {"schedule": kind}
    if warmup is not None:
        return {"schedule": {"use": f"transformers.{OF_TRANSFORMERS[kind]}", "num_warmup_steps": warmup}}
    if kind not in BY_SHARE or share >= 1:
        message = (
            f"the warm-up is a share of {share:g} of an unknown number of steps, which {kind} of zoo does not take"
        )
        notes.refuse(values.mark("lr_scheduler_warmup_ratio", "lr_scheduler_warmup_steps"),
                     f"{message}; write lr_scheduler_warmup_steps in a copy of the card")  # fmt: skip
        return {}
    notes.differ(f"the warm-up is {share:g} of the training; it begins at 1 / (steps + 1) of the learning rate, that of"
                 " the Trainer at 0")  # fmt: skip
    return {"schedule": {"use": BY_SHARE[kind], "warmup": share}}


def _warmup(values: Settings, steps: int | None) -> tuple[int | None, float]:
    """Return the steps of the warm-up, or None and their share if the number of all steps is not known.

    Version 5 of transformers writes a share as `lr_scheduler_warmup_steps` below 1.
    """
    number = values.number("lr_scheduler_warmup_steps", 0, least=0)
    share = number if 0 < number < 1 else values.number("lr_scheduler_warmup_ratio", 0, least=0)
    if share > 1:
        message = f"lr_scheduler_warmup_ratio: the warm-up is a share of the training, from 0 to 1, not {share:g}"
        values.notes.refuse(values.mark("lr_scheduler_warmup_ratio"), f"{message}; correct it in a copy of the card")
        share = 0.0
    if number >= 1 or not share:
        return int(number), 0.0
    return (None if steps is None else math.ceil(steps * share)), share
