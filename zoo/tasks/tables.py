"""Read tables of rows from files (CSV, TSV, JSON lines, parquet) and from data sets of the Hub."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets

from zoo.class_names import ClassMatch, has_names, match_labels
from zoo.errors import SIMILAR, SourceError, UsageError, did_you_mean, first_line
from zoo.fetch.fetched import Fetched
from zoo.tasks.dataset_cards import read_configuration
from zoo.tasks.dialect import DEFAULT, Dialect
from zoo.tasks.labels import renumbered, shown, to_text
from zoo.tasks.table_formats import declared_classes, read_json, read_parquet, read_separated

datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)  # it logs an error that it also raises
SEPARATORS = {".csv": ",", ".tsv": "\t"}
Column = str | int
"""The name of a column; or of CSV and TSV its number, from 0."""
ENDINGS = (*SEPARATORS, ".jsonl", ".json", ".parquet")


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Attributes:
        columns: The values of every column by its name.
        classes: The names of the classes, for the columns that hold class numbers.
        coded: The columns whose own files declare that integers are class numbers, whatever the classes are called.
        notes: What a user should know about how the names of classes in several files were matched.
        is_separated: Whether the file is CSV or TSV, whose columns have numbers from 0 as well.
        has_header: Whether the first line of such a file was read as the names of the columns.
    """

    columns: Mapping[str, list[Any]]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    coded: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    is_separated: bool = False
    has_header: bool = True

    def column(self, name: Column) -> list[Any]:
        """Return the values of a column. Raises UsageError if there is no such column."""
        if isinstance(name, int):
            return self._numbered(name)
        if name not in self.columns:
            raise UsageError(f"the data have no column {name!r}{self._hint(name)}")
        return self.columns[name]

    def has_column(self, name: Column) -> bool:
        """Return whether there is a column of this name or number."""
        return name in self.columns if isinstance(name, str) else self.is_separated and name < len(self.columns)

    def _numbered(self, number: int) -> list[Any]:
        if not self.is_separated:
            known = ", ".join(self.columns)
            raise UsageError(f"the column {number} is a number; only CSV and TSV have these, so name one of {known}")
        if not 0 <= number < len(self.columns):
            raise UsageError(
                f"the data have no column {number}; columns are numbered from 0 to {len(self.columns) - 1}"
            )
        return list(self.columns.values())[number]

    def _hint(self, name: str) -> str:
        if not self.has_header:
            last = len(self.columns) - 1
            return f"; the file has no header, so columns are numbers from 0 to {last}, or names that `header` lists"
        hint = did_you_mean(name, list(self.columns))
        if not self.is_separated or hint.startswith(SIMILAR):
            return hint
        return f"{hint}; if the first line is a row, set header: false, and number the columns from 0"

    def labels(self, name: Column) -> list[Any]:
        """Return the values of a column, with names in place of the class numbers that the file itself declares."""
        values = self.column(name)
        is_coded = isinstance(name, str) and name in self.coded
        return renumbered(values, self.classes[str(name)]) if is_coded else values

    def texts(self, names: tuple[Column, ...]) -> list[tuple[str, ...]]:
        """Return the texts of columns, row by row. Raises UsageError with the row of a value that is not a text."""
        columns = [self.column(name) for name in names]
        for name, column in zip(names, columns, strict=True):
            for row, value in enumerate(column):
                if not isinstance(value, str) or not is_unicode(value):
                    hint = f'; write "{to_text(value)}"' if isinstance(value, int | float) else ""
                    raise UsageError(f"column {name!r}, row {row}: {shown(value)} is not a text{hint}")
        return list(zip(*columns, strict=True))


