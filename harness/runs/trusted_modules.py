"""Whether the modules that a run imported with `--trust` are unchanged, without importing them."""

import sys
from collections.abc import Collection
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

from harness.models.provenance import CODE
from harness.records.record import Record
from zoo.fetch.checksum import sha256
from zoo.recipes.catalogue import Entry


def code_folders(entry: Entry, working: Path) -> list[Path]:
    """Return the folders in which a run looks for trusted packages first: of its recipe, and its working directory."""
    return [*([entry.path.parent.resolve()] if entry.recipe_repo is None else []), working]


def has_same_code(record: Record, folders: Collection[Path]) -> bool:
    """Return whether the trusted modules of a run are unchanged. A run without any has the same code.

    Args:
        record: The record of the run.
        folders: The result of `code_folders`.
    """
    files = record.identity.sources.get("files", {}).items()
    try:
        return all(
            _digest(name.removeprefix(CODE), folders) == digest for name, digest in files if name.startswith(CODE)
        )
    except OSError:
        return False


def _digest(module: str, folders: Collection[Path]) -> str | None:
    """Return the SHA-256 of the file of a module; None if it is not found."""
    spec = _find_module(module, folders)
    file = Path(spec.origin) if spec is not None and spec.origin is not None else None
    return sha256(file) if file is not None and file.is_file() else None


def _find_module(module: str, folders: Collection[Path]) -> ModuleSpec | None:
    """Find a module as an import with these folders at the front of `sys.path` would. Nothing is imported."""
    package, *inner = module.split(".")
    try:
        spec = PathFinder.find_spec(package, [*map(str, folders), *sys.path]) or find_spec(package)
        for part in inner:
            if spec is None or spec.submodule_search_locations is None:
                return None
            spec = PathFinder.find_spec(part, list(spec.submodule_search_locations))  # a dot needs an imported parent
    except (ImportError, ValueError):
        return None
    return spec
