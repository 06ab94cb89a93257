"""Classification or regression of texts from files (CSV, TSV, JSON lines, parquet) or the Hub."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.errors import UsageError, did_you_mean
from zoo.fetch.sources import Source
from zoo.tasks.base import Kind, Split, Task, TextSplit
from zoo.tasks.tables import Table, read_file, read_repository

METRICS: Mapping[Kind, tuple[str, ...]] = {
    "classification": ("accuracy",), "multilabel": ("f1_micro",), "regression": ("pearson", "spearman"),
}  # fmt: skip
SEPARATOR = "|"
"""Separates the classes of one row in a CSV or TSV file."""


def text_classification(
    *,
    data: Source | Mapping[str, Source],
    text: str | Sequence[str],
    tokenizer: Any,
    label: str = "label",
    classes: Sequence[str] = (),
    kind: Kind = "classification",
    config: str | None = None,
    splits: Sequence[str] = ("train", "validation"),
    scored: Sequence[str] = ("validation",),
    max_length: int = 128,
) -> Task:
    """Return a task over texts or pairs of texts.

    Args:
        data: A data set of the Hub, or one file for each split: `{train: "file:train.csv", ...}`.
        text: The column with the text, or two columns for pairs.
        tokenizer: A tokenizer of transformers.
        label: The column with the label: the name or the number of a class; several classes, as a list or as `a|b`,
            if `kind` is "multilabel"; a number if `kind` is "regression".
        classes: The names of the classes, in the order of the model's outputs. Default: the names that the data set
            declares.
        kind: "classification", "multilabel" or "regression".
        config: The configuration of a data set of the Hub.
        splits: The splits of a data set of the Hub to offer. Files define their own.
        scored: The splits that are evaluated. Their labels must be public.
        max_length: Longer rows are cut to this number of tokens.

    Raises:
        UsageError: An argument is wrong. `Task.load` raises it, with the row, for a text or label that is wrong.
    """
    columns = (text,) if isinstance(text, str) else tuple(text)
    names = tuple(data) if isinstance(data, Mapping) else tuple(splits)
    _check_arguments(columns, kind, data, names, scored)

    want = "data" if config is None else f"data/{config}"

    def read(split: str) -> Table:
        if isinstance(data, Mapping):
            return read_file(data[split].fetch().path)
        return read_repository(data.fetch(want), config, split)

    def load(split: str) -> Split:
        table = read(split)
        class_names = tuple(classes) or table.classes.get(label, ())
        where = data[split].name if isinstance(data, Mapping) else f"{data.name}, {split}"
        try:
            texts, labels = table.texts(columns), _to_labels(table.column(label), class_names, kind)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        return TextSplit(texts, labels, tokenizer=tokenizer, max_length=max_length, classes=class_names)

    return Task(
        name="text_classification",
        splits={split: partial(load, split) for split in names},
        scored=tuple(scored),
        metrics=METRICS[kind],
        kind=kind,
        label_names=tuple(classes),
        sources=() if isinstance(data, Mapping) else ((data, want),),
    )


def _check_arguments(columns: Sequence[str], kind: str, data: Any, names: Sequence[str], scored: Sequence[str]) -> None:
    if len(columns) not in (1, 2):
        raise UsageError(f"text must name one column or two, not {len(columns)}")
    if kind not in METRICS:
        raise UsageError(f"kind cannot be {kind!r}{did_you_mean(kind, list(METRICS))}")
    for name, source in data.items() if isinstance(data, Mapping) else [("data", data)]:
        Source.needed(source, name)
    for split in scored:
        if split not in names:
            raise UsageError(f"scored: there is no split {split!r}{did_you_mean(split, list(names))}")


def _to_labels(column: list[Any], classes: tuple[str, ...], kind: Kind) -> Tensor:
    """Convert a column to labels `(N,)` or, if multilabel, `(N, C)`. Raises UsageError with the row of a bad value."""
    if kind == "regression":
        return torch.tensor([_to_number(row, value) for row, value in enumerate(column)], dtype=torch.float32)
    column = [int(value) if not classes and str(value).isdecimal() else value for value in column]
    if not classes and not all(isinstance(value, int) for value in column):
        raise UsageError("the data do not declare the names of their classes; list them in the argument 'classes'")
    if kind == "classification":
        return torch.tensor([_to_class(row, value, classes) for row, value in enumerate(column)], dtype=torch.int64)
    if not classes:
        raise UsageError("the argument 'classes' is missing; a multilabel task needs it to count its classes")
    labels = torch.zeros(len(column), len(classes))
    for row, value in enumerate(column):
        values = [part for part in value.split(SEPARATOR) if part] if isinstance(value, str) else value
        for item in values or []:
            labels[row, _to_class(row, item, classes)] = 1
    return labels


def _to_class(row: int, value: Any, classes: tuple[str, ...]) -> int:
    if isinstance(value, str):
        if value not in classes:
            raise UsageError(f"row {row}: {value!r} is not one of the classes{did_you_mean(value, list(classes))}")
        return classes.index(value)
    if not isinstance(value, int) or not 0 <= value < (len(classes) or value + 1):
        raise UsageError(f"row {row}: {value!r} is not a class number; expected 0 to {len(classes) - 1}")
    return value


def _to_number(row: int, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"row {row}: {value!r} is not a number")
    return number