def is_unicode(text: str) -> bool:
    """Return whether a text can be encoded: JSON may escape half of a character, such as "\\ud83d"."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_repository(fetched: Fetched, config: str | None, split: str, dialect: Dialect = DEFAULT) -> Table:
    """Read one split of a data set of the Hub.

    All splits have the same classes: those of the card, or else of the first split that declares names, `train` before
    the others. Files that declare them in another order get other class numbers.

    Args:
        fetched: The files that were downloaded and verified. No other file is read.
        config: The configuration; None for the card's default, or else its first one.
        split: The name of the split.
        dialect: As in `read_file`.

    Raises:
        UsageError: There is no such configuration or split.
        SourceError: The card or a file cannot be read, or a file declares other classes.
    """
    names = [name for name in fetched.names if Path(name).suffix.lower() in ENDINGS]
    configuration = read_configuration(fetched.path, names, config)
    if split not in configuration.files:
        raise UsageError(f"the data have no split {split!r}; they have {', '.join(configuration.files) or 'none'}")
    splits = sorted(configuration.files, key=lambda name: name != "train")
    first_files = [fetched.path / configuration.files[name][0] for name in splits]
    classes = _choose_names([configuration.classes, *map(classes_of_file, first_files)])
    return _join(
        {path: read_file(path, dialect) for path in map(fetched.path.joinpath, configuration.files[split])},
        classes,
    )


def splits_of_repository(fetched: Fetched, config: str | None) -> tuple[str, ...]:
    """Return the names of all splits of a data set of the Hub; the arguments and exceptions are `read_repository`'s."""
    names = [name for name in fetched.names if Path(name).suffix.lower() in ENDINGS]
    return tuple(read_configuration(fetched.path, names, config).files)


def classes_of_file(path: Path) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the classes that a file declares, by column. Raises SourceError if it cannot be read."""
    try:
        return declared_classes(path)
    except Exception as error:  # pyarrow and the file system raise their own exceptions
        raise _unreadable(path, error) from error


def _choose_names(declared: Sequence[Mapping[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """Return the first declaration of every column; one that has placeholders for names gives way to one with names."""
    chosen: dict[str, tuple[str, ...]] = {}
    for column, names in ((column, names) for classes in declared for column, names in classes.items()):
        if column not in chosen or (has_names(names) and not has_names(chosen[column])):
            chosen[column] = names
    return chosen


def _join(tables: Mapping[Path, Table], classes: Mapping[str, tuple[str, ...]]) -> Table:
    """Join the parts of a split. Their class numbers are changed to the order of `classes`."""
    first = next(iter(tables.values()))
    columns: dict[str, list[Any]] = {name: [] for name in first.columns}
    notes: dict[str, None] = {}
    for path, table in tables.items():
        for name, joined in columns.items():
            if (name in table.coded) != (name in first.coded):
                raise SourceError(f"{path}: the column {name!r} declares classes here or in another part, not in both")
            values = table.column(name)
            if name in table.coded:
                match = _match_part(path, name, table.classes[name], classes.get(name, table.classes[name]))
                values = renumbered(values, match.positions)
                notes |= {match.note: None} if match.note else {}
            joined.extend(values)
    return Table(
        columns, {**first.classes, **classes}, first.coded, tuple(notes), is_separated=first.is_separated,
        has_header=first.has_header,
    )  # fmt: skip


def _match_part(path: Path, column: str, names: tuple[str, ...], expected: tuple[str, ...]) -> ClassMatch:
    """Find the classes of one file in those of the data set. Raises SourceError unless both are the same classes."""
    side, other = f"{path.name}, column {column!r},", "the card or another file"
    try:
        if len(names) == len(expected):
            return match_labels(names, expected, side=side, other=other)
    except UsageError:
        pass
    listed = f"{', '.join(names)} here, but {', '.join(expected)} in {other}"
    raise SourceError(f"{path}: the classes of {column!r} are {listed}")


def read_file(path: Path, dialect: Dialect = DEFAULT) -> Table:
    """Read a file in CSV, TSV, JSON lines or parquet.

    Args:
        path: The file; its ending names the format, in capitals or not.
        dialect: How a file of CSV, TSV or JSON is written.

    Raises:
        UsageError: The file name has another ending.
        SourceError: The file is missing or cannot be read.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise UsageError(f"{path}: cannot read files that end with {path.suffix!r}; known endings: {known}")
    if not path.is_file():
        raise SourceError(f"{path.absolute()}: no such file")
    try:
        if ending == ".parquet":
            columns, classes = read_parquet(path)
            return Table(columns, classes, frozenset(classes))
        if ending in SEPARATORS:
            columns = read_separated(path, SEPARATORS[ending], dialect)
            return Table(columns, is_separated=True, has_header=dialect.header is not False)
        return Table(read_json(path, dialect))
    except SourceError:
        raise
    except Exception as error:  # pyarrow and the file system raise their own exceptions
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> SourceError:
    return SourceError(f"{path}: cannot be read as data: {type(error).__name__}: {first_line(error)}")
