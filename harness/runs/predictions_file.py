"""Read files of predictions: tables with a column `prediction`, and the arrays that zoo writes beside a record."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from harness.metrics import Array
from harness.records.arrays import NUMBERS, read_array
from zoo.errors import UsageError, first_line
from zoo.fetch.limits import check_arrays_size
from zoo.tasks.base import Kind
from zoo.tasks.labels import RowError, shown, to_class_numbers, to_label_sets, to_numbers, to_text
from zoo.tasks.tables import Table, read_file

ARRAYS = ".npz"
"""The ending of a file of arrays. Integers in it are class numbers, whatever the classes are called."""
COLUMNS = ("prediction", "predictions")


def read_predictions(path: Path, kind: Kind, labels: Array, class_names: Sequence[str]) -> Array:
    """Return predictions in the order of a split: class numbers, numbers, or zeros and ones `(N, C)`.

    Args:
        path: The file. The rows of a table are in the order of the split, or have its row numbers in a column `id`.
        kind: The kind of the task.
        labels: The labels of the split, `(N,)` or `(N, C)`.
        class_names: The names of the classes in order.

    Raises:
        UsageError: The predictions do not fit the split, or one of them is no class; the message has its row.
        SourceError: A table cannot be read.
    """
    table = None if path.suffix.lower() == ARRAYS else read_file(path)
    try:
        if table is None:
            return _from_array(_read_array(path, labels.shape), kind, class_names)
        return _from_table(table, kind, len(labels), class_names)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _from_table(table: Table, kind: Kind, rows: int, class_names: Sequence[str]) -> Array:
    values, order = table.labels(prediction_column(table)), row_order(table, rows)
    if kind == "regression":
        predictions = np.array(to_numbers(values), np.float32)
    elif kind == "multilabel":
        predictions = to_label_sets(values, class_names).numpy().astype(np.int64)
    else:
        predictions = np.array(to_class_numbers(values, class_names), np.int64)
    return predictions[list(order)]


def prediction_column(table: Table) -> str:
    """Return the name of the column with the predictions. Raises UsageError if there is none."""
    column = next((name for name in COLUMNS if name in table.columns), None)
    if column is None:
        raise UsageError(f"no column {COLUMNS[0]!r}; the columns are {', '.join(table.columns) or 'missing'}")
    return column


def row_order(table: Table, rows: int) -> Sequence[int]:
    """Return where the predictions for the rows 0, 1, 2, ... of a split are in a table.

    Raises:
        UsageError: The table has another number of rows, or its column `id` does not have each number once.
    """
    found = len(table.columns[prediction_column(table)])
    order = _order(table.columns["id"], rows) if "id" in table.columns else range(found)
    if found != rows:
        raise UsageError(f"{found} predictions for {rows} examples")
    return order


def _order(ids: Sequence[Any], rows: int) -> list[int]:
    """Return where the ids 0, 1, 2, ... are; raises UsageError unless each of them occurs once."""
    positions: dict[str | None, int] = {}
    for row, value in enumerate(ids):
        if (text := to_text(value)) in positions:
            raise RowError(row, f"the id {shown(value)} occurs twice; ids must be 0 to {rows - 1}, each once")
        positions[text] = row
    wanted = [str(number) for number in range(rows)]
    missing = next((text for text in wanted if text not in positions), None)
    extra = next(iter(positions.keys() - wanted), None) if missing is None else None
    if missing is not None or len(positions) > rows:
        problem = f"there is no row {shown(extra)}" if missing is None else f"{missing} is missing"
        raise UsageError(f"ids must be 0 to {rows - 1}, each once: {problem}")
    return [positions[text] for text in wanted]


def _read_array(path: Path, shape: tuple[int, ...]) -> Array:
    """Read `predictions` from an `.npz` file; its shape is checked before the values are read."""

    def check_header(found: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        check_arrays_size(math.prod(found) * dtype.itemsize, "the array 'predictions'")
        if found != shape:
            raise UsageError(f"predictions have the shape {found}, the labels {shape}")

    try:
        with ZipFile(path) as archive:
            return read_array(archive, "predictions.npy", f"{NUMBERS}U", check_header)
    except UsageError:
        raise
    except KeyError:
        raise UsageError("no array 'predictions'") from None
    except Exception as error:  # zipfile, its decompressors and numpy raise many kinds for a damaged file
        reason = first_line(error) or "it is empty or ends early"
        raise UsageError(f"cannot be read as predictions: {type(error).__name__}: {reason}") from None


def _from_array(predictions: Array, kind: Kind, class_names: Sequence[str]) -> Array:
    if predictions.dtype.kind == "U" and kind == "classification":
        return np.array(to_class_numbers(predictions.tolist(), class_names), np.int64)
    if predictions.dtype.kind not in "iuf" or not np.isfinite(predictions).all():
        raise UsageError("predictions must be finite numbers or names of classes")
    if kind == "regression":
        return predictions.astype(np.float32)
    count = 2 if kind == "multilabel" else len(class_names)
    wrong = np.flatnonzero(~np.isin(predictions, np.arange(count)).reshape(len(predictions), -1).all(axis=1))
    if len(wrong):
        row = int(wrong[0])
        raise RowError(row, f"{shown(predictions[row].tolist())} is not a class number; expected 0 to {count - 1}")
    return predictions.astype(np.int64)
