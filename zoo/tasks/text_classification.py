"""Classification or regression of texts from files (CSV, TSV, JSON lines, parquet) or the Hub."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from zoo.class_names import ClassMatch, match_labels
from zoo.errors import SourceError, UsageError, did_you_mean
from zoo.fetch.sources import Source
from zoo.tasks.base import Kind, Split, Task, TextSplit
from zoo.tasks.labels import (
    SEPARATOR,
    Classes,
    check_count,
    class_names,
    infer_names,
    to_class_numbers,
    to_label_sets,
    to_numbers,
)
from zoo.tasks.tables import ENDINGS, Table, classes_of_file, read_file, read_repository

METRICS: Mapping[Kind, tuple[str, ...]] = {
    "classification": ("accuracy",), "multilabel": ("f1_micro",), "regression": ("pearson", "spearman"),
}  # fmt: skip


def text_classification(
    *,
    data: Source | Mapping[str, Source],
    text: str | Sequence[str],
    tokenizer: Any,
    label: str = "label",
    classes: Classes = (),
    kind: Kind = "classification",
    config: str | None = None,
    splits: Sequence[str] = ("train", "validation"),
    scored: Sequence[str] = ("validation",),
    max_length: int = 128,
    quotes: bool | None = None,
) -> Task:
    """Return a task over texts or pairs of texts.

    Args:
        data: A data set of the Hub, or one file for each split: `{train: "file:train.csv", ...}`.
        text: The column with the text, or two columns for pairs.
        tokenizer: A tokenizer of transformers.
        label: The column with the label: the name of a class, or its number if no class is called like a number;
            several classes, as a list or as `a|b`, if `kind` is "multilabel"; a number if `kind` is "regression".
        classes: The names of the classes, in the order of the model's outputs, or their number. The names that a data
            set declares are matched with them. Default: the names that the data set declares, in its order; or else
            the distinct labels of the split for training, sorted, unless all of them are class numbers.
        kind: "classification", "multilabel" or "regression".
        config: The configuration of a data set of the Hub.
        splits: The splits of a data set of the Hub to offer. Files define their own.
        scored: The splits that are evaluated. Their labels must be public.
        max_length: Longer rows are cut to this number of tokens.
        quotes: Whether double quotes delimit a field of CSV or TSV. Default: in CSV they do, in TSV they are text.

    Raises:
        UsageError: An argument is wrong. `Task.load` raises it, with the row, for a text or label that is wrong.
    """
    columns = (text,) if isinstance(text, str) else tuple(text)
    names = tuple(data) if isinstance(data, Mapping) else tuple(splits)
    listed = class_names(classes)
    _check_arguments(columns, kind, data, names, scored)
    _check_separator(listed, kind)
    training = "train" if "train" in names else names[0]

    want = "data" if config is None else f"data/{config}"

    def read(split: str) -> Table:
        if isinstance(data, Mapping):
            return read_file(data[split].fetch().path, quotes=quotes)
        return read_repository(data.fetch(want), config, split, quotes=quotes)

    def first_declared() -> tuple[str, ...]:
        """Return the names that the first file with names declares: the order must not depend on what is read first."""
        files = data.values() if isinstance(data, Mapping) and kind != "regression" else ()
        unnamed = tuple(ending for ending in ENDINGS if ending != ".parquet")
        paths = (source.fetch().path for source in files if not source.name.lower().endswith(unnamed))
        return next(filter(None, (classes_of_file(path).get(label) for path in paths)), ())

    @cache
    def training_labels() -> tuple[str, ...]:
        return infer_names(read(training).column(label), multilabel=kind == "multilabel")

    def load(split: str) -> Split:
        table = read(split)
        where = data[split].name if isinstance(data, Mapping) else f"{data.name}, {split}"
        try:
            texts = table.texts(columns)
            declared = listed or first_declared() or table.classes.get(label, ())
            is_named = bool(declared) or kind == "regression"
            known = declared if is_named else _inferred(table.column(label), kind, training_labels)
            labels, match = _read_labels(table, label, known, kind, "the recipe" if listed else "another split")
            _check_classes(classes, known, labels, kind)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        inferred = f"the classes are the labels of {training!r}, sorted: {', '.join(known)}"
        notes = (
            *table.notes,
            *([inferred] if known != declared else []),
            *([match.note] if match and match.note else []),
        )
        return TextSplit(texts, labels, tokenizer=tokenizer, max_length=max_length, classes=known, class_notes=notes)

    return Task(
        name="text_classification",
        splits={split: partial(load, split) for split in names},
        scored=tuple(scored),
        metrics=METRICS[kind],
        kind=kind,
        label_names=listed,
        sources=() if isinstance(data, Mapping) else ((data, want),),
    )


def _check_arguments(columns: Sequence[str], kind: str, data: Any, names: Sequence[str], scored: Sequence[str]) -> None:
    problems = [] if len(columns) in (1, 2) else [f"text must name one column or two, not {len(columns)}"]
    if kind not in METRICS:
        problems.append(f"kind cannot be {kind!r}{did_you_mean(kind, list(METRICS))}")
    for name, source in data.items() if isinstance(data, Mapping) else [("data", data)]:
        Source.needed(source, name)
    unknown = [split for split in scored if split not in names]
    problems += [f"scored: there is no split {split!r}{did_you_mean(split, list(names))}" for split in unknown]
    if problems:
        raise UsageError("; ".join(problems))


def _inferred(values: Sequence[Any], kind: Kind, training_labels: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Return the labels of the split for training; none if it is missing and the values are class numbers."""
    try:
        return training_labels()
    except SourceError:
        if infer_names(values, multilabel=kind == "multilabel"):
            raise
        return ()


def _check_separator(names: Sequence[str], kind: Kind) -> None:
    if kind == "multilabel" and (separated := next((name for name in names if SEPARATOR in name), None)):
        raise UsageError(f"classes: {separated!r} holds {SEPARATOR!r}, which separates the classes of a row")


def _check_classes(classes: Classes, names: Sequence[str], labels: Tensor, kind: Kind) -> None:
    """Raise UsageError if the data do not have the number of classes that the recipe says."""
    if names:
        check_count(classes, len(names))
    elif kind == "classification" and len(labels):
        check_count(classes, int(labels.max()) + 1, at_most=True)


def _read_labels(
    table: Table, column: str, classes: tuple[str, ...], kind: Kind, other: str
) -> tuple[Tensor, ClassMatch | None]:
    """Return labels `(N,)` or, if multilabel, `(N, C)` in the order of `classes`, and how the data's names match them.

    `other` says in messages what lists `classes`.

    Raises:
        UsageError: With the row of a bad value, or with the names that do not match.
    """
    values, declared = table.labels(column), table.classes.get(column, ())
    if kind == "regression":
        return torch.tensor(to_numbers(table.column(column)), dtype=torch.float32), None
    names = declared or classes
    match = match_labels(declared, classes, side="the data set", other=other) if declared and classes else None
    if kind == "multilabel":
        sets = to_label_sets(values, names)
        labels = sets if match is None else sets.new_zeros(len(sets), len(classes))
        if match is not None:
            labels[:, list(match.positions)] = sets
        return labels, match
    numbers = torch.tensor(to_class_numbers(values, names), dtype=torch.int64)
    return numbers if match is None else torch.tensor(match.positions)[numbers], match
