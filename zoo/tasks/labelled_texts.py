"""Read the splits of a text classification: texts, labels, and the names of their classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from zoo.class_names import ClassMatch, match_labels
from zoo.errors import SourceError, UsageError, errors_about
from zoo.fetch.sources import Source
from zoo.tasks.base import Kind, TextSplit
from zoo.tasks.labels import (
    Classes,
    RowError,
    check_count,
    class_names,
    infer_names,
    to_class_numbers,
    to_label_sets,
    to_numbers,
)
from zoo.tasks.tables import ENDINGS, Table, classes_of_file, read_file, read_repository


@dataclass(frozen=True, kw_only=True)
class LabelledTexts:
    """Where the texts and labels of a task are. The arguments are those of `text_classification`.

    Attributes:
        columns: The columns with the texts.
        training: The split whose labels are the classes if nothing declares them.
        tokenizer: A tokenizer of transformers.
        scored_by_default: The splits that are scored because the recipe does not choose them.
    """

    data: Source | Mapping[str, Source]
    columns: tuple[str, ...]
    label: str
    classes: Classes
    kind: Kind
    config: str | None
    quotes: bool | None
    training: str
    tokenizer: Any
    max_length: int
    scored_by_default: tuple[str, ...] = ()

    @property
    def want(self) -> str:
        """The part of each source to fetch; see `zoo.fetch.sources.Sources.fetch`."""
        return "data" if self.config is None else f"data/{self.config}"

    @property
    def sources(self) -> tuple[Source, ...]:
        """The data set of the Hub, or the files of all splits."""
        return tuple(self.data.values()) if isinstance(self.data, Mapping) else (self.data,)

    def load(self, split: str) -> TextSplit:
        """Read a split.

        Raises:
            UsageError: A column is missing, or a text or a label is wrong; with the split and the row.
            SourceError: A file is missing or cannot be read.
        """
        where = self.data[split].name if isinstance(self.data, Mapping) else f"{self.data.name}, {split}"
        table = self._read(split)
        try:
            return self._labelled(table)
        except UsageError as error:
            raise UsageError(f"{where}: {error}{self._hint(split, error)}").about(error.argument) from None

    def _hint(self, split: str, error: UsageError) -> str:
        """Return how to leave out a split whose labels may be hidden."""
        others = [name for name in self.scored_by_default if name != split]
        is_label = isinstance(error, RowError) or error.argument == "label"
        if not is_label or not others or split not in self.scored_by_default:
            return ""
        return f"; if {split} has no public labels, leave it out: write scored: [{', '.join(others)}]"

    def _labelled(self, table: Table) -> TextSplit:
        with errors_about("text"):
            texts = table.texts(self.columns)
        with errors_about("label"):
            table.column(self.label)
        with errors_about("classes" if self._listed else "label"):
            declared = self._listed or self._first_declared or table.classes.get(self.label, ())
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
        return TextSplit(
            texts, labels, tokenizer=self.tokenizer, max_length=self.max_length, classes=known, class_notes=notes
        )

    def _read(self, split: str) -> Table:
        if isinstance(self.data, Mapping):
            with errors_about("data"):
                return read_file(self.data[split].fetch(self.want).path, quotes=self.quotes)
        fetched = self.data.fetch(self.want)
        try:
            return read_repository(fetched, self.config, split, quotes=self.quotes)
        except UsageError as error:
            advice = "`splits` lists the splits to read, and `config` chooses the configuration"
            raise UsageError(f"{self.data.name}: {error}; {advice}").about("splits") from None

    @property
    def _listed(self) -> tuple[str, ...]:
        """The names of the classes in the recipe."""
        return class_names(self.classes)

    @cached_property
    def _first_declared(self) -> tuple[str, ...]:
        """The names that the first file with names declares: the order must not depend on what is read first."""
        files = self.data.values() if isinstance(self.data, Mapping) and self.kind != "regression" else ()
        unnamed = tuple(ending for ending in ENDINGS if ending != ".parquet")
        paths = (source.fetch(self.want).path for source in files if not source.name.lower().endswith(unnamed))
        return next(filter(None, (classes_of_file(path).get(self.label) for path in paths)), ())

    @cached_property
    def _training_labels(self) -> tuple[str, ...]:
        return infer_names(self._read(self.training).column(self.label), multilabel=self.kind == "multilabel")

    def _inferred(self, table: Table) -> tuple[str, ...]:
        """Return the labels of the split for training; none if it is missing and the values are class numbers."""
        if self.kind == "regression":
            return ()
        try:
            return self._training_labels
        except SourceError:
            if infer_names(table.column(self.label), multilabel=self.kind == "multilabel"):
                raise
            return ()

    def _labels(self, table: Table, classes: tuple[str, ...]) -> tuple[Tensor, ClassMatch | None]:
        """Return labels `(N,)` or, if multilabel, `(N, C)` in the order of `classes`, and how names match them.

        Raises:
            UsageError: With the row of a bad value, or with the names that do not match.
        """
        values, declared = table.labels(self.label), table.classes.get(self.label, ())
        if self.kind == "regression":
            return torch.tensor(to_numbers(table.column(self.label)), dtype=torch.float32), None
        other = "the recipe" if self._listed else "another split"
        match = match_labels(declared, classes, side="the data set", other=other) if declared and classes else None
        if self.kind == "multilabel":
            return _label_sets(values, declared or classes, classes, match), match
        numbers = torch.tensor(to_class_numbers(values, declared or classes), dtype=torch.int64)
        return numbers if match is None else torch.tensor(match.positions)[numbers], match

    def _check_count(self, names: tuple[str, ...], labels: Tensor) -> None:
        """Raise UsageError if the data do not have the number of classes that the recipe says."""
        if names:
            check_count(self.classes, len(names))
        elif self.kind == "classification" and len(labels):
            check_count(self.classes, int(labels.max()) + 1, at_most=True)


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
