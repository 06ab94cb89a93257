"""Read the card of a data set of the Hub: its configurations, the files of each split, and the names of its classes."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from datasets.data_files import sanitize_patterns
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData

from zoo.errors import SourceError, UsageError, did_you_mean, first_line
from zoo.fetch.card_files import CARD, fits_pattern
from zoo.tasks.table_formats import class_names

WILDCARDS = re.compile(r"[*?\[]")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One configuration of a data set.

    Attributes:
        files: The names of the files of every split, in the order of its rows.
        classes: The names of the classes that the card declares, for columns that hold class numbers.
    """

    files: Mapping[str, tuple[str, ...]]
    classes: Mapping[str, tuple[str, ...]]


def read_configuration(folder: Path, names: Sequence[str], config: str | None) -> Configuration:
    """Read what the card says of one configuration, as the Hub reads it.

    Without configurations in the card, a configuration is the folder of that name, and the files of a split are those
    whose names start with the name of the split.

    Args:
        folder: The folder with the card, if there is one.
        names: The names of the files that hold rows.
        config: The name of the configuration; None for the card's default, or else its first one.

    Raises:
        UsageError: There is no such configuration.
        SourceError: The card cannot be read.
    """
    card = _read_card(folder)
    try:
        configs = MetadataConfigs.from_dataset_card_data(card)
        infos = DatasetInfosDict.from_dataset_card_data(card)
        name = config or configs.get_default_config_name() or next(iter(configs), None)
        base = "" if configs else config or ""
        files = _files(configs.get(name, {}) if name else {}, base, names)
    except Exception as error:  # datasets and yaml raise their own exceptions
        raise SourceError(
            f"{folder / CARD}: cannot be read as data: {type(error).__name__}: {first_line(error)}"
        ) from error
    known = list(configs) or sorted({name.split("/")[0] for name in names if "/" in name})
    if config and config not in known:
        raise UsageError(f"the data have no configuration {config!r}{did_you_mean(config, known)}")
    unnamed = infos.get("default") or (next(iter(infos.values())) if len(infos) == 1 and not name else None)
    info = infos.get(name) or unnamed
    return Configuration(files=files, classes=class_names(info.features if info else None))


def _files(settings: Mapping[str, object], base: str, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the files of every split of a configuration; those of no file are left out."""
    base = str(settings.get("data_dir") or base)
    patterns = settings.get("data_files")
    if patterns is not None:
        splits = {split: _resolve(base, each, names) for split, each in sanitize_patterns(patterns).items()}
    else:
        below = "" if posixpath.normpath(base) == "." else f"{posixpath.normpath(base)}/"
        splits = {}
        for name in sorted(name for name in names if name.startswith(below)):
            splits.setdefault(re.split(r"[-.]", posixpath.basename(name))[0], []).append(name)
    return {split: tuple(found) for split, found in splits.items() if found}


def _resolve(base: str, patterns: Iterable[object], names: Sequence[str]) -> list[str]:
    """Return the files that fit patterns, in the order of the patterns. A pattern that is a file is only that file."""
    wanted = [posixpath.normpath(posixpath.join(base, str(pattern))) for pattern in patterns]
    found = [[p] if p in names else [name for name in sorted(names) if fits_pattern(name, p)] for p in wanted]
    missing = next((p for p, some in zip(wanted, found, strict=True) if not some and not WILDCARDS.search(p)), None)
    if missing is not None and any(found):
        raise ValueError(f"there is no file {missing!r}")
    return list(dict.fromkeys(name for some in found for name in some))


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
