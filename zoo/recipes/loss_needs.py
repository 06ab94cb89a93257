"""Read the declarations of losses: the inputs that they read and the batches that they accept.

`harness.losses.base.Loss` documents the attributes. They are read here alone, so that the check of a recipe and a
training agree on them, and no other code gives defaults to the attributes that a loss lacks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from zoo.errors import UsageError, did_you_mean
from zoo.trusted_code import WITHOUT_DECLARATIONS, is_part_of

RENAMED = {"student_taps": "student_features", "teacher_taps": "teacher_features", "inherits": "inherited_parts"}
"""Attributes of version 0.1 and their names since 0.2."""


@dataclass(frozen=True, kw_only=True)
class LossNeeds:
    """The inputs that a loss reads and the batches that it accepts. `harness.losses.base.Loss` documents the fields."""

    needs_teacher: bool = False
    reads_logits: bool = True
    student_features: tuple[str, ...] = ()
    teacher_features: tuple[str, ...] = ()
    needs_whole_batch: bool = False
    needs_two_rows: bool = False
    reads_batch: bool = False
    inherited_parts: tuple[str, ...] = ()


NAMES = tuple(field.name for field in fields(LossNeeds))


def needs_of(loss: Any) -> LossNeeds:
    """Return the needs that a loss, or a class of losses, declares.

    A module that does not derive from `Loss` may declare the same attributes. An attribute that a class computes by a
    property is only known of its instances.

    Raises:
        UsageError: An attribute is misspelled, has its name of an earlier version, or has a value of another type.
    """
    kind = loss if isinstance(loss, type) else type(loss)
    for base in kind.__mro__:
        if not is_part_of(base.__module__, WITHOUT_DECLARATIONS):
            check_names(kind, vars(base))
    check_names(kind, () if isinstance(loss, type) else vars(loss))
    declared = {name: getattr(loss, name) for name in NAMES if hasattr(loss, name)}
    known = {name: value for name, value in declared.items() if not isinstance(value, property | cached_property)}
    return LossNeeds(**{name: _checked_value(kind, name, value) for name, value in known.items()})


def check_names(kind: type, names: Iterable[str]) -> None:
    """Raise UsageError for an attribute whose name looks like a misspelled or renamed declaration.

    Args:
        kind: The class of the loss. If it has all attributes, it derives from `Loss`, which reserves some prefixes.
        names: The names of its attributes.
    """
    reserved = ("needs_", "reads_") if all(hasattr(kind, name) for name in NAMES) else ()
    for name in names:
        if name in RENAMED:
            raise UsageError(f"the loss {kind.__name__}: `{name}` is now called `{RENAMED[name]}`")
        looks_declared = name.startswith(reserved) or get_close_matches(name, NAMES, n=1, cutoff=0.85)
        if looks_declared and name not in NAMES:
            hint = did_you_mean(name, list(NAMES))
            raise UsageError(f"the loss {kind.__name__} has an unknown attribute `{name}`{hint}")


def _checked_value(kind: type, name: str, value: Any) -> Any:
    if isinstance(getattr(LossNeeds, name), bool):
        if isinstance(value, bool):
            return value
        expected = "True or False"
    else:
        if isinstance(value, tuple | list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        expected = "a tuple of strings"
    raise UsageError(f"the loss {kind.__name__}: `{name}` must be {expected}, not {value!r}")
