"""Parse an HTML page into a tree of elements."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = ("meta", "link", "input", "wbr", "br", "img")


@dataclass
class Node:
    """An element of a page."""

    tag: str
    attributes: dict[str, str]
    children: "list[Node | str]" = field(default_factory=list)

    def all(self, *tags: str) -> "list[Node]":
        """Return the elements with these names inside this one, in their order."""
        inner = [child for child in self.children if isinstance(child, Node)]
        return [element for child in inner for element in ([child] if child.tag in tags else []) + child.all(*tags)]

    def descendants(self) -> "Iterator[Node]":
        """Yield every element inside this one."""
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child.descendants()

    @property
    def text(self) -> str:
        """The text inside this element, with single spaces."""
        return " ".join("".join(c.text if isinstance(c, Node) else c for c in self.children).split())


class _Parser(HTMLParser):
    """A parser that fails if an element is closed that is not open, or never closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open = [Node("", {})]
        self.feed(text)
        assert len(self.open) == 1, f"never closed: {self.open[-1].tag}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse_page(path: Path) -> Node:
    """Return the root of a page."""
    return _Parser(path.read_text(encoding="utf-8")).open[0]
