"""Whether the modules that a run imported with `--trust` are unchanged, without importing them."""

from collections.abc import Collection
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from harness.records.record import Record
from zoo.fetch.checksum import sha256
from zoo.recipes.catalogue import Entry

CODE = "code:"
"""How the names of trusted modules begin in records."""


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
    package, *inner = module.split(".")
    try:
        spec = PathFinder.find_spec(package, [*map(str, folders)]) or find_spec(package)  # these import nothing
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin)
    if inner:
        file = file.parent.joinpath(*inner)
        file = file / "__init__.py" if file.is_dir() else file.with_name(f"{file.name}.py")
    return sha256(file) if file.is_file() else None
