"""Give every term of a stage a name of its own."""

from collections.abc import Sequence
from dataclasses import replace

from zoo.importers.torchdistill.items import Item
from zoo.importers.torchdistill.terms import Converted

TOTAL = "total"
"""The name under which zoo records the sum of all terms."""


def with_own_names(terms: Sequence[Converted], config: Item) -> list[Converted]:
    """Return the terms with names that differ: later ones of one name get `_2`, `_3` and so on.

    Terms with parts that another stage takes over keep their names, by which the parts are found.

    Raises:
        BlockedError: Two terms would share one learned part.
    """
    used = {TOTAL, *(term.name for term in terms if term.is_shared)}
    if len(used) != 1 + sum(term.is_shared for term in terms):
        raise config.blocked("two losses of this stage have one learned part, which a recipe cannot; leave one out")
    named: list[Converted] = []
    for term in terms:
        name = term.name if term.is_shared else _free(term.name, used)
        used.add(name)
        named.append(replace(term, name=name))
    return named


def _free(name: str, used: set[str]) -> str:
    number, free = 1, name
    while free in used:
        number += 1
        free = f"{name}_{number}"
    return free
