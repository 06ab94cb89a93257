"""Read a recipe's YAML into typed, inert values. All problems of a file are reported, as `path:line:column: message`.

Nothing that a file names is imported. Plain scalars are read as YAML 1.2 reads them: `1e-4` is a number, and `yes` is
refused. Tags, anchors and repeated keys are errors.
"""

import math
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from zoo.errors import Mark, Problem, RecipeError, did_you_mean
from zoo.recipes.yaml_graph import compose, mark_of, read_text
from zoo.schema_versions import newer_schema

T = TypeVar("T")

ROOT = "the recipe"
MAX_SHOWN = 60
"""Characters of a wrong value that are shown."""
MAX_DIGITS = 400
MAX_INT = 2**63 - 1
_NULL = ("", "~", "null", "Null", "NULL")
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_BASES = {"0o": 8, "0x": 16}
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_PLAIN_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


@dataclass(frozen=True, kw_only=True)
class Call:
    """Something to build, written `{use: NAME, ARGUMENT: VALUE, ...}`; inert until `zoo.recipes.build` builds it."""

    use: str
    """The name of a class or function; without a dot it is looked up in the namespace of the call's field."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """The arguments: scalars, lists, mappings and calls."""
    mark: Mark = field(default=Mark(path="<code>", line=1, column=1), compare=False, repr=False)
    """Where the call stands."""
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)
    """Where the arguments' keys stand."""


class InvalidValuesError(ValueError):
    """The values of a dataclass of the schema do not fit each other. The arguments are the problems."""

    def __str__(self) -> str:
        return "; ".join(self.args)


class UnreadableRecipeError(RecipeError):
    """All problems of a recipe's keys and values.

    Attributes:
        calls: The calls that could be read, each with the field that it stands in.
    """

    def __init__(self, problems: list[Problem], calls: list[tuple[str, Call]]) -> None:
        super().__init__(problems)
        self.calls = calls


def short_name(call: Call | Mapping[str, Any] | str) -> str:
    """Return the last part of the name that a call, or a call as a record stores it, builds: `f1` of `metrics.f1`."""
    use = call.use if isinstance(call, Call) else call if isinstance(call, str) else str(call["use"])
    return use.rpartition(".")[2]


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


def refuse(problems: Iterable[str]) -> None:
    """Raise InvalidValuesError with all problems, if there are any."""
    if messages := tuple(problems):
        raise InvalidValuesError(*messages)


def texts(value: Any) -> Iterator[str]:
    """Yield every text in plain data: the scalars in nested mappings and lists, but no keys."""
    if isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def to_data(value: Any) -> Any:
    """Return a value as plain sorted data without fields that hold their default. Digests are taken of it."""
    if isinstance(value, Call):
        return {"use": value.use, **{key: to_data(arg) for key, arg in sorted(value.args.items())}}
    if is_dataclass(value):
        pairs = [(part, getattr(value, part.name)) for part in fields(value)]
        stated = [(part.name, item) for part, item in pairs if part.compare and item != _default(part)]
        return {name: to_data(item) for name, item in sorted(stated)}
    if isinstance(value, Mapping):
        return {key: to_data(item) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [to_data(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no such numbers
        return f"{value}"
    return value


def _default(part: Any) -> Any:
    return part.default_factory() if part.default_factory is not MISSING else part.default


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
        """Return a scalar as YAML 1.2's core schema reads it; quoted scalars are text."""
        text: str = node.value
        self.check_tag(node)
        if node.style is not None:
            return text
        if text in _NULL:
            return None
        if text in _TRUE + _FALSE:
            return text in _TRUE
        if text.lower() in ("yes", "no", "on", "off"):
            raise self.refuse(node, f"{text} is neither true nor false in YAML 1.2; write true or false, or quote it")
        return self.number(node) if _is_number(text) else text

    def number(self, node: ScalarNode) -> int | float:
        text: str = node.value
        if _NOT_FINITE.fullmatch(text):
            return float(text.lower().replace(".", ""))
        if len(text) > MAX_DIGITS:
            raise self.refuse(node, "the number is too large")
        if _BASED.fullmatch(text):
            number: int | float = int(text[2:], _BASES[text[:2]])
        else:
            number = int(text) if _INT.fullmatch(text) else float(text)
        if abs(number) > (MAX_INT if isinstance(number, int) else sys.float_info.max):
            raise self.refuse(node, "the number is too large")
        return number


def _is_number(text: str) -> bool:
    return any(pattern.fullmatch(text) for pattern in (_FLOAT, _BASED, _NOT_FINITE))


def _child(name: str, key: str) -> str:
    return key if name == ROOT else f"{name}.{key}"


def _describe(node: Node) -> str:
    if isinstance(node, ScalarNode):
        shown = node.value if len(node.value) <= MAX_SHOWN else f"{node.value[:MAX_SHOWN]}..."
        return f"{shown!r}" if node.value else "empty"
    return "a list" if isinstance(node, SequenceNode) else "a mapping"
