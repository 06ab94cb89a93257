"""Turn the values of a label column into class numbers. Data sets and files of predictions are read by the same rules.

Values are compared as text, so 1 in JSON, "1" in JSON and `1` in CSV are the same class. Names come first: values are
taken for class numbers only if no class is called like a number.
"""

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import torch
from torch import Tensor

from zoo.errors import UsageError, did_you_mean
from zoo.text_tables import counted

Classes = int | Sequence[str | int | float]
"""The classes in a recipe: their names in the order of the model's outputs, or only their number."""
SEPARATOR = "|"
"""Separates the classes of one row in a text."""
_CLASS_NUMBER = re.compile(r"(0|[1-9]\d{0,8})(\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


class RowError(UsageError):
    """The value of a row cannot be used. Rows count from 0."""

    def __init__(self, row: int, problem: str) -> None:
        self.row, self.problem = row, problem
        super().__init__(f"row {row}: {problem}")


def to_text(value: Any) -> str | None:
    """Return a single value as text: true and false as in JSON, 1.0 as "1.0". None if it is no single value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float | Decimal | dt.date) else None


def class_names(classes: Classes) -> tuple[str, ...]:
    """Return the names of the classes in a recipe as text, since YAML reads 1 and true as other values.

    They are empty if the recipe says only how many classes there are, or nothing.

    Raises:
        UsageError: The classes are neither names nor a number of classes.
    """
    if isinstance(classes, int):
        if isinstance(classes, bool) or classes < 1:
            raise UsageError(f"classes must be the names of the classes or their number, not {classes}")
        return ()
    if isinstance(classes, str):
        raise UsageError(f"classes must be a list, such as [{classes}]")
    names = [to_text(name) for name in classes]
    if None in names or "" in names:
        wrong = classes[next(number for number, name in enumerate(names) if not name)]
        raise UsageError(f"classes: {wrong!r} is not the name of a class")
    return tuple(map(str, names))


def infer_names(values: Sequence[Any], *, multilabel: bool) -> tuple[str, ...]:
    """Return the distinct labels of a column, sorted; none if all of them are class numbers."""
    items = [item for row, value in enumerate(values) for item in _items(row, value)] if multilabel else values
    names = {text for text in map(to_text, items) if text}
    return () if all(map(_CLASS_NUMBER.fullmatch, names)) else tuple(sorted(names))


def check_count(classes: Classes, found: int, *, at_most: bool = False) -> None:
    """Raise UsageError if a recipe says how many classes there are, and the data have another number of them.

    Args:
        classes: The classes in the recipe.
        found: The number of classes in the data.
        at_most: Whether data may lack some of the classes.
    """
    if isinstance(classes, int) and (found > classes or (found < classes and not at_most)):
        raise UsageError(f"the data have {counted(found, 'class', 'classes')}, but the recipe says {classes}")


def to_class_numbers(values: Sequence[Any], names: Sequence[str]) -> list[int]:
    """Return the class number of every value.

    Args:
        values: The names of classes. Or all of them are class numbers, if no class is called like a number.
        names: The names of the classes in order. Without any, all values must be class numbers.

    Raises:
        RowError: A value is no class.
    """
    numbers, may_be_numbers = [_class_number(value) for value in values], _may_be_numbers(names)
    if may_be_numbers and None not in numbers:
        return [_in_range(row, values[row], number, names) for row, number in enumerate(numbers)]
    by_name = {name: position for position, name in enumerate(names)}
    positions = [_position(value, by_name) for value in values]
    wrong = [row for row, position in enumerate(positions) if position is None]
    if wrong:
        row = next((row for row in wrong if not may_be_numbers or numbers[row] is None), wrong[0])
        raise RowError(row, _not_a_class(values[row], names))
    return [position for position in positions if position is not None]


def renumbered(values: list[Any], wanted: Sequence[Any]) -> list[Any]:
    """Return class numbers, or lists of them, with `wanted[number]` for each number; other values stay."""
    return [renumbered(value, wanted) if isinstance(value, list) else _renumber(value, wanted) for value in values]


def _renumber(value: Any, wanted: Sequence[Any]) -> Any:
    return wanted[value] if isinstance(value, int) and 0 <= value < len(wanted) else value


def to_label_sets(values: Sequence[Any], names: Sequence[str]) -> Tensor:
    """Return zeros and ones `(N, C)`. A value is a list of classes, or a text with "|" between them.

    Raises:
        RowError: A value is no class or no list.
        UsageError: `names` is empty.
    """
    if not names:
        raise UsageError("the argument 'classes' is missing; a multilabel task needs it to count its classes")
    pairs = [(row, item) for row, value in enumerate(values) for item in _items(row, value)]
    try:
        numbers = to_class_numbers([item for _, item in pairs], names)
    except RowError as error:
        raise RowError(pairs[error.row][0], error.problem) from None
    labels = torch.zeros(len(values), len(names))
    for (row, _), number in zip(pairs, numbers, strict=True):
        labels[row, number] = 1
    return labels


def to_padded_numbers(values: Sequence[Any], names: Sequence[str], order: Sequence[int] | None = None) -> Tensor:
    """Return the numbers of the classes in each list, `(N, W)`, padded with -100 to one more than the longest.

    Args:
        values: A list of classes for each row.
        names: The names of the classes that the values use.
        order: The number to return for each of them; by default its position.

    Raises:
        RowError: A value is no list, or one of its items is no class.
        UsageError: `names` is empty.
    """
    if not names:
        raise UsageError("the data do not declare the names of their tags; list them in the argument 'classes'")
    wrong = next((row for row, value in enumerate(values) if not isinstance(value, list)), None)
    if wrong is not None:
        raise RowError(wrong, f"{shown(values[wrong])} is not a list of tags")
    pairs = [(row, item) for row, value in enumerate(values) for item in value]
    try:
        numbers = to_class_numbers([item for _, item in pairs], names)
    except RowError as error:
        raise RowError(pairs[error.row][0], error.problem) from None
    lengths = torch.tensor([len(value) for value in values])
    padded = torch.full((len(values), int(lengths.max()) + 1), -100)
    known = torch.tensor(numbers, dtype=torch.int64)
    padded[torch.arange(padded.shape[1]) < lengths[:, None]] = known if order is None else torch.tensor(order)[known]
    return padded


def to_numbers(values: Sequence[Any]) -> list[float]:
    """Return the values of a regression. Raises RowError for a value that is not a finite number."""
    numbers = []
    for row, value in enumerate(values):
        text = to_text(value)
        if text is None or not _NUMBER.fullmatch(text.strip()) or not math.isfinite(float(text)):
            raise RowError(row, f"{shown(value)} is not a number")
        numbers.append(float(text))
    return numbers


def shown(value: Any) -> str:
    """Return a value as messages show it: on one line and cut if it is long."""
    text = repr(value)
    text = text if text.isprintable() else ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _class_number(value: Any) -> int | None:
    match = _CLASS_NUMBER.fullmatch(to_text(value) or "")
    return int(match[1]) if match else None


def _may_be_numbers(names: Sequence[str]) -> bool:
    """Return whether a number can only mean a class number: no class is called like a number, or like another's."""
    return not any(map(_NUMBER.fullmatch, names)) or list(names) == [str(number) for number in range(len(names))]


def _in_range(row: int, value: Any, number: int | None, names: Sequence[str]) -> int:
    if number is None or (names and number >= len(names)):
        raise RowError(row, f"{shown(value)} is not a class number; expected 0 to {len(names) - 1}")
    return number


def _position(value: Any, names: Mapping[str, int]) -> int | None:
    """Return the position of a class by its name. Programs write truth values as true, True and TRUE."""
    text = to_text(value)
    if text is not None and text not in names and text.lower() in ("true", "false"):
        return next((position for name, position in names.items() if name.lower() == text.lower()), None)
    return None if text is None else names.get(text)


def _not_a_class(value: Any, names: Sequence[str]) -> str:
    if names:
        return f"{shown(value)} is not one of the classes{did_you_mean(to_text(value) or '', list(names))}"
    hint = "the data do not declare the names of their classes; list them in the argument 'classes'"
    return f"{shown(value)} is not a class number; {hint}"


def _items(row: int, value: Any) -> Sequence[Any]:
    """Return the classes of one row of a multilabel task."""
    if isinstance(value, str):
        return [part for part in value.split(SEPARATOR) if part]
    if isinstance(value, list):
        return value
    if to_text(value) is None:
        raise RowError(row, f"{shown(value)} is not a list of classes; write [] for a row of no class")
    return [value]
