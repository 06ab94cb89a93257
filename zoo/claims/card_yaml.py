"""Read the YAML of strangers into values that know their text and position.

Numbers stay texts: `85.70` says that two decimals were published, and 85.7 does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from zoo.errors import Mark, Problem
from zoo.recipes.yaml_graph import compose, mark_of

_EMPTY = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True)
class CardValue:
    """A value of a YAML file, or nothing where a key is missing."""

    node: Node | None
    path: str
    first_line: int = 1
    """The line of the file in which the YAML begins."""
    problems: list[Problem] = field(default_factory=list)
    """Collects what cannot be read, for all values of a file."""

    def __getitem__(self, key: str) -> "CardValue":
        """Return the value of a key of a mapping; nothing if it is missing or this is no mapping."""
        pairs = self.node.value if isinstance(self.node, MappingNode) else []
        found = [item for name, item in pairs if isinstance(name, ScalarNode) and name.value == key]
        if len(found) > 1:
            self.problems.append(Problem(self.mark, f"the key {key!r} is repeated; the last one counts", False))
        return self._with(found[-1] if found else None)

    def __iter__(self) -> Iterator["CardValue"]:
        """Yield the items of a list. A single mapping counts as a list of one item, a missing value as an empty one."""
        if isinstance(self.node, SequenceNode):
            yield from (self._with(item) for item in self.node.value)
        elif isinstance(self.node, MappingNode):
            yield self

    def __bool__(self) -> bool:
        return self.node is not None and not (isinstance(self.node, ScalarNode) and self.node.value in _EMPTY)

    @property
    def text(self) -> str:
        """The text of a scalar; an empty one for anything else and for null."""
        return self.node.value if isinstance(self.node, ScalarNode) and self else ""

    @property
    def is_mapping(self) -> bool:
        """Whether the value has keys."""
        return isinstance(self.node, MappingNode)

    @property
    def mark(self) -> Mark:
        """Where the value stands in the file."""
        if self.node is None:
            return Mark(path=self.path, line=self.first_line, column=1)
        at = mark_of(self.node, self.path)
        return Mark(path=self.path, line=at.line + self.first_line - 1, column=at.column)

    def report(self, message: str) -> None:
        """Add a problem of this value."""
        self.problems.append(Problem(self.mark, message))

    def _with(self, node: Node | None) -> "CardValue":
        return CardValue(node, self.path, self.first_line, self.problems)


def read_yaml(text: str, path: str, first_line: int = 1) -> CardValue:
    """Return the root of a YAML text. Control characters in its texts are replaced by escapes.

    Args:
        text: The text.
        path: The file, for positions.
        first_line: The line of the file in which the text begins.

    Raises:
        RecipeError: The text is not YAML.
    """
    return CardValue(compose(text, path, first_line, escape=True), path, first_line)
