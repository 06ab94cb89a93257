"""Names of splits: which splits of a data set a published word stands for."""

import re
from collections.abc import Iterable

SAME = {
    "dev": "validation", "val": "validation", "valid": "validation", "eval": "validation", "evaluation": "validation",
    "testing": "test", "training": "train",
}  # fmt: skip
"""Other names of the splits of a data set."""
UNDECLARED = ("", "eval", "evaluation", "null", "none", "n/a", "unknown")
"""Words that name no split: `eval` in a card is whatever split its author evaluated on, often that for testing."""
_SEPARATORS = re.compile(r"[\s_-]+")
_NOUNS = ("set", "split")


def normalized(word: str) -> str:
    """Return a word for a split in small letters, with underscores, and without `set` and `split`."""
    parts = [part for part in _SEPARATORS.split(word.strip().lower()) if part]
    return "_".join([part for part in parts if part not in _NOUNS] or parts)


def is_declared(word: str) -> bool:
    """Return whether a word of an author names a split, unlike `eval`."""
    return normalized(word) not in UNDECLARED


def find_splits(word: str, splits: Iterable[str]) -> tuple[str, ...]:
    """Return the splits that a word stands for.

    Args:
        word: The word of an author, in any case, such as `test set` or `validation-matched`.
        splits: The splits of the data set.

    Returns:
        The split of this name, else those of another name for the same, else those that begin with one of the two, such
        as `validation_matched` and `validation_mismatched` of MNLI. None if the data set has no such split; an
        undeclared word, such as `eval`, is only a split of exactly this name.
    """
    wanted, known = word.strip().lower(), tuple(splits)
    if exact := tuple(split for split in known if split.lower() == wanted):
        return exact
    if not is_declared(wanted):
        return ()
    key = _usual(wanted)
    same = tuple(split for split in known if _usual(split) == key)
    return same or tuple(split for split in known if _usual(split).startswith(f"{key}_"))


def _usual(word: str) -> str:
    """Return the usual name of a split: `validation_matched` for `dev-matched`."""
    first, _, rest = normalized(word).partition("_")
    return "_".join(filter(None, (SAME.get(first, first), rest)))
