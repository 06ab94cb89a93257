"""Read a configuration into inert values: anchors, merges and torchdistill's tags are resolved, nothing is imported.

The size of the expanded configuration is bounded before anything is expanded. torchdistill reads YAML 1.1, in which
`yes` is true and `1e-4` a text.
"""

import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from zoo.errors import Mark, Problem, SourceError, UsageError
from zoo.importers.torchdistill.expanded_size import check_size
from zoo.importers.torchdistill.items import BlockedError, Called, Imported, Indexed, Item, Refused
from zoo.importers.torchdistill.old_names import modern_key
from zoo.importers.torchdistill.vocabulary import is_known, next_step
from zoo.recipes.yaml_graph import compose_aliased, mark_of, read_text

MAX_TEXT = 10_000
"""The characters that `!join` and `!pathjoin` may make."""
MAX_DIGITS = 40
"""The characters of a number."""
MERGE = "tag:yaml.org,2002:merge"
_STANDARD = "tag:yaml.org,2002:"
_NUMBERS = ("int", "float", "bool")


def read_config(path: Path, *, renames: bool = True) -> tuple[Item, list[Problem]]:
    """Return the configuration in a file, and the problems of its tags and of the names that it imports.

    Args:
        path: The file.
        renames: Whether keys of older formats get the names of version 1.

    Raises:
        RecipeError: The file is no YAML, or too large.
        SourceError: The file cannot be read.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a configuration in it")
    if not path.exists():
        raise SourceError(f"there is no configuration {path}")
    return read_config_text(read_text(path), str(path), renames=renames)


def read_config_text(text: str, path: str, *, renames: bool = True) -> tuple[Item, list[Problem]]:
    """Do what `read_config` does for a text; `path` is used in positions."""
    root = compose_aliased(text, path)
    check_size(root, path)
    reader = _Reader(path, modern_key if renames else _as_written)
    item = reader.item(root)
    return item, [*dict.fromkeys(reader.problems)]


def _as_written(key: str, siblings: frozenset[str]) -> str:
    return key


class _Reader:
    """Turns nodes into items, each node once."""

    def __init__(self, path: str, rename: Callable[[str, frozenset[str]], str]) -> None:
        self.path, self.rename = path, rename
        self.problems: list[Problem] = []
        self.known: dict[int, Item] = {}
        self.scalars = yaml.constructor.SafeConstructor()

    def mark(self, node: Node) -> Mark:
        return mark_of(node, self.path)

    def refuse(self, node: Node, message: str) -> Item:
        self.problems.append(Problem(self.mark(node), message))
        return Item(value=Refused(), mark=self.mark(node))

    def item(self, node: Node) -> Item:
        if id(node) not in self.known:
            try:
                self.known[id(node)] = self.tagged(node)
            except BlockedError as error:
                self.problems += error.problems
                self.known[id(node)] = Item(value=Refused(), mark=self.mark(node))
        return self.known[id(node)]

    def tagged(self, node: Node) -> Item:
        if node.tag.startswith(_STANDARD) and "python" not in node.tag:
            return self.plain(node)
        tag = node.tag if isinstance(node.tag, str) else ""
        make = _TAGS.get(tag)
        if make is None:
            return self.refuse(
                node, f"the tag {tag} is not one of torchdistill's, and zoo runs no code of a configuration"
            )
        return Item(value=make(self, node), mark=self.mark(node))

    def plain(self, node: Node) -> Item:
        if isinstance(node, MappingNode):
            return self.mapping(node)
        if isinstance(node, SequenceNode):
            return Item(value=tuple(map(self.item, node.value)), mark=self.mark(node))
        return Item(value=self.scalar(node), mark=self.mark(node))

    def scalar(self, node: Node) -> Any:
        kind = node.tag.removeprefix(_STANDARD)
        if kind == "null":
            return None
        if kind not in _NUMBERS:
            return str(node.value)
        if len(node.value) > MAX_DIGITS:
            raise BlockedError(Problem(self.mark(node), f"a number of more than {MAX_DIGITS} characters"))
        try:
            return getattr(self.scalars, f"construct_yaml_{kind}")(node)
        except (ValueError, OverflowError, KeyError):
            return str(node.value)

    def mapping(self, node: MappingNode) -> Item:
        values: dict[str, Item] = {}
        marks: dict[str, Mark] = {}
        merged: dict[str, Item] = {}
        names = frozenset(str(key.value) for key, _ in node.value)
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                merged |= self.merged(value_node)
                continue
            key = self.item(key_node).value
            if not isinstance(key, str | int):
                self.refuse(key_node, "a key must be text")
                continue
            name = self.rename(str(key), names)
            if name in values and name != str(key):
                self.refuse(key_node, f"both {key!r} and {name!r} are written, which mean the same; remove one of them")
                continue
            values[name], marks[name] = self.item(value_node), self.mark(key_node)
        return Item(value={**merged, **values}, mark=self.mark(node), key_marks=marks)

    def merged(self, node: Node) -> Mapping[str, Item]:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        values: dict[str, Item] = {}
        for part in reversed(parts):
            values |= self.item(part).mapping
        return values

    def join(self, node: Node) -> str:
        return self.bounded(node, "".join(self.text_part(part) for part in self.sequence(node)))

    def join_path(self, node: Node) -> str:
        return self.bounded(node, posixpath.join("", *(self.text_part(part) for part in self.sequence(node))))

    def bounded(self, node: Node, text: str) -> str:
        if len(text) > MAX_TEXT:
            raise BlockedError(Problem(self.mark(node), f"a text of more than {MAX_TEXT:,} characters"))
        return text

    def text_part(self, item: Item) -> str:
        if isinstance(item.value, str | int | float) or item.value is None:
            return str(item.value)
        raise item.blocked(f"a text can be joined of texts and numbers only, not of {item.shown}")

    def path_text(self, node: Node) -> str:
        return str(node.value) if isinstance(node, ScalarNode) else ""

    def sequence(self, node: Node) -> list[Item]:
        if not isinstance(node, SequenceNode):
            raise BlockedError(Problem(self.mark(node), f"{node.tag} takes a list"))
        return [self.item(part) for part in node.value]

    def import_get(self, node: Node) -> Imported:
        return Imported(name=self.dotted(node, self.fields(node), "key"))

    def import_call(self, node: Node) -> Called:
        fields = self.fields(node)
        return self.called(self.dotted(node, fields, "key"), fields)

    def import_call_method(self, node: Node) -> Called:
        fields = self.fields(node)
        parts = [fields.need(name).text for name in ("package", "class_name", "method_name") if fields.get(name)]
        return self.called(self.checked(node, ".".join(parts)), fields)

    def call_method(self, node: Node) -> Called:
        fields = self.fields(node)
        obj = fields.need("obj")
        name = obj.value.name if isinstance(obj.value, Called | Imported) else obj.shown
        return self.called(self.checked(node, f"{name}.{fields.need('method_name').text}"), fields)

    def get_attribute(self, node: Node) -> Imported:
        parts = self.sequence(node)
        if len(parts) != 2 or not isinstance(parts[0].value, Imported):
            raise BlockedError(Problem(self.mark(node), "!getattr takes an imported name and the name of an attribute"))
        return Imported(name=self.checked(node, f"{parts[0].value.name}.{parts[1].text}"))

    def access(self, node: Node) -> Any:
        fields = self.fields(node)
        data, key = fields.need("data"), fields.need("index_or_key")
        if isinstance(data.value, Called):
            return Indexed(data=data, key=key.plain)
        try:
            return (data.list[key.whole] if isinstance(data.value, tuple) else data.mapping[key.text]).value
        except (IndexError, KeyError):
            raise key.blocked(f"there is no element {key.shown}") from None

    def set_attribute(self, node: Node) -> Any:
        raise BlockedError(Problem(self.mark(node), "!setattr changes an object, which a recipe cannot"))

    def fields(self, node: Node) -> Item:
        if not isinstance(node, MappingNode):
            raise BlockedError(Problem(self.mark(node), f"{node.tag} takes a mapping of keys"))
        return self.mapping(node)

    def called(self, name: str, fields: Item) -> Called:
        init = fields.get("init") or fields
        args, kwargs = init.get("args"), init.get("kwargs")
        return Called(name=name, args=args.list if args else (), kwargs=kwargs.mapping if kwargs else {})

    def dotted(self, node: Node, fields: Item, key: str) -> str:
        package, name = fields.get("package"), fields.need(key).text
        return self.checked(node, f"{package.text}.{name}" if package else name)

    def checked(self, node: Node, name: str) -> str:
        if not is_known(name):
            raise BlockedError(Problem(self.mark(node), f"{name} has no equal in a recipe{next_step(name)}"))
        return name


_TAGS = {
    "!join": _Reader.join, "!pathjoin": _Reader.join_path, "!expanduser": _Reader.path_text,
    "!abspath": _Reader.path_text, "!import_get": _Reader.import_get, "!import_call": _Reader.import_call,
    "!import_call_method": _Reader.import_call_method, "!call_method": _Reader.call_method,
    "!getattr": _Reader.get_attribute, "!setattr": _Reader.set_attribute,
    "!access_by_index_or_key": _Reader.access, "!simple_access": _Reader.access,
}  # fmt: skip
"""torchdistill's tags; the last one is the name of the one before in development versions."""
