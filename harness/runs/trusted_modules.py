"""Whether the modules that a run imported with `--trust` are unchanged, without importing them."""

from importlib.util import find_spec
from pathlib import Path

from harness.records.record import Record
from zoo.fetch.checksum import sha256

CODE = "code:"
"""How the names of trusted modules begin in records."""


def has_same_code(record: Record) -> bool:
    """Return whether the trusted modules of a run are unchanged. A run without any has the same code."""
    files = record.identity.sources.get("files", {}).items()
    try:
        return all(_digest(name.removeprefix(CODE)) == digest for name, digest in files if name.startswith(CODE))
    except OSError:
        return False


def _digest(module: str) -> str | None:
    """Return the SHA-256 of the file of a module; None if it is not found."""
    package, *inner = module.split(".")
    try:
        spec = find_spec(package)  # that of a package imports nothing
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin)
    if inner:
        file = file.parent.joinpath(*inner)
        file = file / "__init__.py" if file.is_dir() else file.with_name(f"{file.name}.py")
    return sha256(file) if file.is_file() else None
