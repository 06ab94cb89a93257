"""The base class of losses, and what a loss declares that it needs."""

from collections.abc import Callable, Mapping
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
    """What a loss reads, and which batches it can work with. The fields are documented in `Loss`."""

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

    A subclass implements `forward(student, teacher, labels)`. It returns a scalar, the mean over the batch.

    - `student` and `teacher` are `ModelOutputs`. The teacher's are detached; they are None if the term has no teacher.
    - `labels` has shape `(B,)`. With `reads_batch` the whole `Batch` is passed instead.

    A loss with learned parts implements `build_adapters(student, teacher)`. It is called once, before the optimizer is
    built, with the outputs for two examples. A loss that changes the training rows implements `prepare_split(split)`.

    Set the attributes below on the class, or on `self` in `__init__`. A misspelt one raises UsageError.
    """

    needs_teacher: bool = False
    """The loss compares the student with a teacher."""
    reads_logits: bool = True
    """The loss reads logits. If no loss of a stage does, the forward pass stops at the last feature."""
    student_features: tuple[str, ...] = ()
    """Paths of the student's features, read as `student["layer1.0:output"]`; see `harness.models.feature_hooks`."""
    teacher_features: tuple[str, ...] = ()
    """Paths of the teacher's features."""
    needs_whole_batch: bool = False
    """The loss compares rows with each other, so a batch cannot be split into micro-batches or over processes."""
    needs_two_rows: bool = False
    """The loss is undefined for a batch of one row."""
    reads_batch: bool = False
    """`forward` takes the whole `Batch`, with ids and inputs, in place of its labels."""
    inherited_parts: tuple[str, ...] = ()
    """Learned parts that an earlier stage must have trained: its term of that name is listed in its `keep`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_names(cls.__name__, vars(cls))

    def build_adapters(self, student: ModelOutputs, teacher: ModelOutputs) -> None:
        """Build learned parts for the shapes of two examples; raises ValueError for shapes that do not fit."""

    def prepare_split(self, split: Split) -> Split:
        """Return the rows to train on, as many as `split` has."""
        return split


def needs_of(loss: nn.Module | type[nn.Module]) -> LossNeeds:
    """Return what a loss declares.

    This is the one place that adapts an `nn.Module` which does not derive from `Loss`: attributes that it lacks take
    their defaults.

    Raises:
        UsageError: An attribute is misspelt or has a name of an earlier version.
    """
    kind = loss if isinstance(loss, type) else type(loss)
    check_names(kind.__name__, {name: None for base in kind.__mro__ if _is_user_class(base) for name in vars(base)})
    if not isinstance(loss, type):
        check_names(kind.__name__, vars(loss))
    return LossNeeds(**{name: getattr(loss, name) for name in NAMES if hasattr(loss, name)})


def is_mean_over_rows(loss: nn.Module) -> bool:
    """Return whether the loss of a batch is the mean of the losses of its rows, whatever the batch.

    A `Loss` without state is, unless it declares otherwise. Any other module must set `needs_whole_batch = False`.
    """
    needs = needs_of(loss)
    declared = isinstance(loss, Loss) or hasattr(loss, "needs_whole_batch")
    return declared and not needs.needs_whole_batch and not needs.needs_two_rows and not loss.state_dict()


def check_names(owner: str, attributes: Mapping[str, object]) -> None:
    """Raise UsageError for an attribute that looks like a misspelt or renamed declaration."""
    for name in attributes:
        if name in RENAMED:
            raise UsageError(f"the loss {owner}: `{name}` is now called `{RENAMED[name]}`")
        looks_declared = name.startswith(("needs_", "reads_")) or get_close_matches(name, NAMES, n=1, cutoff=0.85)
        if looks_declared and name not in NAMES:
            raise UsageError(f"the loss {owner} has an unknown attribute `{name}`{did_you_mean(name, list(NAMES))}")


def _is_user_class(kind: type) -> bool:
    return kind.__module__.partition(".")[0] not in ("torch", "builtins") and kind not in (Loss, object)


def adapter_builder(loss: nn.Module) -> Callable[[ModelOutputs, ModelOutputs | None], None] | None:
    """Return the method that builds the learned parts of a loss, or None for a loss without any."""
    if getattr(type(loss), "build_adapters", None) is Loss.build_adapters:
        return None
    method: Any = getattr(loss, "build_adapters", None)
    return method if callable(method) else None


def split_preparer(loss: nn.Module) -> Callable[[Split], Split] | None:
    """Return the method by which a loss changes the training rows, or None for a loss that takes them as they are."""
    if getattr(type(loss), "prepare_split", None) is Loss.prepare_split:
        return None
    method: Any = getattr(loss, "prepare_split", None)
    return method if callable(method) else None
