"""A disk cache of computed tensors, read back as memory maps.

Every file may be lost at any time: a file that is missing, cannot be written or is damaged is computed again.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo.errors import SourceError
from zoo.fetch.checksum import sha256
from zoo.files import partial_file

LIMIT = 8 * 2**30
"""The most bytes that a folder may hold; the oldest files are deleted first."""
ABANDONED = 86400
"""Seconds since its last write after which a partial file is deleted: its process was killed."""

CACHED = re.compile(r".*-[0-9a-f]{64}\.safetensors")
"""The names of this cache's files; all others in the folder belong to somebody else."""

Tensors = dict[str, Tensor]


def cached_tensors(folder: Path, key: str, make: Callable[[], Tensors], limit: int = LIMIT) -> Tensors:
    """Return the tensors that the folder holds under a key, or make them and store them.

    Args:
        folder: The folder of the cache; it is created if it is missing.
        key: A digest of everything that the tensors depend on.
        make: Computes the tensors if they are not in the cache.
        limit: The most bytes that the folder may hold afterwards.
    """
    tensors = _read(folder, key)
    if tensors is None:
        tensors = make()
        _write(folder, key, tensors, limit)
    return tensors


def _read(folder: Path, key: str) -> Tensors | None:
    """Return the tensors of an intact file; a file's name ends with the SHA-256 of its content."""
    for path in folder.glob(f"{key}-*.safetensors"):
        try:
            if path.stem.rpartition("-")[2] == sha256(path):
                return load_file(path)
        except (OSError, SafetensorError, SourceError):  # deleted by another process, or damaged
            continue
    return None


def _write(folder: Path, key: str, tensors: Tensors, limit: int) -> None:
    with (
        suppress(OSError, SafetensorError, SourceError),  # safetensors reports a full disk as a failed serialization
        partial_file(folder / f"{key}.safetensors") as partial,
    ):
        save_file(tensors, partial)
        path = folder / f"{key}-{sha256(partial)}.safetensors"
        partial.replace(path)
        for other in folder.glob(f"{key}-*.safetensors"):
            if other != path:
                other.unlink(missing_ok=True)
        _prune(folder, limit)


def _prune(folder: Path, limit: int) -> None:
    for partial in folder.glob(".*.safetensors.*.partial"):
        if time.time() - partial.stat().st_mtime > ABANDONED:
            partial.unlink(missing_ok=True)
    cached = [path for path in folder.glob("*.safetensors") if CACHED.fullmatch(path.name)]
    files = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in cached)
    total = sum(size for _, size, _ in files)
    for _, size, path in files:
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size
