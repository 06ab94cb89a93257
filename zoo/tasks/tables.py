"""Tables of examples, read by the library `datasets`: what a data set's own card says of columns and labels is kept."""

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
datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)  # it tells of a bad file beside raising
READERS = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


@dataclass(frozen=True)
class Table:
    """Columns of equal length, and the names of the classes of those that hold classes."""

    columns: Mapping[str, list[Any]]
    classes: Mapping[str, tuple[str, ...]]

    def column(self, name: str) -> list[Any]:
        """Raises UsageError for one that is not there."""
        if name not in self.columns:
            raise UsageError(f"the data have no column {name!r}{did_you_mean(name, list(self.columns))}")
        return self.columns[name]

    def texts(self, names: tuple[str, ...]) -> list[tuple[str, ...]]:
        """The rows of some columns of texts; raises UsageError, naming the row, for what is none."""
        columns = [self.column(name) for name in names]
        for name, column in zip(names, columns, strict=True):
            row = next((row for row, value in enumerate(column) if not isinstance(value, str)), None)
            if row is not None:
                raise UsageError(f"column {name!r}, row {row}: {column[row]!r} is no text")
        return list(zip(*columns, strict=True))


def read_repository(fetched: Fetched, config: str | None, split: str) -> Table:
    """A split of a data set, as its card lays out the files that were fetched and verified; no other file is read.

    Without a card that tells, the files of a split are those with its name. Raises UsageError for a split that is not
    there, SourceError for files that cannot be read.
    """
    card = _card(fetched.path)
    try:
        files = _files(card, fetched, config)
        declared = datasets.info.DatasetInfosDict.from_dataset_card_data(card)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _unreadable(fetched.path / CARD, error) from error
    if split not in files:
        raise UsageError(f"the data have no split {split!r}{did_you_mean(split, list(files))}")
    tables = [read_file(path) for path in files[split]]
    columns = {name: [value for table in tables for value in table.column(name)] for name in tables[0].columns}
    info = declared.get(config or "default") or (next(iter(declared.values())) if len(declared) == 1 else None)
    return Table(columns, {**tables[0].classes, **_classes(info.features if info else None)})


def _card(folder: Path) -> DatasetCardData:
    try:
        found: DatasetCardData = DatasetCard.load(folder / CARD, ignore_metadata_errors=True).data
    except (OSError, ValueError):
        return DatasetCardData()
    return found


def _files(card: DatasetCardData, fetched: Fetched, config: str | None) -> dict[str, list[Path]]:
    """The files of every split, among those that were fetched."""
    told = {one["config_name"]: one.get("data_files") for one in getattr(card, "configs", None) or []}
    found = told.get(config) if config else next(iter(told.values()), None)
    names = sorted(name for name in fetched.names if Path(name).suffix in READERS)
    splits: dict[str, list[Path]] = {}
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        for one in found:
            patterns = one["path"] if isinstance(one["path"], list) else [one["path"]]
            paths = [fetched.path / name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
            splits |= {one["split"]: paths} if paths else {}
        return splits
    if found is not None and not isinstance(found, str):
        raise TypeError("data_files is not a list of splits with their paths")
    for name in names:
        splits.setdefault(re.split(r"[-.]", Path(name).name)[0], []).append(fetched.path / name)
    return splits


def read_file(path: Path) -> Table:
    """A file of comma- or tab-separated values, JSON lines or parquet. Raises SourceError where it cannot be read."""
    reader = READERS.get(path.suffix)
    if reader is None:
        raise UsageError(f"{path}: data end with {', '.join(READERS)}, not {path.suffix!r}")
    if not path.is_file():
        raise SourceError(f"{path.absolute()}: no such file")
    with tempfile.TemporaryDirectory() as cache:
        try:
            if reader == "csv":
                return _separated(path, "\t" if path.suffix == ".tsv" else ",")
            return _table(
                datasets.load_dataset(reader, data_files=str(path), split="train", streaming=True, cache_dir=cache)
            )
        except UnicodeDecodeError:
            raise SourceError(f"{path}: is not in UTF-8; save it so") from None
        except SourceError:
            raise
        except Exception as error:  # readers of every format raise errors of their own
            raise _unreadable(path, error) from error


def _separated(path: Path, separator: str) -> Table:
    """Rows of texts, whatever they look like: "NA" and "2020" are texts. Raises SourceError, naming the line."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=separator, strict=True)
        header = next(rows, [])
        columns: dict[str, list[Any]] = {name: [] for name in header}
        if len(columns) < len(header) or not header:
            twice = [name for name, count in Counter(header).items() if count > 1]
            raise SourceError(f"{path}: {f'two columns are called {twice[0]!r}' if twice else 'there is no header'}")
        try:
            for row in rows:
                if row and len(row) != len(header):
                    message = f"{len(row)} fields, the header has {len(header)}; quote a text that holds {separator!r}"
                    raise SourceError(f"{path}: line {rows.line_num}: {message}")
                for name, value in zip(header, row, strict=False):
                    columns[name].append(value)
        except csv.Error as error:
            raise SourceError(f"{path}: line {rows.line_num}: {error}") from None
    return Table(columns, {})


def _table(rows: Any) -> Table:
    parts = [part.to_pydict() for part in rows.with_format("arrow").iter(batch_size=10_000)]
    names = list(parts[0]) if parts else []
    columns = {name: [value for part in parts for value in part[name]] for name in names}
    return Table(columns, _classes(rows.features))


def _classes(features: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    """The names of classes that columns, or the lists in them, hold."""
    inner = {name: getattr(feature, "feature", feature) for name, feature in (features or {}).items()}
    return {name: tuple(one.names) for name, one in inner.items() if isinstance(one, datasets.ClassLabel)}


def _unreadable(path: Path, error: Exception) -> SourceError:
    return SourceError(f"{path}: cannot be read as data: {type(error).__name__}: {first_line(error)}")
