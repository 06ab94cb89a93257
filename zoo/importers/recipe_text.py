"""Write a recipe as readable YAML: one key a line, and a mapping or a list in one line where it fits."""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from zoo.importers.outcome import ImportedRecipe
from zoo.safe_text import one_line

LINE = 118
"""The longest line."""
COMMENT = 112
_PLAIN = re.compile(r"[A-Za-z_.~/][\w./~+-]*(?:[:#][\w./~+@-]+)*(?:[ ][\w./~+-]+)*")
_SPECIAL = re.compile(r"\.?(?:yes|no|on|off|true|false|null|inf|nan)|~", re.IGNORECASE)
_LIKE_NUMBER = re.compile(r"[-+.]?[0-9].*")
BLOCKS = ("stages", "criterion", "teachers", "claims")
"""Keys whose items always begin a line of their own."""


def text_of(imported: ImportedRecipe) -> str:
    """Return the file: comments with the source, the assumptions and the differences, then the recipe."""
    lines = [f"Imported from {one_line(imported.source)}, a configuration of {imported.tool}."]
    lines += _listed("Assumed:", imported.assumptions)
    lines += _listed(f"Differences from {imported.tool}:", imported.differences)
    return "".join(f"# {line}\n" for line in lines) + yaml_text(imported.recipe)


def yaml_text(recipe: Mapping[str, Any]) -> str:
    """Return a recipe, or a part of one, as YAML."""
    return "\n".join(_mapping(recipe, 0)) + "\n"


def _listed(title: str, notes: Sequence[str]) -> Iterator[str]:
    if notes:
        yield title
    for note in notes:
        yield from textwrap.wrap(" ".join(note.split()), COMMENT, initial_indent="- ", subsequent_indent="  ")


def _mapping(values: Mapping[str, Any], indent: int) -> Iterator[str]:
    space = " " * indent
    for key, value in values.items():
        name = f"{space}{_scalar(key)}:"
        line = f"{name} {_flow(value)}"
        if not isinstance(value, Mapping | list | tuple) or (len(line) <= LINE and key not in BLOCKS):
            yield line
        elif isinstance(value, Mapping):
            yield name
            yield from _mapping(value, indent + 2)
        else:
            yield name
            yield from _sequence(value, indent + 2)


def _sequence(values: Iterable[Any], indent: int) -> Iterator[str]:
    space = " " * indent
    for value in values:
        line = f"{space}- {_flow(value)}"
        if len(line) <= LINE and not (isinstance(value, Mapping) and value.keys() & {*BLOCKS}):
            yield line
            continue
        inner = _mapping(value, indent + 2) if isinstance(value, Mapping) else _sequence(value, indent + 2)
        first, *rest = inner
        yield f"{space}- {first.lstrip()}"
        yield from rest


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_scalar(key)}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """Return a scalar as a recipe reads it: text with quotes wherever it could be read as something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = _PLAIN.fullmatch(value) and not _SPECIAL.fullmatch(value) and not _LIKE_NUMBER.fullmatch(value)
    return value if is_plain else json.dumps(value, ensure_ascii=False)
