"""YAML to typed, inert values: every problem of a file is reported at once, as `path:line:column: message`.

PyYAML's node graph carries the marks; `_Reader.value` turns one node and one type into a value. Nothing named in a file
is imported here. Plain scalars are read as YAML 1.2 reads them (`1e-4` is a number, `yes` is refused); tags, anchors
and repeated keys are errors.
"""

import math
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from zoo.errors import Mark, Problem, RecipeError, SourceError, did_you_mean

T = TypeVar("T")

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_SHOWN = 60
MAX_DIGITS = 400
_INT = re.compile(r"[-+]?[0-9][0-9_]*")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True, kw_only=True)
class Call:
    """Something to build, by name and arguments; inert until `zoo.recipes.build` builds it."""

    use: str
    args: Mapping[str, Any] = field(default_factory=dict)
    mark: Mark = field(default=Mark(path="<code>", line=1, column=1), compare=False, repr=False)
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)


def read(path: Path, into: type[T]) -> T:
    """The file as a value of the dataclass `into`.

    Raises RecipeError with all problems, and SourceError where the file cannot be read.
    """
    problems: list[Problem] = []
    root = _compose(path, _text(path))
    value: T = _Reader(str(path), problems).value(root, into, "the recipe")
    if problems:
        raise RecipeError(problems)
    return value


