"""Checkpoints to resume a training run from. The last two are stored, so a kill at any moment leaves a complete one.

A checkpoint is written to a temporary file, synced to the disk, and renamed over the older of the two. It holds the
SHA-256 of its content; a damaged checkpoint is refused and the older one is used.
"""

import hashlib
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import UsageError, first_line
from zoo.files import replacing
from zoo.progress import Report, ignore_message

DIGEST = "sha256"
"""The key of a checkpoint's digest in its file."""

Checkpoint = dict[str, Any]
"""Tensors, numbers, strings, and lists, tuples and dicts of them: loading one runs no code."""


class CheckpointStore:
    """The checkpoints of one run: `checkpoint-0.pt` and `checkpoint-1.pt` in its folder, written in turn."""

    def __init__(self, folder: Path, report: Report = ignore_message) -> None:
        self.folder, self.report, self.generation = folder, report, 0

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is undamaged, or None if the folder has none.

        A damaged one is reported. Temporary files that a killed process left are deleted.

        Raises:
            UsageError: The folder has checkpoints, and none can be read.
        """
        for partial in self.folder.glob(".checkpoint-*.partial"):
            partial.unlink(missing_ok=True)
        readable = [checkpoint for slot in range(2) if (checkpoint := self._read(slot)) is not None]
        if not readable and any(self._file(slot).exists() for slot in range(2)):
            raise UsageError(f"{self.folder}: none of its checkpoints can be read; delete the folder to start again")
        newest = max(readable, key=lambda checkpoint: int(checkpoint["generation"]), default=None)
        self.generation = int(newest["generation"]) if newest else 0
        return newest

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a new checkpoint over the older of the two."""
        self.generation += 1
        with replacing(self._file(self.generation % 2)) as partial, partial.open("wb") as file:
            content = {**checkpoint, "generation": self.generation}
            torch.save({**content, DIGEST: content_digest(content)}, file)
            file.flush()
            os.fsync(file.fileno())

    def _file(self, slot: int) -> Path:
        return self.folder / f"checkpoint-{slot}.pt"

    def _read(self, slot: int) -> Checkpoint | None:
        """Return a checkpoint, or None if it is missing; also None, and reported, if it is damaged."""
        path = self._file(slot)
        if not path.exists():
            return None
        try:
            checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True)
            digest = checkpoint.pop(DIGEST)
            if digest == content_digest(checkpoint):
                return dict(checkpoint)
            problem = "its content differs from its digest"
        except Exception as error:  # a changed byte can raise anything in torch's reader
            problem = first_line(error)
        self.report(f"{path}: this checkpoint is damaged and left out: {problem}")
        return None


def content_digest(value: Any) -> str:
    """Return the SHA-256 of a checkpoint's content: of all tensors, numbers and texts in it, and of their structure."""
    digest = hashlib.sha256()
    for part in _parts(value):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[bytes | memoryview]:
    """Yield the bytes that identify a value, each container and scalar after its type and size."""
    if isinstance(value, Tensor):
        data = value.detach().cpu().contiguous()
        yield f"{data.dtype} {tuple(data.shape)}\n".encode()
        if data.numel():
            yield data.reshape(-1).view(torch.uint8).numpy().data
    elif isinstance(value, Mapping):
        yield f"dict {len(value)}\n".encode()
        for item in value.items():
            yield from _parts(item)
    elif isinstance(value, list | tuple):
        yield f"{type(value).__name__} {len(value)}\n".encode()
        for item in value:
            yield from _parts(item)
    else:
        yield f"{type(value).__name__} {value!r}\n".encode()


def rng_state(device: torch.device | None = None) -> Checkpoint:
    """Return the state of the global generators of Python, numpy and torch, and of the device if it has its own."""
    name, keys, *rest = np.random.get_state(legacy=True)
    state: Checkpoint = {
        "python": random.getstate(),
        "numpy": (name, torch.tensor(np.asarray(keys).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if device is not None and device.type in ("cuda", "mps"):
        state["device"] = getattr(torch, device.type).get_rng_state()
    return state


def set_rng_state(state: Checkpoint, device: torch.device | None = None) -> None:
    """Set the global generators to a state that `rng_state` returned."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if device is not None and "device" in state:
        getattr(torch, device.type).set_rng_state(state["device"])


@contextmanager
def unchanged_generators(device: torch.device | None = None) -> Iterator[None]:
    """Set the global generators back at the end of the block to where they were at its start."""
    before = rng_state(device)
    try:
        yield
    finally:
        set_rng_state(before, device)
