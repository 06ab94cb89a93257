"""The values of a configuration: inert, and each with its position.

A name that the configuration would import is an `Imported`, a call a `Called`. A value that is used where it does not
fit raises `BlockedError` with its position.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import Mark, Problem, did_you_mean

Scalar = str | int | float | bool | None


class BlockedError(Exception):
    """A part of the configuration cannot be converted.

    Attributes:
        problems: What blocks it.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class Imported:
    """An attribute of a module, such as a class or a constant."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Called:
    """A call of a class or function."""

    name: str
    kwargs: "Mapping[str, Item]" = field(default_factory=dict)
    args: "tuple[Item, ...]" = ()


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """An element of the result of a call."""

    data: "Item"
    key: Scalar


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A value that could not be read; its problem is known already, so using it adds no other one."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A value with its position."""

    value: "Scalar | tuple[Item, ...] | Mapping[str, Item] | Imported | Called | Indexed | Refused"
    mark: Mark
    key_marks: Mapping[str, Mark] = field(default_factory=dict)
    """The positions of the keys of a mapping."""

    def blocked(self, message: str) -> BlockedError:
        """Return the error that says why this value blocks the conversion."""
        return BlockedError() if isinstance(self.value, Refused) else BlockedError(Problem(self.mark, message))

    @property
    def mapping(self) -> "Mapping[str, Item]":
        """The keys and values of a mapping; null has none."""
        if self.value is None:
            return {}
        if isinstance(self.value, Mapping):
            return self.value
        raise self.blocked(f"expected a mapping of keys, found {self.shown}")

    @property
    def list(self) -> "tuple[Item, ...]":
        """The items of a list; null has none."""
        if self.value is None:
            return ()
        if isinstance(self.value, tuple):
            return self.value
        raise self.blocked(f"expected a list, found {self.shown}")

    @property
    def text(self) -> str:
        """The value as text."""
        if isinstance(self.value, str):
            return self.value
        raise self.blocked(f"expected a text, found {self.shown}")

    @property
    def number(self) -> float:
        """The value as a number; a text such as `1e-4`, which YAML 1.1 does not read as a number, is none."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            return self.value
        hint = "; YAML 1.1 reads a number like 1e-4 as text, write 1.0e-4" if isinstance(self.value, str) else ""
        raise self.blocked(f"expected a number, found {self.shown}{hint}")

    @property
    def whole(self) -> int:
        """The value as a whole number."""
        number = self.number
        if isinstance(number, int) or number.is_integer():
            return int(number)
        raise self.blocked(f"expected a whole number, found {self.shown}")

    def at_least(self, least: int) -> int:
        """Return the value as a whole number; raises BlockedError if it is below `least`."""
        if self.whole < least:
            raise self.blocked(f"expected a whole number of at least {least}, found {self.shown}")
        return self.whole

    @property
    def flag(self) -> bool:
        """The value as true or false; null is false."""
        if self.value is None or isinstance(self.value, bool):
            return bool(self.value)
        raise self.blocked(f"expected true or false, found {self.shown}")

    @property
    def plain(self) -> Any:
        """The value as scalars, lists and dicts."""
        if isinstance(self.value, tuple):
            return [item.plain for item in self.value]
        if isinstance(self.value, Mapping):
            return {key: item.plain for key, item in self.value.items()}
        if isinstance(self.value, Imported | Called | Indexed):
            raise self.blocked(f"expected a plain value, found {self.shown}")
        return self.value

    @property
    def shown(self) -> str:
        """What the value is, for messages."""
        if isinstance(self.value, Imported | Called):
            return self.value.name
        if isinstance(self.value, Mapping):
            return "a mapping"
        if isinstance(self.value, tuple):
            return "a list"
        if isinstance(self.value, Indexed | Refused):
            return "an element of another value" if isinstance(self.value, Indexed) else "a value that is refused"
        return f"{self.value!r}"[:60]

    def get(self, *names: str) -> "Item | None":
        """Return the value of the first of these keys that is there and not null."""
        found = (self.mapping.get(name) for name in names)
        return next((item for item in found if item is not None and item.value is not None), None)

    def need(self, *names: str) -> "Item":
        """Return the value of the first of these keys that is there and not null; raises BlockedError if none is."""
        if (item := self.get(*names)) is None:
            raise self.blocked(f"the key {names[0]!r} is missing")
        return item

    def check_keys(self, known: Iterable[str], what: str) -> None:
        """Raise BlockedError with all keys that are not known; keys with a leading underscore are notes of authors."""
        known = [*known]
        unknown = [key for key in self.mapping if key not in known and not key.startswith("_")]
        if unknown:
            raise BlockedError(
                *(
                    Problem(
                        self.key_marks.get(key, self.mark), f"unknown key {key!r} of {what}{did_you_mean(key, known)}"
                    )
                    for key in unknown
                )
            )
