"""The base class of losses, and the attributes in which a loss declares its needs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from torch import nn

from harness.models.outputs import ModelOutputs
from zoo.errors import UsageError, did_you_mean
from zoo.tasks.base import Split

RENAMED = {"student_taps": "student_features", "teacher_taps": "teacher_features", "inherits": "inherited_parts"}
"""Attributes of version 0.1 and their names since 0.2."""


@dataclass(frozen=True, kw_only=True)
class LossNeeds:
    """The inputs that a loss reads and the batches that it accepts. `Loss` documents the fields."""

    needs_teacher: bool = False
    reads_logits: bool = True
    student_features: tuple[str, ...] = ()
    teacher_features: tuple[str, ...] = ()
    needs_whole_batch: bool = False
    needs_two_rows: bool = False
    reads_batch: bool = False
    inherited_parts: tuple[str, ...] = ()


NAMES = tuple(field.name for field in fields(LossNeeds))


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
        _check_names(cls, vars(cls))

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


def needs_of(loss: nn.Module | type[nn.Module]) -> LossNeeds:
    """Return the needs that a loss declares.

    An `nn.Module` that does not derive from `Loss` may declare the same attributes. No other code gives defaults to the
    attributes that it lacks.

    Raises:
        UsageError: An attribute is misspelled, has its name of an earlier version, or has a value of another type.
    """
    kind = loss if isinstance(loss, type) else type(loss)
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] not in ("torch", "builtins"):
            _check_names(kind, vars(base))
    _check_names(kind, () if isinstance(loss, type) else vars(loss))
    declared = {name: getattr(loss, name) for name in NAMES if hasattr(loss, name)}
    return LossNeeds(**{name: _checked_value(kind, name, value) for name, value in declared.items()})


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


def _check_names(kind: type[nn.Module], names: Iterable[str]) -> None:
    """Raise UsageError for an attribute whose name looks like a misspelled or renamed declaration."""
    reserved = ("needs_", "reads_") if issubclass(kind, Loss) else ()
    for name in names:
        if name in RENAMED:
            raise UsageError(f"the loss {kind.__name__}: `{name}` is now called `{RENAMED[name]}`")
        looks_declared = name.startswith(reserved) or get_close_matches(name, NAMES, n=1, cutoff=0.85)
        if looks_declared and name not in NAMES:
            hint = did_you_mean(name, list(NAMES))
            raise UsageError(f"the loss {kind.__name__} has an unknown attribute `{name}`{hint}")


def _checked_value(kind: type[nn.Module], name: str, value: Any) -> Any:
    if isinstance(getattr(LossNeeds, name), bool):
        if isinstance(value, bool):
            return value
        expected = "True or False"
    else:
        if isinstance(value, tuple | list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        expected = "a tuple of strings"
    raise UsageError(f"the loss {kind.__name__}: `{name}` must be {expected}, not {value!r}")
