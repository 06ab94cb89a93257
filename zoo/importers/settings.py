"""The settings in a file of another tool, each with its position, and what an import finds out about them."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from zoo.errors import Mark, Problem, RecipeError
from zoo.recipes.yaml_graph import compose, mark_of

MAX_DIGITS = 40
_NULL, _TRUE, _FALSE = ("", "~", "null", "none"), ("true", "yes", "on"), ("false", "no", "off")
_INT = re.compile(rf"[-+]?[0-9]{{1,{MAX_DIGITS}}}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan")
OFF: tuple[Any, ...] = (None, False, 0, 0.0, "", [], {})
"""Values by which a setting is not in use."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A value with its position."""

    value: Any
    """A scalar, or lists and mappings of scalars."""
    mark: Mark


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What an import finds out; the dicts are used as ordered sets."""

    problems: dict[Problem, None] = field(default_factory=dict)
    assumptions: dict[str, None] = field(default_factory=dict)
    differences: dict[str, None] = field(default_factory=dict)

    def refuse(self, mark: Mark, message: str) -> None:
        """Add an obstacle: a part that has no equal."""
        self.problems[Problem(mark, message)] = None

    def assume(self, text: str) -> None:
        """Add something that the file does not say."""
        self.assumptions[text] = None

    def differ(self, text: str) -> None:
        """Add a difference between the other tool and the recipe."""
        self.differences[text] = None

    def require_none(self) -> None:
        """Raise RecipeError with all obstacles, if there are any."""
        if self.problems:
            raise RecipeError([*self.problems])


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings by name. A value of another kind than the wanted one is an obstacle; then the default counts."""

    values: Mapping[str, Setting]
    start: Mark
    """The start of the file or list, for what is missing."""
    notes: Notes

    def value(self, name: str) -> Any:
        """Return the value of a setting; None if it is missing."""
        setting = self.values.get(name)
        return None if setting is None else setting.value

    def mark(self, *names: str) -> Mark:
        """Return the position of the first of these settings that is there."""
        return next((self.values[name].mark for name in names if name in self.values), self.start)

    def number(self, name: str, default: float, *, least: float = -math.inf) -> float:
        """Return a finite number of at least `least`."""
        value = self.value(name)
        if value is None:
            return default
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= least:
            return value
        wanted = "a finite number" if least == -math.inf else f"a number of at least {least:g}"
        self.notes.refuse(self.mark(name), f"{name} must be {wanted}, not {shown(value)}")
        return default

    def whole(self, name: str, default: int, *, least: int = 0) -> int:
        """Return a whole number of at least `least`; 2.0 is one."""
        number = self.number(name, default, least=least)
        if isinstance(number, int) or number.is_integer():
            return int(number)
        self.notes.refuse(self.mark(name), f"{name} must be a whole number, not {shown(number)}")
        return default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        return bool(self._of_kind(name, bool, "true or false", default))

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        return str(self._of_kind(name, str, "a text", default))

    def numbers(self, name: str, default: Iterable[float], counts: Iterable[int] = ()) -> list[float]:
        """Return a list of finite numbers, with one of these lengths."""
        value = self.value(name)
        if value is None:
            return [*default]
        items = value if isinstance(value, list) else [value]
        is_right = all(isinstance(item, int | float) and not isinstance(item, bool) for item in items)
        if (
            not is_right
            or not all(map(math.isfinite, items))
            or len(items) not in (counts := (*counts,) or (len(items),))
        ):
            many = f"{' or '.join(map(str, counts))} numbers" if counts else "a list of numbers"
            self.notes.refuse(self.mark(name), f"{name} must be {many}, not {shown(value)}")
            return [*default]
        return items

    def _of_kind(self, name: str, kind: type, wanted: str, default: Any) -> Any:
        value = self.value(name)
        if value is None or type(value) is kind:
            return default if value is None else value
        self.notes.refuse(self.mark(name), f"{name} must be {wanted}, not {shown(value)}")
        return default


def shown(value: Any) -> str:
    """Return a value for a message, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def read_settings(text: str, path: str, notes: Notes) -> Settings:
    """Return the settings of a YAML file whose top level is a mapping. Nothing is constructed, and tags are ignored.

    Args:
        text: The file.
        path: Its name, for positions.
        notes: Collects obstacles.

    Raises:
        RecipeError: It is no YAML, or no mapping.
    """
    root = compose(text, path, escape=True)
    if not isinstance(root, MappingNode):
        raise RecipeError.at(mark_of(root, path), "expected a mapping of options, one a line, such as `lr: 0.1`")
    return Settings(values=dict(_pairs(root, path, notes)), start=mark_of(root, path), notes=notes)


def _pairs(node: MappingNode, path: str, notes: Notes) -> Iterator[tuple[str, Setting]]:
    names: set[str] = set()
    for key, item in node.value:
        name = key.value if isinstance(key, ScalarNode) else ""
        mark = mark_of(key, path)
        if not name or name in names:
            notes.refuse(mark, f"the option {name!r} is repeated" if name else "the name of an option must be a text")
        names.add(name)
        yield name, Setting(value=_plain(item), mark=mark)


def _plain(node: Node) -> Any:
    """Return a node as scalars, lists and mappings."""
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.value]
    if isinstance(node, MappingNode):
        return {str(key.value): _plain(item) for key, item in node.value}
    assert isinstance(node, ScalarNode)
    return scalar(node.value) if node.style is None else node.value


def scalar(text: str) -> str | int | float | bool | None:
    """Return a plain scalar as Python's libraries write them: as YAML 1.1, and numbers such as `1e-05` too."""
    word = text.lower()
    if word in _NULL:
        return None
    if word in (*_TRUE, *_FALSE):
        return word in _TRUE
    if _INT.fullmatch(text):
        return int(text)
    return float(word.replace(".inf", "inf").replace(".nan", "nan")) if _FLOAT.fullmatch(word) else text
