"""What tasks over images do unless a recipe says otherwise, without torchvision, which takes seconds to import."""

from collections.abc import Mapping
from typing import Any

SIZE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, as torchvision's models expect them."""
TASKS = ("image_folder", "image_classification")
"""The tasks with these defaults."""


def with_defaults(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the task of a recipe as plain data, with the transforms that a task over images leaves out."""
    if task["use"] not in TASKS or task.get("preprocessing") is not None:
        return task
    size = task.get("size") or SIZE
    augmented = [{"use": "RandomResizedCrop", "size": size}, {"use": "RandomHorizontalFlip"}]
    plain = [{"use": "Resize", "size": resized(size)}, {"use": "CenterCrop", "size": size}]
    defaults = {"train_transforms": augmented, "eval_transforms": plain, "mean": list(MEAN), "std": list(STD)}
    written = {name: value for name, value in task.items() if value is not None}
    return {**defaults, **written}


def resized(size: int) -> int:
    """Return the side of an image before the center crop, in the proportion of torchvision's references."""
    return round(size * 256 / 224)
