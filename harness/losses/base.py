"""The base class of losses."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from harness.models.outputs import ModelOutputs
from zoo.recipes.loss_needs import LossNeeds, check_names, needs_of
from zoo.tasks.base import Split

IGNORE_INDEX = -100
"""The label that torch's cross entropy leaves out by default."""


class Loss(nn.Module):
    """A term of a stage's criterion.

    A subclass implements `forward(student, teacher, labels)` and returns a scalar, the mean over the batch:

    - `student` and `teacher` are `ModelOutputs`. The teacher's tensors are detached. A loss with `needs_teacher` always
      gets a teacher; any other loss gets None if the term has no teacher.
    - `labels` has shape `(B,)`. With `reads_batch` the whole `Batch` is passed in its place.

    Set the attributes below on the class, or on `self` in `__init__`. A misspelled one raises UsageError. Names that
    start with `needs_` or `reads_` are reserved for them.
    """

    needs_teacher: bool = LossNeeds.needs_teacher
    """The loss compares the student with a teacher."""
    reads_logits: bool = LossNeeds.reads_logits
    """The loss reads logits. If no loss of a stage does, the forward pass stops at the last feature."""
    student_features: tuple[str, ...] = LossNeeds.student_features
    """Feature paths of the student, read as `student["layer1.0:output"]`; see `harness.models.feature_hooks`."""
    teacher_features: tuple[str, ...] = LossNeeds.teacher_features
    """Feature paths of the teacher."""
    needs_whole_batch: bool = LossNeeds.needs_whole_batch
    """The loss compares rows with each other, or divides by something that only the whole batch has, so a batch cannot
    be split into micro-batches or over processes."""
    needs_two_rows: bool = LossNeeds.needs_two_rows
    """The loss is undefined for a batch of one row."""
    reads_batch: bool = LossNeeds.reads_batch
    """`forward` takes the whole `Batch`, with ids and inputs, in place of its labels."""
    inherited_parts: tuple[str, ...] = LossNeeds.inherited_parts
    """Submodules that an earlier stage must have trained: that stage lists the term of the same name in its `keep`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_names(cls, vars(cls))

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Create learned submodules that fit the models' shapes.

        Called once, before the optimizer is built. Modules set on `self` are trained, saved and moved to the device.

        Args:
            student: Outputs of the student for two examples, in `eval()` mode.
            teacher: Outputs of the teacher for the same examples; None if the term has no teacher.

        Raises:
            ValueError: The shapes do not fit the loss.
        """

    def denominator(self, labels: Tensor) -> float:
        """Return what the mean over rows with these labels divides by: their number, unless rows weigh differently.

        Override it for a loss that leaves out some labels or weighs classes, such as `ignore_index` or `weight` of
        `torch.nn.CrossEntropyLoss`. The mean over a batch that is computed in parts, as micro-batches or by several
        processes, is then that of the whole batch.
        """
        return len(labels)

    def prepare_split(self, split: Split) -> Split:
        """Return the split to train on, with the same number of rows as `split`."""
        return split


def counts_labels(loss: nn.Module, labels: Tensor | None) -> bool:
    """Return whether the mean of a loss divides by something else than the number of rows, by its `denominator`.

    Args:
        loss: The loss.
        labels: The labels of all rows that it is computed for, `(N,)`; None if they are not known.
    """
    denominator = _overridden_method(loss, "denominator")
    if denominator is None or labels is None or labels.dim() != 1 or labels.is_floating_point():
        return denominator is not None
    return any(float(denominator(label.reshape(1))) != 1 for label in torch.unique(labels))


def is_denominator_known(loss: nn.Module, labels: Tensor | None) -> bool:
    """Return whether it is known what the mean of a loss divides by, so that a batch can be computed in parts.

    It is unknown for an `nn.Module` that declares neither `denominator` nor `needs_whole_batch`, and for a loss without
    a `denominator` that has an `ignore_index` or class weights, or whose labels are partly torch's `IGNORE_INDEX`.

    Args:
        loss: The loss.
        labels: The labels of all rows that it is computed for, `(N,)`; None if they are not known.
    """
    if _overridden_method(loss, "denominator"):
        return True
    if not (isinstance(loss, Loss) or hasattr(loss, "needs_whole_batch")):
        return False
    ignores = labels is not None and not labels.is_floating_point() and bool((labels == IGNORE_INDEX).any())
    return not ignores and not any(map(_weighs_labels, loss.modules()))


def _weighs_labels(module: nn.Module) -> bool:
    """Return whether a loss, or a loss of torch inside it, leaves out some labels or weighs classes."""
    is_loss = isinstance(module, Loss | nn.modules.loss._Loss)
    weights = [getattr(module, name, None) for name in ("weight", "class_weight", "class_weights")]
    has_weights = any(isinstance(weight, Tensor) and weight.dim() == 1 for weight in weights)
    return is_loss and (has_weights or getattr(module, "ignore_index", IGNORE_INDEX) != IGNORE_INDEX)


def is_mean_over_rows(loss: nn.Module) -> bool:
    """Return whether the loss of a batch is the mean of the losses of its rows, whatever the batch.

    A `Loss` without state is such a mean unless it declares otherwise. An `nn.Module` that does not derive from `Loss`
    must declare `needs_whole_batch = False`.
    """
    needs = needs_of(loss)
    is_declared = isinstance(loss, Loss) or hasattr(loss, "needs_whole_batch")
    return is_declared and not needs.needs_whole_batch and not needs.needs_two_rows and not loss.state_dict()


def adapter_builder(loss: nn.Module) -> Callable[[ModelOutputs, ModelOutputs | None], None] | None:
    """Return the method that builds the learned parts of a loss, or None for a loss without any."""
    return _overridden_method(loss, "build_adapters")


def split_preparer(loss: nn.Module) -> Callable[[Split], Split] | None:
    """Return the method by which a loss changes the training rows, or None for a loss that leaves them unchanged."""
    return _overridden_method(loss, "prepare_split")


def _overridden_method(loss: nn.Module, name: str) -> Callable[..., Any] | None:
    """Return a method of the loss, or None if it lacks the method or inherits it from `Loss`."""
    if getattr(type(loss), name, None) is getattr(Loss, name):
        return None
    method = getattr(loss, name, None)
    return method if callable(method) else None
