"""Read a recipe's YAML into typed, inert values. All problems of a file are reported, as `path:line:column: message`.

Nothing that a file names is imported. Plain scalars are read as YAML 1.2 reads them: `1e-4` is a number, and `yes` is
refused. Tags, anchors and repeated keys are errors.
"""

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from zoo.errors import Mark, Problem, RecipeError, did_you_mean
from zoo.recipes.scalars import read_scalar
from zoo.recipes.values import Call, InvalidValuesError
from zoo.recipes.yaml_graph import compose, mark_of, read_text
from zoo.schema_versions import newer_schema

T = TypeVar("T")
ROOT = "the recipe"
MAX_SHOWN = 60
"""Characters of a wrong value that are shown."""
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_PLAIN_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


class UnreadableRecipeError(RecipeError):
    """All problems of a recipe's keys and values.

    Attributes:
        calls: The calls that could be read, each with the field that it stands in.
    """

    def __init__(self, problems: list[Problem], calls: list[tuple[str, Call]]) -> None:
        super().__init__(problems)
        self.calls = calls


def read(path: Path, into: type[T]) -> T:
    """Read a file as a value of the dataclass `into`.

    Raises:
        UnreadableRecipeError: With all problems of the file.
        SourceError: The file cannot be read.
    """
    value: T = _parse(read_text(path), str(path), into)  # type: ignore[arg-type]  # classes are hashable
    return value


@lru_cache(maxsize=1024)  # commands need every shipped recipe several times, and each takes milliseconds
def _parse(text: str, path: str, into: type[Any]) -> Any:
    problems: list[Problem] = []
    root = compose(text, path)
    reader = _Reader(path, problems)
    value = reader.value(root, into, ROOT)
    if problems:
        raise UnreadableRecipeError(problems, reader.calls)
    return value


class _InvalidError(Exception):
    """A value is invalid; its problem has been added to the list."""


