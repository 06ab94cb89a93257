"""Format numbers and tables for a terminal. Imports nothing heavy."""

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from zoo.safe_text import one_line

NARROWEST = 12
"""A column is never wrapped to fewer characters."""
MOST_DECIMALS = 10
LEAST_DECIMALS = 4
"""The decimals of a printed score. A claim with more decimals is printed with all of them, and so are its scores."""
PARTS_OF_WORDS = re.compile(r"[^/_.:=-]*[/_.:=-]+|[^/_.:=-]+")
"""A word that is longer than its column is broken after these characters, as in a path."""
HEADER_PADDING = 2
"""The spaces that tabulate adds to a header, besides the two between columns."""


def number(value: float | None, decimals: int | None = None) -> str:
    """Return a score to four decimals, or to those of its claim if they are more; `-` for None."""
    return "-" if value is None else f"{value:.{decimal_places(decimals)}f}"


def as_printed(value: float | None, decimals: int | None) -> str:
    """Return a claimed score with the decimals that were published, as far as they are known."""
    return number(value) if value is None or decimals is None else f"{value:.{min(decimals, MOST_DECIMALS)}f}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as `1 entry` and `1,234 entries`; the plural adds an s if it is not given."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def first_of(names: Sequence[str], most: int, *, between: str = ", ", last: str = " ") -> str:
    """Return the first names and the number of the others, such as `a, b and 3 more`.

    Args:
        names: All names.
        most: The most names to return.
        between: The text between two names.
        last: The text between the names and `and 3 more`.
    """
    more = f"{last}and {len(names) - most:,} more" if len(names) > most else ""
    return f"{between.join(names[:most])}{more}"


def decimal_places(decimals: int | None) -> int:
    """Return how many decimals a score is printed with, given those of its claim: at most those that a log has."""
    return min(max(LEAST_DECIMALS, decimals or 0), MOST_DECIMALS)


def finite(value: float) -> float | None:
    """Return the value, or None if JSON cannot hold it."""
    return value if math.isfinite(value) else None


def fitted(
    rows: Sequence[Sequence[Any]], headers: Sequence[str], columns: int | None, flexible: Sequence[int] = (-1,)
) -> str:
    """Return a table that fits a terminal.

    Args:
        rows: The cells.
        headers: The names of the columns.
        columns: The width of the terminal in characters; None for no limit.
        flexible: The indices of the columns whose text is wrapped. They share the width that the others leave.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [
        max([len(header) + HEADER_PADDING, *(len(str(cell)) for cell in cells)])
        for header, *cells in zip(headers, *rows, strict=True)
    ]
    shared = {index % len(headers) for index in flexible}
    left = (columns or 0) + 2 - sum(width + 2 for index, width in enumerate(widths) if index not in shared)
    wanted = sum(widths[index] + 2 for index in shared)
    if columns is not None and wanted > left:
        limits = _limits({index: widths[index] for index in shared}, left, wanted)
        rows = [
            [
                "\n".join(_wrapped_cell(cell, limits[index])) if index in limits else cell
                for index, cell in enumerate(row)
            ]
            for row in rows
        ]
    return tabulate(rows, headers=headers, disable_numparse=True)


def _limits(widths: dict[int, int], left: int, wanted: int) -> dict[int, int]:
    """Return the width of each wrapped column: its share of what is left. The widest yields to columns too narrow."""
    limits = {index: max(left * (width + 2) // wanted - 2, min(width, NARROWEST)) for index, width in widths.items()}
    widest = max(limits, key=lambda index: widths[index])
    limits[widest] = max(limits[widest] + left - sum(limit + 2 for limit in limits.values()), NARROWEST)
    return limits


def wrapped(text: str, columns: int | None, indent: str = "", hanging: str | None = None) -> str:
    """Return a paragraph of at most this width; a longer word, such as a path, stays whole.

    Args:
        text: The paragraph.
        columns: The width of the terminal in characters; None for no limit.
        indent: The start of each line.
        hanging: The start of each line but the first; None for `indent`.
    """
    if columns is None:
        return indent + text
    lines = textwrap.wrap(
        text, columns, initial_indent=indent, subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(lines)


def _wrapped_cell(text: str, width: int) -> list[str]:
    """Return the lines of a cell. Only a word that is longer than the column is broken, at its parts if it has some."""
    lines: list[str] = []
    for line in textwrap.wrap(str(text), width, break_long_words=False, break_on_hyphens=False):
        part_of_line = ""
        for part in PARTS_OF_WORDS.findall(line) if len(line) > width else [line]:
            if part_of_line and len(part_of_line + part) > width:
                lines.append(part_of_line)
                part_of_line = ""
            part_of_line += part
        lines += [part_of_line[at : at + width] for at in range(0, len(part_of_line), width)]
    return lines
