"""Compare the classes of annotated boxes with those of a detector."""

from typing import Any

from torch import nn

from zoo.errors import UsageError
from zoo.tasks.base import Split
from zoo.tasks.coco_boxes import Numbering


def check_classes(model: nn.Module, split: Split, where: str) -> None:
    """Check that a detector knows each class of a split.

    Args:
        model: The model. Only one with an attribute `num_classes`, such as `zoo.models.detector`, is checked.
        split: The rows. Only boxes are checked.
        where: What the rows are, for messages, such as "the split 'train'".

    Raises:
        UsageError: An object has a class that the model does not have.
    """
    outputs, numbering = _sides(model, split)
    largest: int = getattr(split, "largest_class", 0)
    if outputs is None or numbering is None or largest < outputs:
        return
    remedy = f"set num_classes: {numbering.outputs} in the model"
    if not numbering.contiguous and numbering.other.outputs <= outputs:
        remedy += ", or contiguous: true in the task, if the model numbers the categories from 1"
    raise UsageError(
        f"{numbering.path}: {where} has an object of class {largest}, but the model has the classes 0 to"
        f" {outputs - 1}, of which 0 is the background; {remedy}"
    )


def classes_note(model: nn.Module, split: Split) -> str | None:
    """Return that the number of a model's classes fits only the other way to number the categories, or None."""
    outputs, numbering = _sides(model, split)
    if numbering is None or outputs == numbering.outputs or outputs != numbering.other.outputs:
        return None
    value = str(not numbering.contiguous).lower()
    return (
        f"the model has {outputs} classes with the background, but the task numbers the categories of"
        f" {numbering.path.name} so that there are {numbering.outputs}; {outputs} fits contiguous: {value} in the task"
    )


def _sides(model: Any, split: Any) -> tuple[int | None, Numbering | None]:
    """Return the number of classes of a detector, and how those of a split of boxes are numbered."""
    return getattr(model, "num_classes", None), getattr(split, "numbering", None)