class _Reader:
    """Turns nodes into values. The name of a value is its path in the recipe, such as `stages[0].optimizer`."""

    def __init__(self, path: str, problems: list[Problem]) -> None:
        self.path, self.problems = path, problems
        self.key_marks: dict[int, Mark] = {}
        """Where the key of a value node stands, by the identity of that node."""
        self.calls: list[tuple[str, Call]] = []
        """The calls that could be read, each with the field that it stands in."""

    def refuse(self, node: Node, message: str) -> _InvalidError:
        self.problems.append(Problem(mark_of(node, self.path), message))
        return _InvalidError()

    def value(self, node: Node, into: Any, name: str) -> Any:
        """Return the node as a value of type `into`; on a problem add it to the list and return None."""
        try:
            return self.typed(node, into, name)
        except _InvalidError:
            return None

    def typed(self, node: Node, into: Any, name: str) -> Any:
        origin, args = get_origin(into), get_args(into)
        if origin in (Union, types.UnionType):
            if type(None) in args and isinstance(node, ScalarNode) and self.scalar(node) is None:
                return None
            return self.typed(node, next(arg for arg in args if arg is not type(None)), name)
        if into is Any:
            return self.anything(node, name)
        if into is Call:
            call = self.call(node, name)
            self.calls.append((name.rpartition(".")[2].partition("[")[0], call))
            return call
        if origin is tuple:
            return self.sequence(node, args[0], name)
        if origin in (dict, Mapping):
            return {key: self.value(item, args[1], _child(name, key)) for key, item in self.pairs(node, name)}
        if is_dataclass(into):
            return self.dataclass(node, into, name)
        if hasattr(into, "parse"):
            return self.parsed(node, into, name)
        return self.plain(node, into, name)

    def parsed(self, node: Node, into: Any, name: str) -> Any:
        """Return a value with a syntax of its own, such as rows; its type reads it from a scalar or a list."""
        try:
            return into.parse(self.anything(node, name))
        except InvalidValuesError as error:
            for message in error.args:
                self.refuse(node, f"{name}: {message}")
            raise _InvalidError from None

    def dataclass(self, node: Node, into: Any, name: str) -> Any:
        known, hints = {part.name: part for part in fields(into) if part.compare}, get_type_hints(into)
        before, values = len(self.problems), {}
        pairs = self.pairs(node, name)
        self.refuse_newer_schema(pairs, getattr(into, "NEWEST_SCHEMA", None))
        for key, item in pairs:
            if key in known:
                values[key] = self.value(item, hints[key], _child(name, key))
            else:
                message = f"unknown key {key!r} in {name}{did_you_mean(key, list(known))}"
                self.problems.append(Problem(self.key_marks[id(item)], message))
        for key, part in known.items():
            if key not in values and part.default is MISSING and part.default_factory is MISSING:
                self.refuse(node, f"{name} lacks the key {key!r}")
        if len(self.problems) > before:
            for message in getattr(into, "value_problems", lambda values: ())(values):
                self.refuse(node, message)
            raise _InvalidError
        if "written" in hints:
            values["written"] = {key: item.value for key, item in pairs if isinstance(item, ScalarNode)}
        if "marks" in hints:  # for problems that only a later check can find
            values["marks"] = {key: self.key_marks[id(item)] for key, item in pairs}
        return self.built(node, into, values)

    def refuse_newer_schema(self, pairs: list[tuple[str, Node]], newest: int | None) -> None:
        """Refuse a recipe of a newer schema with this one problem: its new keys are no mistakes."""
        found = dict(pairs).get("schema")
        if newest is not None and isinstance(found, ScalarNode):
            value = self.scalar(found)
            if problem := newer_schema("recipe", value, newest):
                raise self.refuse(found, problem)

    def built(self, node: Node, into: Any, values: Mapping[str, Any]) -> Any:
        try:
            return into(**values)
        except InvalidValuesError as error:
            for message in error.args:
                self.refuse(node, message)
            raise _InvalidError from None

    def sequence(self, node: Node, into: Any, name: str) -> tuple[Any, ...]:
        if not isinstance(node, SequenceNode):
            raise self.refuse(node, f"{name} must be a list, not {_describe(node)}")
        self.check_tag(node)
        return tuple(self.value(item, into, f"{name}[{index}]") for index, item in enumerate(node.value))

    def call(self, node: Node, name: str) -> Call:
        if isinstance(node, ScalarNode):
            return Call(use=self.plain(node, str, name), mark=mark_of(node, self.path))
        pairs = dict(self.pairs(node, name))
        if "use" not in pairs:
            raise self.refuse(node, f"{name} lacks the key 'use'")
        marks = {key: self.key_marks[id(item)] for key, item in pairs.items()}
        use = self.plain(pairs.pop("use"), str, _child(name, "use"))
        args = {key: self.anything(item, _child(name, key)) for key, item in pairs.items()}
        return Call(use=use, args=args, mark=marks.pop("use"), marks=marks)

    def anything(self, node: Node, name: str) -> Any:
        """Return an argument of a call: a scalar, list, mapping or call."""
        if isinstance(node, ScalarNode):
            return self.scalar(node)
        if isinstance(node, SequenceNode):
            return list(self.sequence(node, Any, name))
        pairs = self.pairs(node, name)
        if any(key == "use" for key, _ in pairs):
            return self.call(node, name)
        return {key: self.value(item, Any, _child(name, key)) for key, item in pairs}

    def pairs(self, node: Node, name: str) -> list[tuple[str, Node]]:
        """Return the keys and value nodes of a mapping; repeated keys and keys that are not text are problems."""
        if not isinstance(node, MappingNode):
            raise self.refuse(node, f"{name} must be a mapping of keys, not {_describe(node)}")
        self.check_tag(node)
        pairs: dict[str, Node] = {}
        for key_node, item in node.value:
            key = key_node.value if isinstance(key_node, ScalarNode) else None
            if key is None:
                self.refuse(key_node, "a key must be text")
            elif key in pairs:
                self.refuse(key_node, f"the key {key!r} is repeated")
            else:
                pairs[key] = item
                self.key_marks[id(item)] = mark_of(key_node, self.path)
        return list(pairs.items())

    def plain(self, node: Node, into: Any, name: str) -> Any:
        value = self.scalar(node) if isinstance(node, ScalarNode) else node
        if get_origin(into) is Literal:
            choices = get_args(into)
            if value not in choices:
                hint = did_you_mean(str(value), [str(choice) for choice in choices])
                raise self.refuse(node, f"{name} cannot be {_describe(node)}{hint}")
            return value
        if into is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if into is float and isinstance(value, float) and not math.isfinite(value):
            raise self.refuse(node, f"{name} must be a finite number, not {_describe(node)}")
        if type(value) is not into:
            raise self.refuse(node, f"{name} must be {_TYPE_NAMES[into]}, not {_describe(node)}")
        return value

    def check_tag(self, node: Node) -> None:
        if node.tag not in _PLAIN_TAGS:
            raise self.refuse(node, f"the tag {node.tag} is not allowed; write {{use: NAME, ...}}")

    def scalar(self, node: ScalarNode) -> str | int | float | bool | None:
        self.check_tag(node)
        try:
            return read_scalar(node)
        except InvalidValuesError as error:
            raise self.refuse(node, str(error)) from None


def _child(name: str, key: str) -> str:
    return key if name == ROOT else f"{name}.{key}"


def _describe(node: Node) -> str:
    if isinstance(node, ScalarNode):
        shown = node.value if len(node.value) <= MAX_SHOWN else f"{node.value[:MAX_SHOWN]}..."
        return f"{shown!r}" if node.value else "empty"
    return "a list" if isinstance(node, SequenceNode) else "a mapping"
