"""The fields of a recipe that hold a call: where their names are looked up, and what they may name."""

from collections.abc import Mapping
from dataclasses import dataclass

MODULE, TORCHVISION = "torch.nn.modules.module.Module", "torchvision.models"


@dataclass(frozen=True)
class CallField:
    """A field that holds a call."""

    namespaces: tuple[str, ...]
    """The modules in which a bare name is looked up, in order."""
    supplied: tuple[str, ...] = ()
    """The arguments that zoo passes itself, so that a recipe does not state them."""
    classes: tuple[str, ...] = ()
    """The base classes of classes that a dotted name may lead to."""
    functions: tuple[str, ...] = ()
    """The modules whose public functions a dotted name may lead to."""


FIELDS: Mapping[str, CallField] = {
    "task": CallField(("zoo.tasks",), ("tokenizer",), functions=("zoo.tasks",)),
    "model": CallField(
        ("zoo.models", TORCHVISION, f"{TORCHVISION}.segmentation"),
        classes=(MODULE, "transformers.configuration_utils.PreTrainedConfig"),
        functions=("zoo.models", TORCHVISION),
    ),
    "tokenizer": CallField(
        ("zoo.tokenizers",),
        classes=("transformers.tokenization_utils_base.PreTrainedTokenizerBase",),
        functions=("zoo.tokenizers",),
    ),
    "metrics": CallField(
        ("harness.metrics",),
        ("predictions", "labels", "ranked", "confusion"),
        classes=("evaluate.module.EvaluationModule",),
        functions=("harness.metrics",),
    ),
    "optimizer": CallField(("torch.optim",), ("params",), classes=("torch.optim.optimizer.Optimizer",)),
    "schedule": CallField(
        ("harness.schedules",),
        ("progress", "steps", "optimizer", "num_training_steps"),
        classes=("torch.optim.lr_scheduler.LRScheduler",),
        functions=("harness.schedules", "transformers.optimization"),
    ),
    "loss": CallField(("harness.losses",), classes=(MODULE,)),
    "train_transforms": CallField(("torchvision.transforms.v2",), classes=(MODULE,)),
    "eval_transforms": CallField(("torchvision.transforms.v2",), classes=(MODULE,)),
}


def nearest_field(key: str, parent: str) -> str:
    """Return the field that decides how names in an argument are looked up: the argument's own, or its parent's."""
    return key if key in FIELDS else parent
