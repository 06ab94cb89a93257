"""Match the class names of two sides: a recipe, a data set, the configuration of a model."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zoo.errors import UsageError

_PLACEHOLDER = re.compile(r"((label|class)[ _-]?)?\d+|n\d{8}", re.ASCII | re.IGNORECASE)
"""LABEL_0 of transformers, a bare number, or an identifier of WordNet: none of them is a name."""
_NUMBERED = re.compile(r"((label|class)[ _-]?)?\d+", re.ASCII | re.IGNORECASE)
"""A placeholder that holds only a number. An identifier of WordNet means the same class everywhere."""
_SYNONYMS = {
    synonym: words[0]
    for words in (
        ("negative", "neg"), ("positive", "pos"), ("neutral", "neu"), ("true", "yes"), ("false", "no"),
        ("entailment", "entailed", "entails"), ("contradiction", "contradictory", "contradicts"),
        ("duplicate", "is_duplicate", "duplicates"), ("equivalent", "is_equivalent", "paraphrase"),
        ("acceptable", "grammatical"), ("unacceptable", "ungrammatical", "not_acceptable", "not_grammatical"),
        ("not_equivalent", "not_paraphrase"), ("ham", "not_spam"), ("not_toxic", "nontoxic"),
        ("world", "world_news"), ("sports", "sport"), ("scitech", "science_and_technology"),
    )
    for synonym in words[1:]
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ClassMatch:
    """How the classes of one side are found on the other.

    Attributes:
        positions: For each class of the one side, its position on the other.
        note: What a user should know about the match, or None if the names are equal up to capitals.
    """

    positions: tuple[int, ...]
    note: str | None = None


def match_classes(names: Sequence[str], wanted: Sequence[str], *, side: str, other: str) -> ClassMatch:
    """Find each class of one side on the other: by equal names, then without regard to capitals, then by synonyms.

    If one side has placeholders for names, such as LABEL_0 or 0, the classes are taken to be in the same order, also if
    both sides have the same placeholders in different orders.

    Args:
        names: The classes of the one side.
        wanted: The classes of the other side. It may have further classes.
        side: What the one side is, such as "the data".
        other: What the other side is.

    Raises:
        UsageError: The names do not match; the message has both lists.
    """
    if list(names) == list(wanted):
        return ClassMatch(positions=tuple(range(len(names))))
    are_numbered = all(map(_is_numbered, (*names, *wanted)))
    for key in () if are_numbered else (str, _plain, _canonical):
        positions = _find(names, wanted, key)
        if positions is not None:
            return ClassMatch(positions=positions, note=_synonyms(names, wanted, positions, side, other))
    if len(names) == len(wanted) and not (has_names(names) and has_names(wanted)):
        note = f"{side} and {other} are taken to have their classes in the same order, since "
        unnamed = (side, names) if not has_names(names) else (other, wanted)
        note += f"{unnamed[0]} does not name them: {', '.join(unnamed[1])} for {', '.join(wanted)}"
        return ClassMatch(positions=tuple(range(len(names))), note=note)
    raise UsageError(_mismatch(names, wanted, side, other))


def match_labels(names: Sequence[str], wanted: Sequence[str], *, side: str, other: str) -> ClassMatch:
    """Find each class of a data set in a recipe, or in another part of the data set.

    The labels of data are texts, and so 1 is the name of a class here. Otherwise the rules are those of
    `match_classes`, with the same arguments and exceptions.
    """
    positions = _find(names, wanted, str)
    if positions is not None:
        return ClassMatch(positions=positions)
    if all(map(_is_numbered, (*names, *wanted))) and {*names} & {*wanted}:  # the same text would be two classes
        raise UsageError(_mismatch(names, wanted, side, other))
    return match_classes(names, wanted, side=side, other=other)


def _mismatch(names: Sequence[str], wanted: Sequence[str], side: str, other: str) -> str:
    return (
        f"the class names do not match: {side} has {', '.join(names)}; {other} has {', '.join(wanted)};"
        " name the same classes on both sides"
    )


def has_names(names: Sequence[str]) -> bool:
    """Return whether classes have names, not only placeholders such as LABEL_0, 0 or n01440764."""
    return not all(_PLACEHOLDER.fullmatch(name.strip()) for name in names)


def _is_numbered(name: str) -> bool:
    return _NUMBERED.fullmatch(name.strip()) is not None


def _find(names: Sequence[str], wanted: Sequence[str], key: Callable[[str], str]) -> tuple[int, ...] | None:
    """Return the positions of all names, or None if one is missing or could be two classes."""
    sought, known = [key(name) for name in names], [key(name) for name in wanted]
    if len({*sought}) < len(sought) or any(known.count(name) != 1 for name in sought):
        return None
    return tuple(known.index(name) for name in sought)


def _synonyms(
    names: Sequence[str], wanted: Sequence[str], positions: Sequence[int], side: str, other: str
) -> str | None:
    pairs = [(name, wanted[position]) for name, position in zip(names, positions, strict=True)]
    pairs = [(name, found) for name, found in pairs if _plain(name) != _plain(found)]
    if not pairs:
        return None
    listed = ", ".join(f"{name!r} for {found!r}" for name, found in pairs)
    return f"class names of {side} are taken for synonyms of {other}'s: {listed}"


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def _canonical(name: str) -> str:
    plain = re.sub(r"^(non|no)_", "not_", _plain(name))
    plain = re.sub(r"^(\d+)_stars$", r"\1_star", plain).replace("/", "")
    return _SYNONYMS.get(plain, plain)
