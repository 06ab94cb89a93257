"""Format numbers and tables for a terminal. Imports nothing heavy."""

import math
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from zoo.safe_text import one_line

NARROWEST = 12
"""A column is never wrapped to fewer characters."""
MOST_DECIMALS = 10
LEAST_DECIMALS = 4
"""The decimals of a printed score. A claim with more decimals is printed with all of them, and so are its scores."""
HEADER_PADDING = 2
"""The spaces that tabulate adds to a header, besides the two between columns."""


def number(value: float | None, decimals: int | None = None) -> str:
    """Return a score to four decimals, or to those of its claim if they are more; `-` for None."""
    return "-" if value is None else f"{value:.{printed_decimals(decimals)}f}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as `1 entry` and `1,234 entries`; the plural adds an s if it is not given."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def printed_decimals(decimals: int | None) -> int:
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
    left = (columns or 0) - sum(width + 2 for index, width in enumerate(widths) if index not in shared)
    wanted = sum(widths[index] + 2 for index in shared)
    limits = [
        max(left * (width + 2) // wanted - 2, NARROWEST)
        if columns is not None and index in shared and wanted > left
        else None
        for index, width in enumerate(widths)
    ]
    return tabulate(rows, headers=headers, disable_numparse=True, maxcolwidths=limits)
