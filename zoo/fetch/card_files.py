"""Choose the files of a configuration by the card of a data set, before any of its data are downloaded."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from huggingface_hub import DatasetCard
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from zoo.errors import MissingError, did_you_mean, first_line

CARD = "README.md"


def files_in_card(card: str, config: str, names: Sequence[str], where: str) -> list[str]:
    """Return the files of a configuration; `zoo.tasks.dataset_cards` divides them into splits.

    Args:
        card: The text of the card.
        config: The name of the configuration.
        names: All files that hold data.
        where: The repository and its commit, for messages.

    Returns:
        The files; none if the card has no configurations.

    Raises:
        MissingError: The card cannot be read, or has only other configurations, or none of its files exists.
    """
    configs = _configurations(card, where)
    if not configs:
        return []
    if config not in configs:
        raise MissingError(f"{where} has no configuration {config!r}{did_you_mean(config, list(configs))}")
    base = str(configs[config].get("data_dir") or "")
    patterns = list(_paths(configs[config].get("data_files"))) or ["**"]
    wanted = [posixpath.normpath(posixpath.join(base, pattern)) for pattern in patterns]
    found = [name for name in names if any(_fits(name, pattern) for pattern in wanted)]
    if not found:
        raise MissingError(f"{where} has no files for the configuration {config!r}: its card lists {', '.join(wanted)}")
    return found


def _configurations(card: str, where: str) -> dict[str, Mapping[str, Any]]:
    """Return the settings of every configuration by its name."""
    if not REGEX_YAML_BLOCK.search(card):  # huggingface_hub would log a warning
        return {}
    try:
        configs = DatasetCard(card, ignore_metadata_errors=True).data.get("configs")
    except Exception as error:  # yaml raises its own exceptions
        raise MissingError(f"{where}: {CARD} cannot be read: {first_line(error)}") from None
    listed = [each for each in configs if isinstance(each, Mapping)] if isinstance(configs, list) else []
    return {str(each.get("config_name", "default")): each for each in listed}


def _paths(value: Any) -> Iterator[str]:
    """Yield the patterns of `data_files`: a text, or a list of texts or of `{split: ..., path: ...}`."""
    if isinstance(value, str):
        yield value
    for item in value if isinstance(value, list) else ():
        yield from _paths(item.get("path") if isinstance(item, Mapping) else item)


def _fits(name: str, pattern: str) -> bool:
    """Return whether a file fits a pattern. A pattern that cannot be read is reported when the data are."""
    try:
        return name == pattern or fits_pattern(name, pattern)
    except ValueError:
        return False


def fits_pattern(name: str, pattern: str) -> bool:
    """Return whether a file fits a pattern of a card, by the rules of fsspec, which `datasets` uses.

    The time is short for any pattern: one regular expression for all of it, as fsspec has, may take forever.

    Raises:
        ValueError: `**` is only a part of the name of a folder.
    """
    names, parts = name.split("/"), pattern.split("/")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError(f"invalid pattern {pattern!r}: '**' stands for whole folders")
    ends = {0}  # how many folders the parts so far may stand for
    for number, part in enumerate(parts, 1):
        if part == "**":
            ends = set(range(min(ends) + (number == len(parts)), len(names) + 1)) if ends else ends
        else:
            ends = {end + 1 for end in ends if end < len(names) and fnmatchcase(names[end], part)}
    return len(names) in ends
