"""Read tables of rows from files (CSV, TSV, JSON lines, parquet) and from data sets of the Hub."""

import csv
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import DatasetCard, DatasetCardData

from zoo.errors import SourceError, UsageError, did_you_mean, first_line
from zoo.fetch.fetched import Fetched

CARD = "README.md"
datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)  # it logs an error that it also raises
READERS = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


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
            row = next((row for row, value in enumerate(column) if not isinstance(value, str)), None)
            if row is not None:
                raise UsageError(f"column {name!r}, row {row}: {column[row]!r} is not a text")
        return list(zip(*columns, strict=True))


def read_repository(fetched: Fetched, config: str | None, split: str) -> Table:
    """Read one split of a data set of the Hub.

    The card says which files belong to the split. Without such a card, the files are those whose names start with
    the name of the split.

    Args:
        fetched: The files that were downloaded and verified. No other file is read.
        config: The configuration; None for the first one.
        split: The name of the split.

    Raises:
        UsageError: There is no such split.
        SourceError: The card or a file cannot be read.
    """
    card = _read_card(fetched.path)
    try:
        files = _files_of_splits(card, fetched, config)
        declared = datasets.info.DatasetInfosDict.from_dataset_card_data(card)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _unreadable(fetched.path / CARD, error) from error
    if split not in files:
        raise UsageError(f"the data have no split {split!r}{did_you_mean(split, list(files))}")
    tables = [read_file(path) for path in files[split]]
    columns = {name: [value for table in tables for value in table.column(name)] for name in tables[0].columns}
    info = declared.get(config or "default") or (next(iter(declared.values())) if len(declared) == 1 else None)
    return Table(columns, {**tables[0].classes, **_class_names(info.features if info else None)})


def _read_card(folder: Path) -> DatasetCardData:
    try:
        card: DatasetCardData = DatasetCard.load(folder / CARD, ignore_metadata_errors=True).data
    except (OSError, ValueError):
        return DatasetCardData()
    return card


def _files_of_splits(card: DatasetCardData, fetched: Fetched, config: str | None) -> dict[str, list[Path]]:
    by_config = {item["config_name"]: item.get("data_files") for item in getattr(card, "configs", None) or []}
    data_files = by_config.get(config) if config else next(iter(by_config.values()), None)
    names = sorted(name for name in fetched.names if Path(name).suffix in READERS)
    splits: dict[str, list[Path]] = {}
    if isinstance(data_files, list) and all(isinstance(item, dict) for item in data_files):
        for item in data_files:
            patterns = item["path"] if isinstance(item["path"], list) else [item["path"]]
            paths = [fetched.path / name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
            splits |= {item["split"]: paths} if paths else {}
        return splits
    if data_files is not None and not isinstance(data_files, str):
        raise TypeError("data_files is not a list of splits with their paths")
    for name in names:
        splits.setdefault(re.split(r"[-.]", Path(name).name)[0], []).append(fetched.path / name)
    return splits


def read_file(path: Path) -> Table:
    """Read a file in CSV, TSV, JSON lines or parquet.

    Raises:
        UsageError: The file name has another ending.
        SourceError: The file is missing or cannot be read.
    """
    reader = READERS.get(path.suffix)
    if reader is None:
        raise UsageError(
            f"{path}: cannot read files that end with {path.suffix!r}; known endings: {', '.join(READERS)}"
        )
    if not path.is_file():
        raise SourceError(f"{path.absolute()}: no such file")
    with tempfile.TemporaryDirectory() as cache:
        try:
            if reader == "csv":
                return _read_separated(path, "\t" if path.suffix == ".tsv" else ",")
            return _to_table(
                datasets.load_dataset(reader, data_files=str(path), split="train", streaming=True, cache_dir=cache)
            )
        except UnicodeDecodeError:
            raise SourceError(f"{path}: the file is not in UTF-8; save it in UTF-8") from None
        except SourceError:
            raise
        except Exception as error:  # every reader raises its own exceptions
            raise _unreadable(path, error) from error


def _read_separated(path: Path, separator: str) -> Table:
    """Read CSV or TSV. Every value stays a text, also "NA" and "2020". Raises SourceError with the line of a fault."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=separator, strict=True)
        header = next(rows, [])
        columns: dict[str, list[Any]] = {name: [] for name in header}
        if not header:
            raise SourceError(f"{path}: the file has no header line")
        if len(columns) < len(header):
            twice = next(name for name, count in Counter(header).items() if count > 1)
            raise SourceError(f"{path}: two columns are called {twice!r}")
        try:
            for row in rows:
                if row and len(row) != len(header):
                    message = (
                        f"{len(row)} fields, but the header has {len(header)}; quote a text with {separator!r} in it"
                    )
                    raise SourceError(f"{path}: line {rows.line_num}: {message}")
                for name, value in zip(header, row, strict=False):
                    columns[name].append(value)
        except csv.Error as error:
            raise SourceError(f"{path}: line {rows.line_num}: {error}") from None
    return Table(columns, {})


def _to_table(rows: Any) -> Table:
    parts = [part.to_pydict() for part in rows.with_format("arrow").iter(batch_size=10_000)]
    names = list(parts[0]) if parts else []
    columns = {name: [value for part in parts for value in part[name]] for name in names}
    return Table(columns, _class_names(rows.features))


def _class_names(features: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    """Collect the class names of columns that hold class numbers or lists of them."""
    types = {name: getattr(feature, "feature", feature) for name, feature in (features or {}).items()}
    return {name: tuple(kind.names) for name, kind in types.items() if isinstance(kind, datasets.ClassLabel)}


def _unreadable(path: Path, error: Exception) -> SourceError:
    return SourceError(f"{path}: cannot be read as data: {type(error).__name__}: {first_line(error)}")
