"""Compare the values in a recipe with the annotations of the class or function that they are passed to.

A value is refused only if it certainly does not fit: annotations that are missing, unknown or cannot be resolved admit
everything. A list fits where a tuple is expected, since YAML has no tuples, and a whole number where a float is.
"""

import collections.abc
import inspect
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from zoo.fetch.sources import Source
from zoo.recipes.values import Call
from zoo.trusted_code import is_part_of

_PLAIN = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
_SCALARS = (bool, int, float, str)
_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_FUNCTIONS = (collections.abc.Callable, type)


@cache
def type_hints(target: Any) -> Mapping[str, Any]:
    """Return the annotations of the parameters of a class or function, those that can be resolved."""
    function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError, SyntaxError):  # names that only type checkers import
        raw = getattr(function, "__annotations__", {})
        return {name: hint for name, hint in raw.items() if not isinstance(hint, str)}


def expected(value: Any, hint: Any) -> str | None:
    """Return the kind of value that an annotation expects, in plain words, or None if the value may fit."""
    return None if _fits(value, hint) else _describe(hint)


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(value, Call) or hint in (Any, None) or hint is object:
        return hint is not None or value is None or isinstance(value, Call)
    if origin is Annotated:
        return _fits(value, arguments[0])
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in arguments)
    if origin is Literal:
        return value in arguments
    if hint in _PLAIN:
        return _fits_plain(value, hint)
    kind = origin or hint
    if kind in _LISTS:
        return isinstance(value, list) and _items_fit(value, kind, arguments)
    if kind in _MAPPINGS:
        items = arguments[1] if len(arguments) == 2 else Any
        return isinstance(value, dict) and all(_fits(item, items) for item in value.values())
    if kind in _FUNCTIONS:
        return False
    return isinstance(value, str) if kind is Source else not (_is_of_torch(kind) and isinstance(value, _SCALARS))


def _is_of_torch(kind: Any) -> bool:
    """Return whether a kind is a class such as `Tensor`, which no scalar is an instance of."""
    return isinstance(kind, type) and is_part_of(kind.__module__, ("torch",))


def _fits_plain(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind


def _items_fit(value: list[Any], kind: Any, arguments: tuple[Any, ...]) -> bool:
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        return len(value) == len(arguments) and all(map(_fits, value, arguments))
    return all(_fits(item, arguments[0]) for item in value) if arguments else True


def _describe(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _describe(arguments[0])
    if origin in (Union, types.UnionType):
        scalars = [option for option in arguments if option in _PLAIN and not (option is int and float in arguments)]
        hints = [*scalars, *(option for option in arguments if option not in _PLAIN and not _is_of_torch(option))]
        return " or ".join(dict.fromkeys(map(_describe, hints)))
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if hint in _PLAIN:
        return _PLAIN[hint]
    kind = origin or hint
    if kind in _LISTS:
        return f"a list of {len(arguments)} values" if _has_length(kind, arguments) else _describe_list(arguments)
    if kind in _MAPPINGS:
        return "a mapping"
    if kind in _FUNCTIONS:
        return "an object, written {use: NAME}"
    return getattr(kind, "__name__", str(kind))


def _has_length(kind: Any, arguments: tuple[Any, ...]) -> bool:
    return kind is tuple and bool(arguments) and arguments[-1] is not Ellipsis


def _describe_list(arguments: tuple[Any, ...]) -> str:
    plural = {bool: "true or false", int: "whole numbers", float: "numbers", str: "texts"}
    if arguments and arguments[0] in plural:
        return f"a list of {plural[arguments[0]]}"
    return "a list of objects, written {use: NAME}" if arguments and _is_of_torch(arguments[0]) else "a list"
