"""Read a YAML file as PyYAML's node graph, which knows the line and column of every value.

Aliases and deep nesting are refused while the graph is composed: they could expand without end. `compose_aliased` lets
aliases pass, for readers that bound the expansion themselves.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import Node, ScalarNode

from zoo.errors import Mark, RecipeError, SourceError
from zoo.safe_text import UNPRINTABLE, escape_unprintable

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_ALIASED_DEPTH = 64
_TOKEN = re.compile("'?<([a-z ]+)>'?")
_TOKENS = {
    "stream end": "the end of the file", "block end": "the end of the block", "block mapping start": "an indented key",
    "block sequence start": "an indented list", "scalar": "a value", "document start": "'---'",
    "document end": "'...'",
}  # fmt: skip
"""PyYAML's names of tokens, in plain words."""


def read_text(path: Path) -> str:
    """Return the text of a YAML file.

    Raises:
        RecipeError: The file is not UTF-8, or too large.
        SourceError: The file cannot be read.
    """
    start = Mark(path=str(path), line=1, column=1)
    try:
        with path.open("rb") as file:  # perhaps a device, which has no end
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SourceError(f"there is no recipe file {path}; `zoo list` shows the shipped entries") from None
    except IsADirectoryError:
        raise SourceError(f"{path} is a folder without recipes (*.yaml)") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise RecipeError.at(start, f"{path.stat().st_size or len(data):,} bytes; a recipe has at most {MAX_BYTES:,}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        mark = Mark(path=str(path), line=line, column=column)
        raise RecipeError.at(mark, f"not UTF-8 (byte 0x{data[error.start]:02x})") from None


def compose(text: str, path: str, first_line: int = 1, *, escape: bool = False) -> Node:
    """Return the root node of a YAML text.

    Args:
        text: The text.
        path: The file that it stands in, for positions.
        first_line: The line of the file in which it begins. Marks of nodes count from 1 nevertheless.
        escape: Whether to replace control characters in texts by escapes, as in cards. A recipe with one is refused.

    Raises:
        RecipeError: The text is not YAML, too deep or empty.
    """
    return _composed(_EscapingLoader if escape else _Loader, text, path, first_line)


def compose_aliased(text: str, path: str) -> Node:
    """Return the root node of a YAML 1.1 text with anchors, aliases and any tags. An alias is its anchor's very node.

    The graph can have cycles, and its expansion can be exponentially larger than the text. Nothing is constructed.

    Raises:
        RecipeError: The text is not YAML, too deep or empty.
    """
    return _composed(_AliasedLoader, text, path)


def _composed(kind: "type[_Loader | _AliasedLoader]", text: str, path: str, first_line: int = 1) -> Node:
    mark = Mark(path=path, line=first_line, column=1)
    try:
        loader = kind(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        if (at := error.problem_mark) is not None:
            mark = Mark(path=path, line=at.line + first_line, column=at.column + 1)
        raise RecipeError.at(mark, _in_plain_words(error)) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        mark = Mark(path=path, line=before.count("\n") + first_line, column=len(before) - before.rfind("\n"))
        raise RecipeError.at(mark, f"the character {text[error.position]!r} is not allowed in YAML") from None
    except (ValueError, OverflowError):  # of chr()
        at = loader.get_mark()
        mark = Mark(path=path, line=at.line + first_line, column=at.column + 1)
        raise RecipeError.at(mark, "an escape sequence that stands for no character") from None
    if not isinstance(node, Node):
        raise RecipeError.at(mark, "the file is empty")
    return node


def mark_of(node: Node, path: str) -> Mark:
    """Return where a node begins."""
    return Mark(path=path, line=node.start_mark.line + 1, column=node.start_mark.column + 1)


def _in_plain_words(error: yaml.MarkedYAMLError) -> str:
    """Return PyYAML's message without the names of its tokens."""
    problem = f"{error.problem or error.context}"
    if "character '\\t'" in problem:
        return "a tab; YAML indents with spaces only"
    if problem == "mapping values are not allowed here":
        return "a second ':' in one line, or wrong indentation; put text that contains ': ' in quotes"
    if problem == "found unexpected end of stream":
        return "the file ends inside quotes"
    problem = problem.replace("the node content", "a value").replace("'?'", "a key")
    return _TOKEN.sub(lambda token: _TOKENS.get(token[1], repr(token[1])), problem)


class _Limits:
    """Refuses what the class attributes forbid while a graph is composed; mixed into a loader of PyYAML."""

    depth = 0
    max_depth = MAX_DEPTH
    escapes = False
    has_aliases = False

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[attr-defined]
        if not self.has_aliases and (isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)):
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not allowed", problem_mark=event.start_mark)
        if self.depth >= self.max_depth:
            problem = f"nested deeper than {self.max_depth} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        if (bad := UNPRINTABLE.search(getattr(event, "value", ""))) and self.escapes:
            event.value = escape_unprintable(event.value)
        elif bad:
            problem = f"the character {bad[0]!r} is not allowed in a recipe, not even as an escape"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self.depth += 1
        node: Node | None = super().compose_node(parent, index)  # type: ignore[misc]
        if isinstance(node, ScalarNode) and not self.has_aliases and event.tag and node.style is None:
            node.style = "'"  # `!!str 1` is a text, as '1' is
        self.depth -= 1
        return node


class _Loader(_Limits, yaml.BaseLoader):
    pass


class _EscapingLoader(_Loader):
    escapes = True


class _AliasedLoader(_Limits, yaml.SafeLoader):
    max_depth = MAX_ALIASED_DEPTH
    has_aliases = True
