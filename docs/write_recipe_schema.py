"""Write the JSON Schema of a recipe from the dataclasses: `python docs/write_recipe_schema.py`; `--check` compares.

Editors use it to complete and check keys. `zoo check` finds more: names, arguments and values that do not fit together.
"""

import ast
import inspect
import json
import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from zoo.recipes import schema
from zoo.recipes.row_subset import RowSubset
from zoo.recipes.values import Call

FILE = Path(schema.__file__).with_name("recipe.schema.json")
PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}
CALL = {
    "description": "A name, or {use: NAME, ARGUMENT: VALUE, ...}.",
    "anyOf": [
        {"type": "string"},
        {"type": "object", "required": ["use"], "properties": {"use": {"type": "string"}}},
    ],
}
RANGE = {"type": ["string", "integer"]}
ROWS = {
    "description": "Rows by number: 7, 0-999, a list of these, or the source of a file.",
    "anyOf": [RANGE, {"type": "array", "items": RANGE}],
}


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema."""
    defs: dict[str, Any] = {"Call": CALL, "RowSubset": ROWS}
    top = described(schema.Recipe, defs)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A recipe of zoo"}
    return {**head, **top, "$defs": dict(sorted(defs.items()))}


def described(kind: type, defs: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a dataclass. Those of the dataclasses that it refers to are added to `defs`."""
    hints, texts = get_type_hints(kind), docstrings(kind)
    keys = [part for part in fields(kind) if part.compare]
    properties: dict[str, Any] = {}
    for part in keys:
        stated = part.default not in (MISSING, None, ())
        default = {"default": part.default} if stated else {}
        properties[part.name] = {"description": texts[part.name], **typed(hints[part.name], defs), **default}
    if "schema" in properties:
        properties["schema"] |= {"minimum": 1, "maximum": kind.NEWEST_SCHEMA}
    required = [part.name for part in keys if part.default is MISSING and part.default_factory is MISSING]
    summary = " ".join(str(kind.__doc__).split("\n\n", maxsplit=1)[0].split())
    return {
        "description": summary, "type": "object", "additionalProperties": False,
        "required": required, "properties": properties,
    }  # fmt: skip


def typed(hint: Any, defs: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value by its type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (typed(arg, defs) for arg in args if arg is not type(None))
        return {"anyOf": [inner, {"type": "null"}]}
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple:
        return {"type": "array", "items": typed(args[0], defs)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": typed(args[1], defs)}
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    if is_dataclass(hint) and hint is not Call and hint.__name__ not in defs:
        defs[hint.__name__] = {}  # so that no dataclass is described twice
        defs[hint.__name__] = described(hint, defs)
    return {"$ref": f"#/$defs/{hint.__name__}"} if hint in (Call, RowSubset) or is_dataclass(hint) else {}


def docstrings(kind: type) -> dict[str, str]:
    """Return the text below each field of a dataclass, on one line."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    pairs = zip(definition.body, definition.body[1:], strict=False)
    return {
        node.target.id: " ".join(ast.literal_eval(text.value).replace("`", "").split())
        for node, text in pairs
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(text, ast.Expr)
    }


def main() -> int:
    """Write the file, or with `--check` return 1 if it is out of date."""
    text = json.dumps(recipe_schema(), indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        return int(FILE.read_text(encoding="utf-8") != text)
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
