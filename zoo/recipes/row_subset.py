"""Rows of a split that a recipe chooses by their numbers: `0-999`, several ranges, or a file of numbers.

Rows count from 0 in the order of the data. A subset is a text in one form, so that equal rows are equal texts:
`0-499, 500-999` is `0-999`.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from zoo.errors import SourceError, UsageError
from zoo.fetch.source_types import is_source
from zoo.recipes.values import InvalidValuesError
from zoo.text_tables import counted

EXAMPLE = "write a range such as 0-999, a list of ranges, or a file of row numbers: file:ids.txt"
LARGEST = 10**12
_RANGE = re.compile(r"(\d{1,13})(?:\s*-\s*(\d{1,13}))?", re.ASCII)


class RowSubset(str):
    """The rows of a split that are read, as text: `7`, `0-999`, `0-99, 200-299`, or the source of a file."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Return the rows that a recipe names.

        Args:
            value: A text, a number, or a list of these.

        Raises:
            InvalidValuesError: The value names no rows, or a row twice.
        """
        if isinstance(value, str) and is_source(value):
            return cls(value)
        parts = value if isinstance(value, list) else [value]
        ranges = sorted(_range(part) for item in parts for part in _separated(item))
        if not ranges:
            raise InvalidValuesError(f"there are no rows; {EXAMPLE}")
        return cls(", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in _joined(ranges)))

    @property
    def is_file(self) -> bool:
        """Whether a file has the numbers of the rows."""
        return is_source(self)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The first and the last row of every range; empty for a file."""
        return () if self.is_file else tuple(_range(part) for part in _separated(str(self)))

    @property
    def size(self) -> int | None:
        """The number of rows; None for a file, which is not read here."""
        return None if self.is_file else sum(last - first + 1 for first, last in self.ranges)


def positions(subset: RowSubset, file: Path | None, rows: int) -> list[int]:
    """Return the numbers of the chosen rows, in ascending order.

    Args:
        subset: The rows.
        file: The file of the numbers, if the subset is one.
        rows: The number of rows of the whole split.

    Raises:
        UsageError: The split does not have so many rows.
        SourceError: A line of the file is no row number, or has the number of an earlier line.
    """
    if file is not None:
        return _read_numbers(file, rows)
    last = subset.ranges[-1][1]
    if last >= rows:
        raise UsageError(f"there is no row {last:,}; the split has {counted(rows, 'row')}, from 0 to {rows - 1:,}")
    return [row for first, last in subset.ranges for row in range(first, last + 1)]


def _separated(item: Any) -> Sequence[Any]:
    return [part.strip() for part in item.split(",")] if isinstance(item, str) else [item]


def _range(part: Any) -> tuple[int, int]:
    """Return the first and the last row of a range."""
    match = _RANGE.fullmatch(str(part)) if isinstance(part, str | int) and not isinstance(part, bool) else None
    if match is None:
        raise InvalidValuesError(f"{part!r} names no rows; {EXAMPLE}")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise InvalidValuesError(f"the range {part!r} ends before it begins; write {last}-{first}")
    if last > LARGEST:
        raise InvalidValuesError(f"the row {last} is too large; the largest is {LARGEST}")
    return first, last


def _joined(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield sorted ranges; those without a gap between them become one. Raise InvalidValuesError if they overlap."""
    for (_, last), (first, _) in pairwise(ranges):
        if first <= last:
            raise InvalidValuesError(f"the row {first} is in two of the ranges; name each row once")
    begin, end = ranges[0]
    for first, last in ranges[1:]:
        if first > end + 1:
            yield begin, end
            begin = first
        end = last
    yield begin, end


def _read_numbers(file: Path, rows: int) -> list[int]:
    """Return the numbers in a file, one a line, in ascending order."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file}: cannot be read as row numbers, one a line: {error}") from None
    line_of: dict[int, int] = {}
    for line, text in ((number, text.strip()) for number, text in enumerate(lines, 1)):
        if not text:
            continue
        if not re.fullmatch(r"\d{1,13}", text, re.ASCII) or int(text) >= rows:
            range_of = f"from 0 to {rows - 1:,}"
            raise SourceError(f"{file}:{line}: {text[:40]!r} is not the number of a row; rows are {range_of}")
        if int(text) in line_of:
            raise SourceError(f"{file}:{line}: the row {text} is in line {line_of[int(text)]} already")
        line_of[int(text)] = line
    if not line_of:
        raise SourceError(f"{file}: the file has no row numbers; write one a line")
    return sorted(line_of)
