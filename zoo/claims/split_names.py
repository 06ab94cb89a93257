"""Names of splits: which splits of a data set a published word stands for."""

from collections.abc import Iterable

SAME = {
    "dev": "validation", "val": "validation", "valid": "validation", "eval": "validation", "evaluation": "validation",
    "testing": "test",
}  # fmt: skip
"""Other names of the splits of a data set."""
UNDECLARED = ("", "eval", "evaluation", "null")
"""Words that name no split: `eval` in a card is whatever split its author evaluated on, often that for testing."""


def is_declared(word: str) -> bool:
    """Return whether a word of an author names a split, unlike `eval`."""
    return word.strip().lower() not in UNDECLARED


def find_splits(word: str, splits: Iterable[str]) -> tuple[str, ...]:
    """Return the splits that a word stands for.

    Args:
        word: The word of an author, in any case.
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
    for key in dict.fromkeys((wanted, SAME.get(wanted, wanted))):
        found = tuple(split for split in known if split.lower() == key or SAME.get(split.lower()) == key)
        found = found or tuple(split for split in known if split.lower().startswith(f"{key}_"))
        if found:
            return found
    return ()
