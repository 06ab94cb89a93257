"""The fields of a recipe that hold a call, and where bare names in them are looked up."""

from collections.abc import Mapping
from dataclasses import dataclass

TORCHVISION = "torchvision.models"
METRIC_ARRAYS = ("predictions", "ranked", "confusion", "entities", "words", "answers", "detections")
"""The first argument of a metric, which says what it reads; see `harness.metrics`."""


@dataclass(frozen=True)
class CallField:
    """A field that holds a call."""

    namespaces: tuple[str, ...]
    """The modules in which a bare name is looked up, in order."""
    supplied: tuple[str, ...] = ()
    """The arguments that zoo passes itself, so that a recipe does not state them."""


FIELDS: Mapping[str, CallField] = {
    "task": CallField(("zoo.tasks",), ("tokenizer",)),
    "model": CallField(("zoo.models", TORCHVISION, f"{TORCHVISION}.segmentation")),
    "tokenizer": CallField(("zoo.tokenizers",)),
    "metrics": CallField(
        ("harness.metrics", "harness.entity_metrics", "harness.answer_metrics", "harness.detection_metrics"),
        (*METRIC_ARRAYS, "labels", "objects", "y_true", "y_pred", "x", "y", "a", "b"),
    ),
    "optimizer": CallField(("torch.optim",), ("params",)),
    "schedule": CallField(("harness.schedules",), ("progress", "steps", "optimizer", "num_training_steps")),
    "loss": CallField(("harness.losses",)),
    "train_transforms": CallField(("torchvision.transforms.v2",)),
    "preprocessing": CallField(("zoo.preprocessing",)),
    "eval_transforms": CallField(("torchvision.transforms.v2",)),
}


def nearest_field(key: str, parent: str) -> str:
    """Return the field that decides how names in an argument are looked up: the argument's own, or its parent's."""
    return key if key in FIELDS else parent
