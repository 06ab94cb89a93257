"""Choose many models of the Hub to verify: a list of names, or a search of the Hub."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import SourceError, UsageError, ZooError
from zoo.fetch.hub import ModelSearch
from zoo.fetch.sources import Sources
from zoo.recipes.catalogue import Entry

MAX_BYTES = 16 * 1024 * 1024
NAME = re.compile(r"(hf://)?[\w.-]+/[\w.-]+(@[\w./-]+)?")
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)
UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
PLAIN_TAGS = ("language", "library", "tag", "framework")
"""Keys of a query whose tags on the Hub are the value alone."""


def read_names(path: Path) -> list[str]:
    """Return the names of the models in a file, one a line; the text from `#` on is a comment.

    Raises:
        SourceError: The file cannot be read.
        UsageError: A line is no name, with its number.
    """
    try:
        data = path.read_bytes()[: MAX_BYTES + 1]
        lines = data.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise SourceError(f"--from {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--from {path}: not a text in UTF-8") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"--from {path}: a list has at most {MAX_BYTES:,} bytes")
    stripped = [line.partition("#")[0].strip() for line in lines]
    for number, name in enumerate(stripped, 1):
        if name and not NAME.fullmatch(name):
            raise UsageError(
                f"{path}:{number}: {name!r} is no model of the Hub; write OWNER/NAME or OWNER/NAME@REVISION"
            )
    return [name for name in stripped if name]


def parse_query(text: str) -> ModelSearch:
    """Return the search that a query such as `task:text-classification dataset:glue bert` means.

    `task:` and `author:` are filters of their own, any other `KEY:VALUE` is a tag of the model, and other words are
    searched in its name.

    Raises:
        UsageError: The query is empty, or a key has no value.
    """
    pairs = [word.partition(":") for word in text.split()]
    empty = next((key for key, colon, value in pairs if colon and not value), None)
    if not pairs or empty is not None:
        problem = "the query is empty" if empty is None else f"'{empty}:' has no value"
        raise UsageError(f'--search: {problem}; write for example "task:text-classification dataset:glue"')
    by_key = {key: value for key, colon, value in pairs if colon}
    tags = [value if key in PLAIN_TAGS else f"{key}:{value}" for key, colon, value in pairs if colon]
    return ModelSearch(
        tags=tuple(tag for tag in tags if not tag.startswith(("task:", "author:"))),
        task=by_key.get("task"),
        author=by_key.get("author"),
        words=" ".join(key for key, colon, _ in pairs if not colon) or None,
    )


def parse_size(text: str) -> int:
    """Return the number of bytes of a size such as `500MB` or `20G`. Raise UsageError for any other text."""
    found = SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--max-bytes {text}: write a number of bytes, such as 500MB or 20GB")
    return int(float(found[1]) * UNITS[found[2].lower()])


def grouped(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries so that those with the same task follow each other: its data are then read once."""
    return sorted(entries, key=lambda entry: repr(entry.recipe.task) if entry.is_readable else "")


@dataclass(frozen=True, kw_only=True)
class Affordable:
    """The entries of which the weights fit into a number of bytes, and those that are left out."""

    entries: tuple[Entry, ...]
    left_out: tuple[Entry, ...]


def within_budget(entries: Sequence[Entry], budget: int, sources: Sources) -> Affordable:
    """Choose the entries whose weights can be downloaded within a number of bytes, in order; the others are left out.

    Args:
        entries: The entries. Those without a recipe download nothing, and weights that are here already are free.
        budget: The number of bytes.
        sources: Knows the sizes.
    """
    chosen: list[Entry] = []
    left_out: list[Entry] = []
    used: dict[str, int] = {}
    for entry in entries:
        weights = entry.recipe.weights if entry.is_readable else None
        size = 0 if weights is None or weights in used else _size(weights, sources)
        if sum(used.values()) + size > budget:
            left_out.append(entry)
            continue
        chosen.append(entry)
        used |= {weights: size} if weights is not None and weights not in used else {}
    return Affordable(entries=tuple(chosen), left_out=tuple(left_out))


def _size(weights: str, sources: Sources) -> int:
    """Return the bytes to download; none for weights that cannot be read, which is reported where they are run."""
    try:
        return sources.download_size(weights, "weights")
    except ZooError:
        return 0
