"""The hyperparameters of a card as the stage of a recipe.

The names are those that `extract_hyperparameters_from_trainer` of transformers/modelcard.py writes.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from zoo.errors import did_you_mean
from zoo.importers.settings import Notes, Settings, scalar
from zoo.importers.trainer.schedules import epochs_of, schedule_of

KNOWN = (
    "learning_rate", "train_batch_size", "eval_batch_size", "seed", "distributed_type", "num_devices",
    "gradient_accumulation_steps", "total_train_batch_size", "total_eval_batch_size", "optimizer", "lr_scheduler_type",
    "lr_scheduler_warmup_ratio", "lr_scheduler_warmup_steps", "training_steps", "num_epochs",
    "mixed_precision_training", "label_smoothing_factor", "weight_decay", "max_grad_norm",
)  # fmt: skip
_NUMBER = r"([-+\d.eE]{1,30})"
_ADAM = re.compile(rf"(?:Use )?(\S+) with betas=\({_NUMBER}, ?{_NUMBER}\) and epsilon={_NUMBER}(.*)", re.DOTALL)
_OTHER = re.compile(r"(?:Use )?(\S+)(?: and the args are:)?(.*)", re.DOTALL)
_NO_ARGUMENTS = re.compile(r"(?:\s*and optimizer_args=)?\s*(?:No additional optimizer arguments)?\s*")
ADAMW = ("adam", "adamw", "adamw_torch", "adamw_torch_fused", "adamw_torch_xla", "adamw_hf", "paged_adamw_32bit",
         "paged_adamw", "adamw_apex_fused", "adamw_torch_npu_fused")  # fmt: skip
"""Names under which the Trainer computes AdamW in full precision. Older cards call it Adam."""
OTHERS: dict[str, dict[str, Any]] = {
    "sgd": {"use": "SGD"}, "adagrad": {"use": "Adagrad"}, "rmsprop": {"use": "RMSprop"},
    "adafactor": {"use": "transformers.Adafactor", "scale_parameter": False, "relative_step": False},
}  # fmt: skip
LOSSES = {
    "classification": "CrossEntropy",
    "tags": "CrossEntropy",
    "multilabel": "BinaryCrossEntropy",
    "regression": "MSE",
}
"""The losses of the classifiers of transformers, by the kind of task."""


def convert_stage(
    values: Settings, kind: str, rows: int | None, notes: Notes, undecayed: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the only stage of the recipe.

    Args:
        values: The hyperparameters.
        kind: The kind of the task, a key of `LOSSES`.
        rows: The number of rows of the split that trains, if it is known.
        notes: Collects obstacles, assumptions and differences.
        undecayed: Paths of the parameters without weight decay.
    """
    _check_names(values, notes)
    batch = _batch_size(values, notes)
    epochs = epochs_of(values, batch, rows, notes)
    steps = math.ceil(rows / batch) * epochs if rows else None
    norm = values.number("max_grad_norm", 1.0, least=0)
    groups = {path: {"weight_decay": 0.0} for path in undecayed}
    unsaid = {"weight_decay": "0.0", "max_grad_norm": "1.0"}
    if lacking := [f"{name} {default}" for name, default in unsaid.items() if values.value(name) is None]:
        notes.assume(f"the card has no {' and no '.join(lacking)}, which are the Trainer's defaults")
    return {
        "epochs": epochs, "batch_size": batch, "optimizer": _optimizer(values, notes),
        **({"groups": groups} if groups else {}),
        **schedule_of(values, steps, notes), **({"clip_norm": float(norm)} if norm else {}),
        "criterion": {"loss": {"loss": _loss(values, kind, notes)}},
    }  # fmt: skip


def precision_of(values: Settings, notes: Notes) -> str | None:
    """Return the precision of the training, if the card names one: `fp16`."""
    if values.value("mixed_precision_training") is None:
        return None
    notes.differ("the training computed in mixed precision (fp16); train with --precision fp16 to do the same")
    return "fp16"


def _check_names(values: Settings, notes: Notes) -> None:
    for name, setting in values.values.items():
        if name not in KNOWN:
            hint = did_you_mean(name, [*KNOWN]) or "; zoo does not know it"
            notes.refuse(
                setting.mark, f"unknown hyperparameter {name!r}{hint}; remove the line from a copy of the card"
            )
    if (seed := values.value("seed")) is not None:
        notes.assume(f"the seed {seed} of the Trainer draws other random numbers here; zoo trains its own seeds")


def _batch_size(values: Settings, notes: Notes) -> int:
    """Return the examples of an optimizer step: `total_train_batch_size`, else the product of its three factors."""
    if values.value("train_batch_size") is None and values.value("total_train_batch_size") is None:
        notes.assume("the card has no train_batch_size; the Trainer's default is 8")
    one, devices = values.whole("train_batch_size", 8, least=1), values.whole("num_devices", 1, least=1)
    product = one * devices * values.whole("gradient_accumulation_steps", 1, least=1)
    total = values.whole("total_train_batch_size", product, least=1)
    if total != product:
        notes.assume(
            f"a batch has {total:,} rows, by total_train_batch_size; the other numbers of the card give {product:,}"
        )
    return total


def _optimizer(values: Settings, notes: Notes) -> dict[str, Any]:
    if values.value("learning_rate") is None:
        notes.assume("the card has no learning_rate; the Trainer's default is 5e-05")
    common = {"lr": values.number("learning_rate", 5e-5, least=0),
              "weight_decay": float(values.number("weight_decay", 0.0, least=0))}  # fmt: skip
    text = values.text("optimizer")
    if not text:
        notes.assume("the card has no optimizer; the Trainer's default is AdamW")
        return {"use": "AdamW", **common}
    adam, other = _ADAM.fullmatch(text), _OTHER.fullmatch(text)
    found = adam or other
    name = found[1].rpartition(".")[2].lower() if found else text
    is_plain = found is not None and _NO_ARGUMENTS.fullmatch(found[found.re.groups]) is not None
    if not is_plain or (name not in ADAMW and name not in OTHERS):
        message = f"optimizer: {text[:100]!r} has no equal in torch"
        notes.refuse(values.mark("optimizer"), f"{message}; write `Use adamw_torch with betas=(0.9,0.999) and"
                     " epsilon=1e-08` in a copy of the card, or another optimizer in the recipe")  # fmt: skip
        return {"use": "AdamW", **common}
    if name == "adam":
        notes.assume("'Adam' in a card of the Trainer is AdamW, the optimizer that it used")
    if name not in ADAMW:
        return {**OTHERS[name], **common}
    numbers = [scalar(adam[index]) for index in (2, 3, 4)] if adam else [0.9, 0.999, 1e-8]
    if not all(isinstance(number, int | float) and 0 <= number < 1 for number in numbers):
        message = f"optimizer: betas and epsilon are numbers from 0 to below 1, not {', '.join(map(str, numbers))}"
        notes.refuse(values.mark("optimizer"), f"{message}; correct them in a copy of the card")
    return {"use": "AdamW", "lr": common["lr"], "betas": numbers[:2], "eps": numbers[2],
            "weight_decay": common["weight_decay"]}  # fmt: skip


def _loss(values: Settings, kind: str, notes: Notes) -> Any:
    smoothing = values.number("label_smoothing_factor", 0.0, least=0)
    if not smoothing:
        return LOSSES[kind]
    if LOSSES[kind] != "CrossEntropy":
        message = f"label_smoothing_factor: the loss of a {kind} has no smoothing; remove it from a copy of the card"
        notes.refuse(values.mark("label_smoothing_factor"), message)
    return {"use": "CrossEntropy", "label_smoothing": smoothing}
