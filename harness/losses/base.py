"""The base class of losses."""

from collections.abc import Callable
from typing import Any

from torch import nn

from harness.models.outputs import ModelOutputs
from zoo.recipes.loss_needs import check_names, needs_of
from zoo.tasks.base import Split


class Loss(nn.Module):
    """A term of a stage's criterion.

    A subclass implements `forward(student, teacher, labels)` and returns a scalar, the mean over the batch:

    - `student` and `teacher` are `ModelOutputs`. The teacher's tensors are detached. A loss with `needs_teacher` always
      gets a teacher; any other loss gets None if the term has no teacher.
    - `labels` has shape `(B,)`. With `reads_batch` the whole `Batch` is passed in its place.

    Set the attributes below on the class, or on `self` in `__init__`. A misspelled one raises UsageError. Names that
    start with `needs_` or `reads_` are reserved for them.
    """

    needs_teacher: bool = False
    """The loss compares the student with a teacher."""
    reads_logits: bool = True
    """The loss reads logits. If no loss of a stage does, the forward pass stops at the last feature."""
    student_features: tuple[str, ...] = ()
    """Feature paths of the student, read as `student["layer1.0:output"]`; see `harness.models.feature_hooks`."""
    teacher_features: tuple[str, ...] = ()
    """Feature paths of the teacher."""
    needs_whole_batch: bool = False
    """The loss compares rows with each other, so a batch cannot be split into micro-batches or over processes."""
    needs_two_rows: bool = False
    """The loss is undefined for a batch of one row."""
    reads_batch: bool = False
    """`forward` takes the whole `Batch`, with ids and inputs, in place of its labels."""
    inherited_parts: tuple[str, ...] = ()
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

    def prepare_split(self, split: Split) -> Split:
        """Return the split to train on, with the same number of rows as `split`."""
        return split


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
