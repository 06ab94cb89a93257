"""Tensors that are computed once and kept on disk, by what they are computed from; read back as memory maps.

What is kept can be lost at any time: a file that is gone, cannot be written or is not what it was when it was written
is computed anew.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import get_ident

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo.errors import SourceError
from zoo.fetch.checksum import sha256

LIMIT = 8 * 2**30
"""The most bytes that a folder keeps; what was written first goes first."""
ABANDONED = 86400
"""So many seconds after it was last written to nobody goes on with a file."""

Tensors = dict[str, Tensor]


def cached_tensors(folder: Path, key: str, make: Callable[[], Tensors], limit: int = LIMIT) -> Tensors:
    """What is kept in the folder under this key, a digest of all that it depends on; else what `make` makes."""
    found = _read(folder, key)
    if found is None:
        found = make()
        _write(folder, key, found, limit)
    return found


def _read(folder: Path, key: str) -> Tensors | None:
    """A file's name ends with the SHA-256 of its content."""
    for path in folder.glob(f"{key}-*.safetensors"):
        try:
            if path.stem.rpartition("-")[2] == sha256(path):
                return load_file(path)
        except (OSError, SafetensorError, SourceError):  # gone meanwhile, or damaged
            continue
    return None


def _write(folder: Path, key: str, tensors: Tensors, limit: int) -> None:
    partial = folder / f".{key}.{os.getpid()}.{get_ident()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial)
        path = folder / f"{key}-{sha256(partial)}.safetensors"
        partial.replace(path)
        for other in folder.glob(f"{key}-*.safetensors"):
            if other != path:
                other.unlink(missing_ok=True)
        _prune(folder, limit)
    except (OSError, SafetensorError, SourceError):  # safetensors says of a full disk that it cannot serialise
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _prune(folder: Path, limit: int) -> None:
    for left in folder.glob(".*"):  # by a process that was killed as it wrote
        if time.time() - left.stat().st_mtime > ABANDONED:
            left.unlink(missing_ok=True)
    files = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in folder.glob("*.safetensors"))
    total = sum(size for _, size, _ in files)
    for _, size, path in files:
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size
