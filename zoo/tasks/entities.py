"""Read the entities of a sentence from the tags of its words, as seqeval reads them.

The default reading is that of conlleval, the script of the CoNLL-2000 and CoNLL-2003 shared tasks: an entity begins
with a tag that begins one, or where the type changes, in any scheme. The strict reading is by the rules of one scheme,
and leaves out what they do not allow. Both are those of seqeval 1.2.2, with its functions `get_entities` and
`Tokens.entities`; a test compares them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from zoo.errors import UsageError

Tag = tuple[str, str]
"""The prefix of a tag, such as B, and its type, such as PER; `_` if it has none."""
Entity = tuple[str, int, int]
"""The type of an entity, the position of its first word, and the position after its last word."""
Rules = tuple[tuple[str, str, bool | None], ...]
"""Prefixes of the tag before, prefixes of this tag, and whether both have the same type; None if that does not
matter."""
OUTSIDE: Tag = ("O", "_")
NO_SCHEME = "none"
"""Stands for tags that say something of one word each, such as its part of speech."""
_TAG = re.compile(r"O|[BIES]|[BIESLU]-(?!-)\S*[^\s-]")
_ANY = "IOBESUL"


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """The rules of a scheme: its prefixes, and which pairs of tags begin, continue and end an entity."""

    prefixes: str
    start: Rules
    inside: Rules
    end: Rules


_IOB_INSIDE: Rules = (("BI", "I", True),)
SCHEMES = {
    "IOB1": Scheme(
        prefixes="IOB",
        start=(("O", "I", None), ("I", "I", False), ("B", "I", None), ("IB", "B", True)),
        inside=_IOB_INSIDE,
        end=(("BI", "I", False), ("BI", "O", None), ("I", "B", None), ("B", "B", True)),
    ),
    "IOB2": Scheme(
        prefixes="IOB",
        start=((_ANY, "B", None),),
        inside=_IOB_INSIDE,
        end=(("BI", "OB", None), ("BI", "I", False)),
    ),
    "IOE1": Scheme(
        prefixes="IOE",
        start=(("OE", "I", None), ("I", "I", False), ("E", "E", True)),
        inside=(("I", "IE", True),),
        end=(("I", "IE", False), ("I", "O", None), ("E", "IE", True)),
    ),
    "IOE2": Scheme(
        prefixes="IOE",
        start=(("OE", "IE", None), ("I", "IE", False)),
        inside=(("I", "IE", True),),
        end=(("E", _ANY, None),),
    ),
    "IOBES": Scheme(
        prefixes="IOBES", start=((_ANY, "BS", None),), inside=(("BI", "IE", True),), end=(("SE", _ANY, None),)
    ),
    "BILOU": Scheme(
        prefixes="BILOU", start=((_ANY, "BU", None),), inside=(("BI", "IL", True),), end=(("UL", _ANY, None),)
    ),
}
"""The schemes of seqeval, by its names."""
ALIASES = {"BIO": "IOB2", "BIOES": "IOBES", "BILUO": "BILOU"}
"""Other names of the same schemes."""


def find_scheme(name: str, classes: Sequence[str]) -> str:
    """Return the scheme of tags: the named one, else the first that has all prefixes of the classes.

    Tags with B and I are IOB2, because IOB1 has the same tags; tags with only I are IOB1.

    Args:
        name: The name of a scheme, "none", or an empty text.
        classes: All tags.

    Raises:
        UsageError: There is no such scheme, or the tags are not of it, or of no scheme.
    """
    chosen = scheme_name(name)
    if chosen == NO_SCHEME:
        return chosen
    wrong = next((tag for tag in classes if not _TAG.fullmatch(tag)), None)
    if wrong is not None:
        form = "O, or a prefix with a type, such as B-PER"
        raise UsageError(f"{wrong!r} is no tag of an entity: {form}; for tags of single words, write scheme: none")
    prefixes = {tag[0] for tag in classes}
    order = [chosen] if chosen else ["IOB1" if "B" not in prefixes else "IOB2", "IOE2", "IOBES", "BILOU"]
    found = next((each for each in order if prefixes <= {*SCHEMES[each].prefixes}), None)
    if found is None:
        other = f"of {chosen}" if chosen else f"of one of the schemes {', '.join(SCHEMES)}"
        raise UsageError(f"the tags with the prefixes {', '.join(sorted(prefixes))} are not {other}")
    return found


def can_have_entities(scheme: str, classes: Sequence[str]) -> bool:
    """Return whether words with these tags can form an entity by the rules of a scheme."""
    prefixes = sorted({tag[0] for tag in classes} - {OUTSIDE[0]})
    words = [[(prefix, "_")] for prefix in prefixes] + [[(a, "_"), (b, "_")] for a in prefixes for b in prefixes]
    return any(strict_entities(tags, SCHEMES[scheme]) for tags in words)


def scheme_name(name: str) -> str:
    """Return the name that seqeval has for a scheme. Raises UsageError if there is none."""
    known = {each.lower(): each for each in (*SCHEMES, NO_SCHEME, "")} | {k.lower(): v for k, v in ALIASES.items()}
    if not isinstance(name, str) or name.lower() not in known:
        names = [*SCHEMES, *ALIASES, NO_SCHEME]
        raise UsageError(f"scheme cannot be {name!r}; known: {', '.join(names)}")
    return known[name.lower()]


def split_tag(tag: str) -> Tag:
    """Return the prefix and the type of a tag that `find_scheme` has checked."""
    return tag[0], tag[2:] or "_"


def entities(tags: Sequence[Tag]) -> set[Entity]:
    """Return the entities of a sentence by the default reading."""
    found, start = set[Entity](), 0
    for position, (before, tag) in enumerate(pairwise((OUTSIDE, *tags, OUTSIDE))):
        if _ends(before, tag):
            found.add((before[1], start, position))
        if _starts(before, tag):
            start = position
    return found


def strict_entities(tags: Sequence[Tag], scheme: Scheme) -> set[Entity]:
    """Return the entities of a sentence by the rules of a scheme."""
    padded, found, position = (OUTSIDE, *tags, OUTSIDE), set[Entity](), 1
    while position < len(padded):
        end = position + 1
        if _fits(padded[position - 1], padded[position], scheme.start):
            while end < len(padded) and _fits(padded[end - 1], padded[end], scheme.inside):
                end += 1
            if end < len(padded) and _fits(padded[end - 1], padded[end], scheme.end):
                found.add((padded[position][1], position - 1, end - 1))
        position = end
    return found


def _ends(before: Tag, tag: Tag) -> bool:
    """Return whether an entity ends between two tags: `end_of_chunk` of conlleval."""
    if before[0] == "O":
        return False
    return before[0] in "ES" or (before[0] in "BI" and tag[0] in "BSO") or before[1] != tag[1]


def _starts(before: Tag, tag: Tag) -> bool:
    """Return whether an entity starts with a tag: `start_of_chunk` of conlleval."""
    if tag[0] == "O":
        return False
    return tag[0] in "BS" or (before[0] in "ESO" and tag[0] in "EI") or before[1] != tag[1]


def _fits(before: Tag, tag: Tag, rules: Rules) -> bool:
    is_same = before[1] == tag[1]
    return any(before[0] in first and tag[0] in second and same in (None, is_same) for first, second, same in rules)
