"""Read claims from a table, a CSV or TSV file with one claim in each row."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.claims.published import PublishedClaim, PublishedClaims
from zoo.errors import Mark, Problem, SourceError, UsageError, did_you_mean
from zoo.files import undecodable_byte

NEEDED = ("metric", "value")
COLUMNS = (*NEEDED, "model", "dataset", "config", "split", "n", "average", "task", "revision", "source")
ENDINGS = (".csv", ".tsv")
MAX_BYTES = 64 * 1024 * 1024


def read_claim_table(path: Path) -> PublishedClaims:
    """Return the claims of a table. The columns are `COLUMNS`; only `metric` and `value` are needed.

    Raises:
        SourceError: The file cannot be read.
        UsageError: It is no table, or lacks a column.
    """
    text = _read(path)
    rows = csv.DictReader(io.StringIO(text, newline=None), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    try:
        names = [name.strip().lower() for name in rows.fieldnames or []]
        _check_columns(path, names)
        rows.fieldnames = names
        problems: list[Problem] = []
        return PublishedClaims(
            name=str(path),
            claims=tuple(_claims(path, rows, problems)),
            problems=tuple(problems),
            why_none="a header without rows",
        )
    except csv.Error as error:
        raise UsageError(f"{path}:{rows.line_num}: not a table: {error}") from None


def _check_columns(path: Path, names: list[str]) -> None:
    if any(name not in names for name in NEEDED):
        separator, other = ("tabs", ",") if path.suffix.lower() == ".tsv" else ("commas", "\t")
        is_other = len(names) == 1 and any(mark in names[0] for mark in (";", other))
        hint = f"; separate columns by {separator}" if is_other else ""
        found = f"this one has {', '.join(filter(None, names))}" if any(names) else "this one is empty"
        raise UsageError(f"{path}:1: a table needs the columns {' and '.join(NEEDED)}; {found}{hint}")
    for name in names:
        if name not in COLUMNS:
            raise UsageError(f"{path}:1: unknown column {name!r}{did_you_mean(name, list(COLUMNS))}")


def _claims(path: Path, rows: "csv.DictReader[str]", problems: list[Problem]) -> Iterator[PublishedClaim]:
    for row in rows:
        mark = Mark(path=str(path), line=rows.line_num, column=1)
        cells: dict[str, Any] = {name: (row.get(name) or "").strip() for name in COLUMNS}
        if not any(cells.values()):
            continue
        if problem := _problem(row, cells):
            problems.append(Problem(mark, problem))
            continue
        n, text = cells.pop("n").replace(",", "").replace("_", ""), cells.pop("value")
        yield PublishedClaim(text=text, mark=mark, n=int(n) if n else None, **cells)


def _problem(row: Mapping[str | None, object], cells: Mapping[str, str]) -> str:
    """Return why a row is no claim; an empty text if it is one."""
    if None in row:
        return f"the row has more cells than the header; write a cell that contains a comma in quotes: {row[None]}"
    for name in NEEDED:
        if not cells[name]:
            return f"the row has no {name}"
    count = cells["n"].replace(",", "").replace("_", "")
    if count and not (count.isdecimal() and int(count[:12]) > 0 and len(count) <= 12):
        return f"n must be the number of examples, not {cells['n']!r}"
    return ""


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path}: a table of claims has at most {MAX_BYTES:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = undecodable_byte(error)
        raise UsageError(f"{path}:{line}: not UTF-8 (byte 0x{byte:02x})") from None