def texts(value: Any) -> Iterator[str]:
    """Every text in plain data: the scalars of nested mappings and lists, but no keys."""
    if isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def to_data(value: Any) -> Any:
    """A value as plain sorted data, with fields that hold their default left out: what a digest is taken of."""
    if isinstance(value, Call):
        return {"use": value.use, **{key: to_data(arg) for key, arg in sorted(value.args.items())}}
    if is_dataclass(value):
        pairs = [(f, getattr(value, f.name)) for f in fields(value)]
        kept = [(f.name, v) for f, v in pairs if f.compare and v != _default(f)]
        return {name: to_data(v) for name, v in sorted(kept)}
    if isinstance(value, Mapping):
        return {key: to_data(item) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [to_data(item) for item in value]
    return value


def _default(f: Any) -> Any:
    return f.default_factory() if f.default_factory is not MISSING else f.default


def _text(path: Path) -> str:
    start = Mark(path=str(path), line=1, column=1)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise RecipeError.at(start, f"{len(data):,} bytes; a recipe has at most {MAX_BYTES:,}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        mark = Mark(path=str(path), line=line, column=column)
        raise RecipeError.at(mark, f"not UTF-8 (byte 0x{data[error.start]:02x})") from None


class _Loader(yaml.BaseLoader):
    """Refuses aliases (they could expand without end) and deep nesting while the graph is composed."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not used here", problem_mark=event.start_mark)
        if self.depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        self.depth += 1
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(path: Path, text: str) -> Node:
    mark = Mark(path=str(path), line=1, column=1)
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark
        if at is not None:
            mark = Mark(path=str(path), line=at.line + 1, column=at.column + 1)
        raise RecipeError.at(mark, f"{error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        mark = Mark(path=str(path), line=before.count("\n") + 1, column=len(before) - before.rfind("\n"))
        character = text[error.position]
        raise RecipeError.at(mark, f"the character {character!r} is not allowed in YAML") from None
    if node is None:
        raise RecipeError.at(mark, "the file is empty")
    return node


class _Bad(Exception):
    """A value that could not be read; its problem has been noted."""


class _Reader:
    def __init__(self, path: str, problems: list[Problem]) -> None:
        self.path, self.problems = path, problems
        self.keys: dict[int, Mark] = {}  # where the key of a value node stands, by the node's identity

    def mark(self, node: Node) -> Mark:
        at = node.start_mark
        return Mark(path=self.path, line=at.line + 1, column=at.column + 1)

    def refuse(self, node: Node, message: str) -> _Bad:
        self.problems.append(Problem(self.mark(node), message))
        return _Bad()

    def value(self, node: Node, into: Any, name: str) -> Any:
        """The node as a value of type `into`; on a problem notes it and returns None."""
        try:
            return self.typed(node, into, name)
        except _Bad:
            return None

    def typed(self, node: Node, into: Any, name: str) -> Any:
        origin, args = get_origin(into), get_args(into)
        if origin in (Union, types.UnionType):
            if type(None) in args and isinstance(node, ScalarNode) and self.scalar(node) is None:
                return None
            return self.typed(node, next(arg for arg in args if arg is not type(None)), name)
        if into is Any:
            return self.anything(node)
        if into is Call:
            return self.call(node, name)
        if origin is tuple:
            return self.sequence(node, args[0], name)
        if origin in (dict, Mapping):
            return {key: self.value(item, args[1], key) for key, item in self.pairs(node, name)}
        if is_dataclass(into):
            return self.dataclass(node, into, name)
        return self.plain(node, into, name)

    def dataclass(self, node: Node, into: Any, name: str) -> Any:
        known, hints = {f.name: f for f in fields(into) if f.compare}, get_type_hints(into)
        before, values = len(self.problems), {}
        pairs = self.pairs(node, name)
        for key, item in pairs:
            if key in known:
                values[key] = self.value(item, hints[key], key)
            else:
                self.problems.append(
                    Problem(self.keys[id(item)], f"unknown key {key!r}{did_you_mean(key, list(known))}")
                )
        for key, f in known.items():
            if key not in values and f.default is MISSING and f.default_factory is MISSING:
                self.refuse(node, f"{name} lacks the key {key!r}")
        if len(self.problems) > before:
            raise _Bad
        if "marks" in hints:  # where its keys stand, for what only a later check can find
            values["marks"] = {key: self.keys[id(item)] for key, item in pairs}
        try:
            return into(**values)
        except ValueError as error:
            raise self.refuse(node, str(error)) from None

    def sequence(self, node: Node, into: Any, name: str) -> tuple[Any, ...]:
        if not isinstance(node, SequenceNode):
            raise self.refuse(node, f"{name} must be a list, not {self.describe(node)}")
        self.untagged(node)
        return tuple(self.value(item, into, f"an item of {name}") for item in node.value)

    def call(self, node: Node, name: str) -> Call:
        if isinstance(node, ScalarNode):
            return Call(use=self.plain(node, str, name), mark=self.mark(node))
        pairs = dict(self.pairs(node, name))
        if "use" not in pairs:
            raise self.refuse(node, f"{name} lacks the key 'use'")
        marks = {key: self.keys[id(item)] for key, item in pairs.items()}
        use = self.plain(pairs.pop("use"), str, "use")
        args = {key: self.anything(item) for key, item in pairs.items()}
        return Call(use=use, args=args, mark=marks.pop("use"), marks=marks)

    def anything(self, node: Node) -> Any:
        """An argument of a Call: scalars, lists, dicts and nested Calls."""
        if isinstance(node, ScalarNode):
            return self.scalar(node)
        if isinstance(node, SequenceNode):
            return list(self.sequence(node, Any, "a list"))
        pairs = self.pairs(node, "an argument")
        if any(key == "use" for key, _ in pairs):
            return self.call(node, "an argument")
        return {key: self.value(item, Any, key) for key, item in pairs}

    def pairs(self, node: Node, name: str) -> list[tuple[str, Node]]:
        """Keys and value nodes of a mapping; repeated keys and keys that are not text are problems."""
        if not isinstance(node, MappingNode):
            raise self.refuse(node, f"{name} must be a mapping of keys, not {self.describe(node)}")
        self.untagged(node)
        pairs: dict[str, Node] = {}
        for key_node, item in node.value:
            key = key_node.value if isinstance(key_node, ScalarNode) else None
            if key is None:
                self.refuse(key_node, "a key must be text")
            elif key in pairs:
                self.refuse(key_node, f"the key {key!r} is repeated")
            else:
                pairs[key] = item
                self.keys[id(item)] = self.mark(key_node)
        return list(pairs.items())

    def plain(self, node: Node, into: Any, name: str) -> Any:
        value = self.scalar(node) if isinstance(node, ScalarNode) else node
        if get_origin(into) is Literal:
            choices = get_args(into)
            if value not in choices:
                hint = did_you_mean(str(value), [str(choice) for choice in choices])
                raise self.refuse(node, f"{name} cannot be {self.describe(node)}{hint}")
            return value
        if into is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if type(value) is not into:
            raise self.refuse(node, f"{name} must be {_NAMES[into]}, not {self.describe(node)}")
        return value

    def untagged(self, node: Node) -> None:
        if node.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
            raise self.refuse(node, f"the tag {node.tag} is not used here; write {{use: NAME, ...}}")

    def scalar(self, node: ScalarNode) -> str | int | float | bool | None:
        """A scalar as YAML 1.2's core schema reads it; quoted scalars are text."""
        text: str = node.value
        self.untagged(node)
        if node.style is not None:
            return text
        if text in ("", "~", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        if text.lower() in ("yes", "no", "on", "off"):
            raise self.refuse(node, f"{text} is neither true nor false in YAML 1.2; write true or false, or quote it")
        if not _FLOAT.fullmatch(text):
            return text
        if len(text) > MAX_DIGITS or math.isinf(float(text)):
            raise self.refuse(node, "the number is too large")
        return int(text) if _INT.fullmatch(text) else float(text)

    def describe(self, node: Node) -> str:
        if isinstance(node, ScalarNode):
            shown = node.value if len(node.value) <= MAX_SHOWN else f"{node.value[:MAX_SHOWN]}..."
            return f"{shown!r}" if node.value else "empty"
        return "a list" if isinstance(node, SequenceNode) else "a mapping"
