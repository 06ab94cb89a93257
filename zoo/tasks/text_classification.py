"""Classification or regression of anyone's own texts: a data set of the Hub, or files of CSV, JSON lines or parquet."""

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
"""Between the classes of one row in a file of comma-separated values."""


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
    """A task over texts.

    `data` is a repository of the Hub, read in its configuration `config`, or a file for each split. `text` names one
    column, or two for pairs. `label` holds a class, several (a list, or `a|b` in CSV) where `kind` is `multilabel`, or
    a number where it is `regression`. `classes` are their names in the order of the model's outputs; where left out,
    those that the data set declares. `splits` are those of a repository, `scored` the ones with public labels.
    """
    columns = (text,) if isinstance(text, str) else tuple(text)
    names = tuple(data) if isinstance(data, Mapping) else tuple(splits)
    _check(columns, kind, data, names, scored)

    want = "data" if config is None else f"data/{config}"

    def table(split: str) -> Table:
        if isinstance(data, Mapping):
            return read_file(data[split].fetch().path)
        return read_repository(data.fetch(want), config, split)

    def load(split: str) -> Split:
        read = table(split)
        known = tuple(classes) or read.classes.get(label, ())
        where = data[split].name if isinstance(data, Mapping) else f"{data.name}, {split}"
        try:
            texts, labels = read.texts(columns), _labels(read.column(label), known, kind)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        return TextSplit(texts, labels, tokenizer=tokenizer, max_length=max_length, classes=known)

    return Task(
        name="text_classification",
        splits={split: partial(load, split) for split in names},
        scored=tuple(scored),
        metrics=METRICS[kind],
        kind=kind,
        label_names=tuple(classes),
        sources=() if isinstance(data, Mapping) else ((data, want),),
    )


def _check(columns: Sequence[str], kind: str, data: Any, names: Sequence[str], scored: Sequence[str]) -> None:
    """Raise UsageError for arguments that say nothing of a task."""
    if len(columns) not in (1, 2):
        raise UsageError(f"text names one column or two, not {len(columns)}")
    if kind not in METRICS:
        raise UsageError(f"kind cannot be {kind!r}{did_you_mean(kind, list(METRICS))}")
    for name, source in data.items() if isinstance(data, Mapping) else [("data", data)]:
        Source.needed(source, name)
    for split in scored:
        if split not in names:
            raise UsageError(f"scored: there is no split {split!r}{did_you_mean(split, list(names))}")


def _labels(column: list[Any], classes: tuple[str, ...], kind: Kind) -> Tensor:
    """The labels `(N,)`, or `(N, C)` of several; raises UsageError, naming the row, for one that is none."""
    if kind == "regression":
        return torch.tensor([_number(row, value) for row, value in enumerate(column)], dtype=torch.float32)
    column = [int(value) if not classes and str(value).isdecimal() else value for value in column]
    if not classes and not all(isinstance(value, int) for value in column):
        raise UsageError("classes: the data do not declare the names of their classes, so the recipe must")
    if kind == "classification":
        return torch.tensor([_class(row, value, classes) for row, value in enumerate(column)], dtype=torch.int64)
    if not classes:
        raise UsageError("classes: a task of several labels must say how many there are")
    labels = torch.zeros(len(column), len(classes))
    for row, value in enumerate(column):
        several = [part for part in value.split(SEPARATOR) if part] if isinstance(value, str) else value
        for one in several or []:
            labels[row, _class(row, one, classes)] = 1
    return labels


def _class(row: int, value: Any, classes: tuple[str, ...]) -> int:
    if isinstance(value, str):
        if value not in classes:
            raise UsageError(f"row {row}: {value!r} is none of the classes{did_you_mean(value, list(classes))}")
        return classes.index(value)
    if not isinstance(value, int) or not 0 <= value < (len(classes) or value + 1):
        raise UsageError(f"row {row}: {value!r} is not the number of a class, 0 to {len(classes) - 1}")
    return value


def _number(row: int, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"row {row}: {value!r} is no number")
    return number
