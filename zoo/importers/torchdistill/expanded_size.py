"""Bound the size of a configuration after its aliases are expanded, before anything is expanded."""

from yaml.nodes import MappingNode, Node, SequenceNode

from zoo.errors import RecipeError
from zoo.recipes.yaml_graph import mark_of

MAX_ITEMS = 100_000
"""The number of values that a configuration may have after all aliases are expanded."""
MAX_EXPANDED_DEPTH = 128
"""The number of levels after all aliases are expanded."""


def check_size(root: Node, path: str) -> None:
    """Raise RecipeError for an alias inside its own anchor, and for too many values or levels after expansion."""
    measured: dict[int, tuple[int, int]] = {}
    open_nodes: set[int] = set()

    def measure(node: Node) -> tuple[int, int]:
        """Return the number of values and of levels."""
        if id(node) in open_nodes:
            raise RecipeError.at(mark_of(node, path), "an alias inside its own anchor has no end")
        if id(node) not in measured:
            open_nodes.add(id(node))
            parts = [measure(child) for child in _children(node)]
            open_nodes.remove(id(node))
            size, depth = 1 + sum(size for size, _ in parts), 1 + max((depth for _, depth in parts), default=0)
            if depth > MAX_EXPANDED_DEPTH:
                message = f"nested deeper than {MAX_EXPANDED_DEPTH} levels by its aliases"
                raise RecipeError.at(mark_of(node, path), message)
            measured[id(node)] = size, depth
        return measured[id(node)]

    if measure(root)[0] > MAX_ITEMS:
        message = f"more than {MAX_ITEMS:,} values after its aliases are expanded"
        raise RecipeError.at(mark_of(root, path), message)


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, SequenceNode) else []
