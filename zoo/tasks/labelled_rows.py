"""Read the splits of a task over tables: their labels, and the names of the classes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from zoo.class_names import ClassMatch, match_labels
from zoo.errors import SIMILAR, SourceError, UsageError, did_you_mean, errors_about
from zoo.fetch.sources import Source
from zoo.tasks.base import Kind, Split, default_scored
from zoo.tasks.dialect import DEFAULT, Dialect
from zoo.tasks.hidden_labels import are_hidden_values, hidden_labels
from zoo.tasks.labels import (
    Classes,
    RowError,
    check_count,
    class_names,
    infer_names,
    to_class_numbers,
    to_label_sets,
    to_numbers,
    to_padded_numbers,
)
from zoo.tasks.tables import ENDINGS, Column, Table, classes_of_file, read_file, read_repository

T = TypeVar("T")
S = TypeVar("S", bound=Split)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels of a split: `(N,)`, `(N, C)` if multilabel, or `(N, W)` if structured (the numbers of the classes of
    the words of each row, padded with -100); the names of the classes, and notes on these. Of a structured split with
    hidden labels, the values are `(N, 1)`, all -100."""

    values: Tensor
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    are_hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class LabelledRows:
    """Where the rows and labels of a task are. The arguments are those of `text_classification`.

    Raises:
        UsageError: `data` is no source or names no split, or a split to score does not exist.
    """

    data: Source | Mapping[str, Source]
    label: Column
    label_argument: str = "label"
    """The name of the argument for `label` in the task, for messages."""
    classes: Classes = ()
    kind: Kind = "classification"
    config: str | None = None
    splits: str | Sequence[str]
    scored: str | Sequence[str] | None
    dialect: Dialect = DEFAULT

    def __post_init__(self) -> None:
        if not self.data and isinstance(self.data, Mapping):
            example = "data: {train: file:train.csv, validation: file:validation.csv}"
            raise UsageError(f"data names no split; write {example}")
        for name, source in self.data.items() if isinstance(self.data, Mapping) else [("data", self.data)]:
            Source.needed(source, name)
        unknown = next((split for split in self.scored_splits if split not in self.names), None)
        if unknown is not None:
            choice = ", ".join(default_scored(self.names) or self.names)
            advice = f"write scored: [{choice}], or leave it out; a hold-out is always scored"
            found = f"there is no split {unknown!r}; the data have {', '.join(self.names)}"
            raise UsageError(f"scored: {found}; {advice}").about("scored")
        headers = self.dialect.header if isinstance(self.dialect.header, Mapping) else {}
        for split in (name for name in headers if name not in self.names):
            known = f"the data have {', '.join(self.names)}{did_you_mean(split, list(self.names))}"
            raise UsageError(f"header: there is no split {split!r}; {known}").about("header")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all splits."""
        return tuple(self.data) if isinstance(self.data, Mapping) else as_tuple(self.splits)

    @property
    def scored_splits(self) -> tuple[str, ...]:
        """The splits to score: those of the recipe, or the default."""
        return default_scored(self.names) if self.scored is None else as_tuple(self.scored)

    @property
    def training(self) -> str:
        """The split whose labels are the classes if nothing declares them."""
        return "train" if "train" in self.names else self.names[0]

    @property
    def needs(self) -> tuple[tuple[Source, str], ...]:
        """What is fetched, as `Task.sources`."""
        return tuple((source, self.want) for source in self.sources)

    @property
    def want(self) -> str:
        """The part of each source to fetch; see `zoo.fetch.sources.Sources.fetch`."""
        return "data" if self.config is None else f"data/{self.config}"

    @property
    def sources(self) -> tuple[Source, ...]:
        """The data set of the Hub, or the files of all splits."""
        return tuple(self.data.values()) if isinstance(self.data, Mapping) else (self.data,)

    def text_splits(
        self, columns: tuple[Column, ...], make: Callable[[list[tuple[str, ...]], Labels], S]
    ) -> Mapping[str, Callable[[], S]]:
        """Return the splits of a task over texts as `Task.splits`.

        Args:
            columns: The columns with the texts of a row. Errors about them name the argument `text`.
            make: Makes a split of the texts of all rows and of their labels.
        """

        def read(table: Table) -> list[tuple[str, ...]]:
            with errors_about("text"):
                return table.texts(columns)

        return {split: partial(self.load, split, read, make) for split in self.names}

    def load(self, split: str, read: Callable[[Table], T], make: Callable[[T, Labels], S]) -> S:
        """Read a split.

        Args:
            split: The name of the split.
            read: Reads what the model gets of every row from a table. Its errors name the argument they are about.
            make: Makes a split of that and of the labels.

        Raises:
            UsageError: A column is missing, or a value of a row is wrong; with the split and the row.
            SourceError: A file is missing or cannot be read.
        """
        where = self.data[split].name if isinstance(self.data, Mapping) else f"{self.data.name}, {split}"
        table = self.table(split)
        try:
            return make(read(table), self._labelled(table, split))
        except UsageError as error:
            raise UsageError(f"{where}: {error}{self._hint(split, error)}").about(error.argument) from None

    def _hint(self, split: str, error: UsageError) -> str:
        """Return how to leave out a split whose labels may be hidden; a misspelt name needs no other advice."""
        by_default = self.scored_splits if self.scored is None else ()
        others = [name for name in by_default if name != split]
        is_label = isinstance(error, RowError) or error.argument == self.label_argument
        if not is_label or not others or split not in by_default or SIMILAR in str(error):
            return ""
        return f"; if {split} has no public labels, leave it out: write scored: [{', '.join(others)}]"

    def _labelled(self, table: Table, split: str) -> "Labels":
        if hidden := self._hidden(table, split):
            return hidden
        with errors_about(self.label_argument):
            table.column(self.label)
        with errors_about("classes" if self.listed else self.label_argument):
            declared = self.listed or self._first_declared or table.classes.get(str(self.label), ())
            known = declared or self._inferred(table)
            labels, match = self._labels(table, known)
        with errors_about("classes"):
            self._check_count(known, labels)
        inferred = f"the classes are the labels of {self.training!r}, sorted: {', '.join(known)}"
        notes = (
            *table.notes,
            *([inferred] if known != declared else []),
            *([match.note] if match and match.note else []),
        )
        return Labels(values=labels, classes=known, notes=notes)

    def _hidden(self, table: Table, split: str) -> "Labels | None":
        """Return the labels of a split whose labels are hidden: it has none, or only -1. None for any other split.

        Only a split that is neither scored nor trained on by default may have hidden labels.
        """
        if split in self.scored_splits or split == self.training:
            return None
        if table.has_column(self.label) and not are_hidden_values(table.column(self.label)):
            return None
        values = hidden_labels(len(next(iter(table.columns.values()), [])), self.kind, len(self.listed))
        return Labels(values=values, classes=self.listed, notes=table.notes, are_hidden=True)

    def table(self, split: str) -> Table:
        """Read the table of a split. Raises UsageError or SourceError if it cannot be read."""
        if isinstance(self.data, Mapping):
            with errors_about("data"):
                return read_file(self.data[split].fetch(self.want).path, self.dialect.of(split))
        fetched = self.data.fetch(self.want)
        try:
            return read_repository(fetched, self.config, split, self.dialect.of(split))
        except UsageError as error:
            advice = "`splits` lists the splits to read, and `config` chooses the configuration"
            raise UsageError(f"{self.data.name}: {error}; {advice}").about("splits") from None

    @property
    def listed(self) -> tuple[str, ...]:
        """The names of the classes in the recipe."""
        return class_names(self.classes)

    @property
    def _has_lists(self) -> bool:
        """Whether a row has several labels."""
        return self.kind in ("multilabel", "structured")

    @cached_property
    def _first_declared(self) -> tuple[str, ...]:
        """The names that the first file with names declares: the order must not depend on what is read first."""
        files = self.data.values() if isinstance(self.data, Mapping) and self.kind != "regression" else ()
        unnamed = tuple(ending for ending in ENDINGS if ending != ".parquet")
        paths = (source.fetch(self.want).path for source in files if not source.name.lower().endswith(unnamed))
        return next(filter(None, (classes_of_file(path).get(str(self.label)) for path in paths)), ())

    @cached_property
    def _training_labels(self) -> tuple[str, ...]:
        return infer_names(self.table(self.training).column(self.label), multilabel=self._has_lists)

    def _inferred(self, table: Table) -> tuple[str, ...]:
        """Return the labels of the split for training; none if it is missing and the values are class numbers."""
        if self.kind == "regression":
            return ()
        try:
            return self._training_labels
        except SourceError:
            if infer_names(table.column(self.label), multilabel=self._has_lists):
                raise
            return ()

    def _labels(self, table: Table, classes: tuple[str, ...]) -> tuple[Tensor, ClassMatch | None]:
        """Return the labels as in `Labels`, in the order of `classes`, and how names match them.

        Raises:
            UsageError: With the row of a bad value, or with the names that do not match.
        """
        values, declared = table.labels(self.label), table.classes.get(str(self.label), ())
        if self.kind == "regression":
            return torch.tensor(to_numbers(table.column(self.label)), dtype=torch.float32), None
        other = "the recipe" if self.listed else "another split"
        match = match_labels(declared, classes, side="the data set", other=other) if declared and classes else None
        if self.kind == "multilabel":
            return _label_sets(values, declared or classes, classes, match), match
        if self.kind == "structured":
            return to_padded_numbers(values, declared or classes, match.positions if match else None), match
        numbers = torch.tensor(to_class_numbers(values, declared or classes), dtype=torch.int64)
        return numbers if match is None else torch.tensor(match.positions)[numbers], match

    def _check_count(self, names: tuple[str, ...], labels: Tensor) -> None:
        """Raise UsageError if the data do not have the number of classes that the recipe says."""
        if names:
            check_count(self.classes, len(names))
        elif self.kind == "classification" and len(labels):
            check_count(self.classes, int(labels.max()) + 1, at_most=True)


def as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple."""
    return (names,) if isinstance(names, str) else tuple(names)


def _label_sets(
    values: Sequence[Any], names: Sequence[str], classes: Sequence[str], match: ClassMatch | None
) -> Tensor:
    """Return zeros and ones `(N, C)` in the order of `classes`; the values name classes in the order of `names`."""
    sets = to_label_sets(values, names)
    if match is None:
        return sets
    labels = sets.new_zeros(len(sets), len(classes))
    labels[:, list(match.positions)] = sets
    return labels
