"""Read tables of rows from files (CSV, TSV, JSON lines, parquet) and from data sets of the Hub."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import DatasetCard, DatasetCardData

from zoo.errors import SourceError, UsageError, did_you_mean, first_line
from zoo.fetch.fetched import Fetched
from zoo.tasks.labels import shown, to_text
from zoo.tasks.table_formats import class_names, read_json, read_parquet, read_separated

CARD = "README.md"
datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)  # it logs an error that it also raises
SEPARATORS = {".csv": ",", ".tsv": "\t"}
ENDINGS = (*SEPARATORS, ".jsonl", ".json", ".parquet")


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Attributes:
        columns: The values of every column by its name.
        classes: The names of the classes, for the columns that hold class numbers.
    """

    columns: Mapping[str, list[Any]]
    classes: Mapping[str, tuple[str, ...]]

    def column(self, name: str) -> list[Any]:
        """Return the values of a column. Raises UsageError if there is no such column."""
        if name not in self.columns:
            raise UsageError(f"the data have no column {name!r}{did_you_mean(name, list(self.columns))}")
        return self.columns[name]

    def texts(self, names: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Return the texts of columns, row by row. Raises UsageError with the row of a value that is not a text."""
        columns = [self.column(name) for name in names]
        for name, column in zip(names, columns, strict=True):
            for row, value in enumerate(column):
                if not isinstance(value, str) or not _is_unicode(value):
                    hint = f'; write "{to_text(value)}"' if isinstance(value, int | float) else ""
                    raise UsageError(f"column {name!r}, row {row}: {shown(value)} is not a text{hint}")
        return list(zip(*columns, strict=True))


def _is_unicode(text: str) -> bool:
    """Return whether a text can be encoded: JSON may escape half of a character, such as "\\ud83d"."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_repository(fetched: Fetched, config: str | None, split: str, *, quotes: bool | None = None) -> Table:
    """Read one split of a data set of the Hub.

    The card says which files belong to the split. Without such a card, the files are those whose names start with
    the name of the split.

    Args:
        fetched: The files that were downloaded and verified. No other file is read.
        config: The configuration; None for the first one.
        split: The name of the split.
        quotes: As in `read_file`.

    Raises:
        UsageError: There is no such split.
        SourceError: The card or a file cannot be read, or they declare the same classes in different orders.
    """
    card = _read_card(fetched.path)
    try:
        files = _files_of_splits(card, fetched, config)
        declared = datasets.info.DatasetInfosDict.from_dataset_card_data(card)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _unreadable(fetched.path / CARD, error) from error
    if split not in files:
        raise UsageError(f"the data have no split {split!r}{did_you_mean(split, list(files))}")
    tables = [read_file(path, quotes=quotes) for path in files[split]]
    columns = {name: [value for table in tables for value in table.column(name)] for name in tables[0].columns}
    info = declared.get(config or "default") or (next(iter(declared.values())) if len(declared) == 1 else None)
    of_card = class_names(info.features if info else None)
    for path, table in zip(files[split], tables, strict=True):
        _check_classes(path, table.classes, {**tables[0].classes, **of_card})
    return Table(columns, {**tables[0].classes, **of_card})


def _check_classes(path: Path, of_file: Mapping[str, tuple[str, ...]], declared: Mapping[str, tuple[str, ...]]) -> None:
    """Raise SourceError for a file that declares the classes of a column in another order than the data set."""
    for column, names in of_file.items():
        expected = declared.get(column, names)
        if names != expected and sorted(names) == sorted(expected):
            here, there = ", ".join(names), ", ".join(expected)
            message = f"the classes of {column!r} are {here} here, but {there} in the card or in another file"
            raise SourceError(f"{path}: {message}")


def _read_card(folder: Path) -> DatasetCardData:
    path = folder / CARD
    try:
        status = path.stat()
        return _parse_card(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except (OSError, ValueError):
        return DatasetCardData()


@lru_cache(maxsize=16)  # the card of a large collection, such as GLUE, takes longer to parse than a split to read
def _parse_card(path: Path, *state: int) -> DatasetCardData:
    """Parse a card. `state` is the inode, size and time of the file: a changed file is parsed again."""
    card: DatasetCardData = DatasetCard.load(path, ignore_metadata_errors=True).data
    return card


def _files_of_splits(card: DatasetCardData, fetched: Fetched, config: str | None) -> dict[str, list[Path]]:
    by_config = {item["config_name"]: item.get("data_files") for item in getattr(card, "configs", None) or []}
    data_files = by_config.get(config) if config else next(iter(by_config.values()), None)
    names = sorted(name for name in fetched.names if Path(name).suffix.lower() in ENDINGS)
    splits: dict[str, list[Path]] = {}
    if isinstance(data_files, list) and all(isinstance(item, dict) for item in data_files):
        for item in data_files:
            patterns = item["path"] if isinstance(item["path"], list) else [item["path"]]
            paths = [fetched.path / name for name in names if _fits(name, patterns)]
            splits |= {item["split"]: paths} if paths else {}
        return splits
    if data_files is not None and not isinstance(data_files, str):
        raise TypeError("data_files is not a list of splits with their paths")
    for name in names:
        splits.setdefault(re.split(r"[-.]", Path(name).name)[0], []).append(fetched.path / name)
    return splits


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return name in patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def read_file(path: Path, *, quotes: bool | None = None) -> Table:
    """Read a file in CSV, TSV, JSON lines or parquet.

    Args:
        path: The file; its ending names the format, in capitals or not.
        quotes: Whether double quotes delimit a field of CSV or TSV. Default: in CSV they do, in TSV they are text.

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
            return Table(*read_parquet(path))
        if ending in SEPARATORS:
            quotes = ending == ".csv" if quotes is None else quotes
            return Table(read_separated(path, SEPARATORS[ending], quotes=quotes), {})
        return Table(read_json(path), {})
    except SourceError:
        raise
    except Exception as error:  # pyarrow and the file system raise their own exceptions
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> SourceError:
    return SourceError(f"{path}: cannot be read as data: {type(error).__name__}: {first_line(error)}")
