"""Read the rows of CSV, TSV, JSON lines and parquet files.

No reader guesses a type: a text stays a text in every format, also "NA", "2020" and "true". Only JSON and parquet hold
other values, and each row keeps its own.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq

from zoo.errors import SourceError
from zoo.tasks.dialect import Dialect
from zoo.tasks.labels import to_text
from zoo.tasks.parquet import read_table

Columns = dict[str, list[Any]]
Row = tuple[int, list[str]]
"""The number of the line that a row begins in, from 1, and its fields."""

_OPENED_OBJECT = re.compile(r"\s*\{[^\S\n]*\n")
"""The beginning of a file with one object on several lines, with any line breaks."""

csv.field_size_limit(2**31 - 1)  # the default, 131,072 characters, is shorter than a book


def read_separated(path: Path, separator: str, dialect: Dialect) -> Columns:
    """Read CSV or TSV. Columns without names are called "0", "1", ...

    A line without any character is no row; in a file of one column it is an empty value, except at the end of the file.

    Args:
        path: The file.
        separator: The character between two fields.
        dialect: Its header, and whether a field in double quotes may hold separators and line breaks. If not, quotes
            are part of the text, as in the files of GLUE.

    Raises:
        SourceError: With the number of the line that is wrong.
    """
    text, quotes = dialect.decode(path), separator == "," if dialect.quotes is None else dialect.quotes
    rows = _quoted_rows(path, text, separator) if quotes else _literal_rows(text, separator)
    names, rows = _column_names(path, rows, dialect)
    columns: Columns = {name: [] for name in names}
    hint = f"quote a text with {separator!r} in it" if quotes else "to read texts in quotes, set quotes: true"
    for line, row in _without_blank_lines(rows, len(names)):
        if len(row) != len(names) and not (dialect.extra_fields and len(row) > len(names)):
            more = "; to leave out further fields, set extra_fields: true" if len(row) > len(names) else ""
            first = "header" if dialect.header is not False else "first line"
            found = f"{len(row)} fields, but the {first} has {len(names)}"
            raise SourceError(f"{path}: line {line}: {found}; {hint}{more}")
        for name, value in zip(names, row, strict=False):  # only extra fields are left out
            columns[name].append(value)
    return columns


def _column_names(path: Path, rows: Iterator[Row], dialect: Dialect) -> tuple[list[str], Iterator[Row]]:
    """Return the names of the columns, and the rows without a line that names them."""
    if isinstance(dialect.header, Sequence):
        return [*dialect.header], rows
    line, first = next(rows, (1, []))
    if dialect.header:
        if not any(first):
            raise SourceError(f"{path}: the file has no header line")
        return _unique(path, first), rows
    if not first:
        raise SourceError(f"{path}: line {line} is empty, so the number of columns is unknown; delete it")
    return [str(number) for number in range(len(first))], chain([(line, first)], rows)


def _without_blank_lines(rows: Iterable[Row], columns: int) -> Iterator[Row]:
    """Yield the rows, which are empty for blank lines. In one column a blank line between others is an empty value."""
    blank: list[Row] = []
    for line, row in rows:
        if row:
            yield from blank
            blank.clear()
            yield line, row
        elif columns == 1:
            blank.append((line, [""]))


def read_json(path: Path, dialect: Dialect) -> Columns:
    """Read JSON lines, or one list of objects, or one object. A row without a key has None there.

    Raises:
        SourceError: With the number of the line, or of the item, that is not an object.
    """
    text = dialect.decode(path)
    if text.lstrip().startswith("["):
        items = _parse(path, 1, text)
        numbered = [(f"item {number}", item) for number, item in enumerate(items)]
    elif _OPENED_OBJECT.match(text):
        numbered = [("line 1", _parse(path, 1, text))]
    else:
        lines = enumerate(text.split("\n"), 1)
        numbered = [(f"line {number}", _parse(path, number, line)) for number, line in lines if line.strip()]
    for where, item in numbered:
        if not isinstance(item, dict):
            raise SourceError(f"{path}: {where}: {json.dumps(item)[:40]} is not an object, such as {{...}}")
    names = dict.fromkeys(name for _, item in numbered for name in item)
    return {name: [item.get(name) for _, item in numbered] for name in names}


def read_parquet(path: Path) -> tuple[Columns, dict[str, tuple[str, ...]]]:
    """Read parquet. Return the columns, and the class names of columns that the file declares to hold class numbers."""
    table = read_table(path)
    columns = {name: table.column(name).to_pylist() for name in _unique(path, table.column_names)}
    return columns, class_names(datasets.Features.from_arrow_schema(table.schema))


def declared_classes(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the class names of columns that a file declares to hold class numbers, without reading its rows."""
    if path.suffix.lower() != ".parquet":
        return {}
    with path.open("rb") as file:
        return class_names(datasets.Features.from_arrow_schema(pq.read_schema(file)))


def class_names(features: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    """Collect the class names of columns that hold class numbers or lists of them, as text: cards may write `1`."""
    types = {name: getattr(feature, "feature", feature) for name, feature in (features or {}).items()}
    declared = {name: kind.names for name, kind in types.items() if isinstance(kind, datasets.ClassLabel)}
    return {name: tuple(to_text(item) or str(item) for item in names) for name, names in declared.items()}


def _unique(path: Path, names: list[str]) -> list[str]:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise SourceError(f"{path}: two columns are called {twice!r}")
    return names


def _quoted_rows(path: Path, text: str, separator: str) -> Iterator[Row]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        line = rows.line_num + 1
        try:
            yield line, next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            is_open = str(error) == "unexpected end of data"
            problem = "a quote is opened in this row and never closed" if is_open else str(error)
            raise SourceError(f"{path}: line {line}: {problem}") from None


def _literal_rows(text: str, separator: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        content = line.removesuffix("\r")
        yield number, content.split(separator) if content else []


def _parse(path: Path, line: int, text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {line + error.lineno - 1}, column {error.colno}"
        raise SourceError(f"{path}: {where}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: line {line}: not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} occurs twice in one object")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
