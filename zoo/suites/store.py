"""Keep a generated suite in a folder: one recipe a file, and an index with their digest, which is written last."""

import json
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from zoo.files import write_atomically
from zoo.suites.generated import GeneratedEntry, GeneratedSuite, Unsupported

INDEX = "index.json"


def write_suite(folder: Path, suite: GeneratedSuite) -> None:
    """Write a suite. Two processes that make the same suite write the same bytes. Raises OSError."""
    for entry in suite.entries:
        write_atomically(recipe_path(folder, entry.name), entry.recipe)
    index = _index(suite)
    write_atomically(folder / INDEX, json.dumps({"digest": _digest(suite, index), **index}, indent=1))


def read_suite(folder: Path) -> GeneratedSuite | None:
    """Return the suite in a folder, or None if there is none or any byte of it differs from what was written."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        suite = GeneratedSuite(
            origin=index["origin"],
            entries=[_entry(folder, entry) for entry in index["entries"]],
            unsupported=[Unsupported(**row) for row in index["unsupported"]],
        )
        return suite if index.pop("digest") == _digest(suite, _index(suite)) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def recipe_path(folder: Path, name: str) -> Path:
    """Return the file of an entry's recipe."""
    return folder / f"{name}.yaml"


def _entry(folder: Path, entry: dict[str, Any]) -> GeneratedEntry:
    recipe = recipe_path(folder, entry["name"]).read_text(encoding="utf-8")
    return GeneratedEntry(**{**entry, "recipe": recipe})


def _index(suite: GeneratedSuite) -> dict[str, Any]:
    entries = [{key: value for key, value in asdict(entry).items() if key != "recipe"} for entry in suite.entries]
    return {"origin": suite.origin, "entries": entries, "unsupported": [asdict(row) for row in suite.unsupported]}


def _digest(suite: GeneratedSuite, index: dict[str, Any]) -> str:
    texts = [json.dumps(index, sort_keys=True), *(entry.recipe for entry in suite.entries)]
    return sha256("\0".join(texts).encode()).hexdigest()
