"""Guess whether the first line of a table names its columns, or is a row."""

from collections.abc import Collection, Sequence
from typing import Literal

from zoo.first_recipe.columns import LABELS, TEXTS, are_numbers

ROWS = 1000
"""The number of rows that are looked at."""
LONG = 40
"""A name of a column has at most this many characters."""
Line = Sequence[tuple[str, Sequence[str]]]
"""The cells of the first line, each with the values below it."""
Evidence = Literal["name", "number", "value", "like a value", "like a name", "none"]


def guess_header(first: Line, named: Collection[str | None] = ()) -> tuple[bool, list[str]]:
    """Return whether the first line of a table is a header, and a note for the user if that may be wrong.

    Args:
        first: The first line.
        named: The columns that the user has named. Whoever names a cell of the first line knows that it is a header.
    """
    cells, found = [cell for cell, _ in first], [_evidence(cell.strip(), values[:ROWS]) for cell, values in first]
    if not set(cells).isdisjoint(named):
        return True, []
    if _is_row(cells, found):
        return False, ["the first line looks like a row, so columns are numbered from 0"]
    is_doubtful = "number" in found or "value" in found
    note = "the first line names the columns; for a row write `header: false` and numbers of columns"
    return True, [note] if is_doubtful else []


def _is_row(cells: Sequence[str], found: Sequence[Evidence]) -> bool:
    """Return whether the first line of a table is a row.

    A first line is a header unless something speaks against it: most files have one. Each cell of the line is compared
    with the values below it, and the first of these rules that applies decides:

    1. All cells count the columns (0, 1, ...): pandas writes such headers.
    2. A cell can only be a name: it is a word above nothing but numbers, or a usual name of a column. A usual name does
       not count if it is one of the repeated values of its column, since classes may be called "y" or "question"; nor
       above texts of one word, since a list of words may begin with "title".
    3. Two cells are equal, which names cannot be.
    4. A cell is a number above nothing but numbers: nobody calls a column of labels "5". It decides alone, because a
       text of one word says nothing.
    5. A cell is one of the repeated values of its column, or a sentence, and more cells look like values than like
       names. A text of several words looks like a value; a single word above such texts looks like a name.

    Args:
        cells: The cells of the line.
        found: What `_evidence` returns for each.
    """
    if _counts(cells) or "name" in found:
        return False
    if "number" in found or len({*cells}) < len(cells):
        return True
    values, names = found.count("value") + found.count("like a value"), found.count("like a name")
    return "value" in found and values > names


def _counts(names: Sequence[str]) -> bool:
    """Return whether cells are the numbers of the columns, perhaps after an index without a name."""
    named = names[1:] if names[0] == "" else names
    return [*named] == [str(number) for number in range(len(named))]


def _evidence(name: str, values: Sequence[str]) -> Evidence:
    """Return what one cell of the first line is, by the values below it."""
    if not name or not values:
        return "none"
    if are_numbers(values):
        return "number" if are_numbers([name]) else "name"
    repeats = len({name, *values}) <= (len(values) + 1) / 2
    if (repeats and name in values) or (len(name) > LONG and name.count(" ") > 3):
        return "value"
    are_texts = sum(" " in value.strip() or len(value) > LONG for value in values) > len(values) / 2
    if name.lower() in (*LABELS, *TEXTS) and (repeats or are_texts):
        return "name"
    if " " in name:
        return "like a value"
    return "like a name" if are_texts and len(name) <= LONG else "none"
