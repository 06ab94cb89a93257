"""Replace items of a list in a YAML text, and leave every other line as its author wrote it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from zoo.errors import UsageError, first_line

MAX_CHARACTERS = 2_000_000
"""A longer text is not read."""
IsOurs = Callable[[Any], bool]
"""Whether an item of a list is one that zoo wrote."""


@dataclass(frozen=True)
class Lines:
    """A YAML text and its root node."""

    text: str
    root: Node | None

    @classmethod
    def parse(cls, text: str, where: str) -> "Lines":
        """Return a text with its nodes. Raise UsageError if it is no YAML, or too long."""
        if len(text) > MAX_CHARACTERS:
            raise UsageError(f"{where}: longer than {MAX_CHARACTERS:,} characters")
        try:
            load(text, where)
            return cls(text, yaml.compose(text, Loader=yaml.SafeLoader))
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise UsageError(f"{where}: not valid YAML: {first_line(error)}") from None


def load(text: str, where: str) -> Any:
    """Return the value of a YAML text. Raise UsageError if it is no YAML."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{where}: not valid YAML: {first_line(error)}") from None


def dump(value: Any) -> str:
    """Return plain data as YAML in block style."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)


def value_of(node: Node, key: str) -> Node | None:
    """Return the value of a key of a mapping; None if there is none."""
    pairs = node.value if isinstance(node, MappingNode) else []
    return next((value for name, value in pairs if isinstance(name, ScalarNode) and name.value == key), None)


def is_editable(node: Node | None) -> bool:
    """Return whether a node is a list in block style with an item."""
    return isinstance(node, SequenceNode) and not node.flow_style and bool(node.value)


def replace_items(text: str, node: Node, is_ours: IsOurs, items: Sequence[Any], values: Sequence[Any]) -> str:
    """Return a text with our items of a list removed, and new items behind the others.

    Args:
        text: The text.
        node: The list in it, in block style.
        is_ours: Whether an item is to be removed.
        items: The new items.
        values: The present items as data.
    """
    assert isinstance(node, SequenceNode)
    lines = text.splitlines(keepends=True)
    ends = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    removed = {
        line
        for item, value in zip(node.value, values, strict=True)
        if is_ours(value)
        for line in range(item.start_mark.line, last_line(item) + 1)
    }
    indent = " " * node.start_mark.column
    new = "".join(f"{indent}{line}{ends}" for line in dump(list(items)).splitlines())
    after = last_line(node)
    if not lines[after].endswith("\n"):
        lines[after] += ends
    kept = ["" if number in removed else line for number, line in enumerate(lines)]
    return "".join([*kept[: after + 1], new, *kept[after + 1 :]])


def last_line(node: Node) -> int:
    """Return the number of the last line that a node has content on; its end mark can be behind blank lines."""
    if isinstance(node, ScalarNode) or getattr(node, "flow_style", False) or not node.value:
        end = node.end_mark
        is_block = isinstance(node, ScalarNode) and node.style in ("|", ">")
        return int(end.line - 1 if is_block and end.column == 0 else end.line)
    children = [child for item in node.value for child in (item if isinstance(item, tuple) else (item,))]
    inside = [child for child in children if child.start_mark.index >= node.start_mark.index]  # others are aliases
    return max(map(last_line, inside), default=int(node.start_mark.line))
