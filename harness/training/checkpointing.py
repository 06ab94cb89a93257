"""Checkpoints to resume a training run from. The last two are stored, so a kill at any moment leaves a complete one.

A checkpoint is written to a temporary file, synced to the disk, and renamed over the older of the two.
"""

import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo.errors import UsageError
from zoo.files import replacing

Checkpoint = dict[str, Any]
"""Tensors, numbers, strings, and lists, tuples and dicts of them: loading one runs no code."""


class CheckpointStore:
    """The checkpoints of one run: `checkpoint-0.pt` and `checkpoint-1.pt` in its folder, written in turn."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.generation = folder, 0

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that can be read, or None if the folder has none.

        Temporary files that a killed process left are deleted.

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
            torch.save({**checkpoint, "generation": self.generation}, file)
            file.flush()
            os.fsync(file.fileno())

    def _file(self, slot: int) -> Path:
        return self.folder / f"checkpoint-{slot}.pt"

    def _read(self, slot: int) -> Checkpoint | None:
        try:
            checkpoint: Checkpoint = torch.load(self._file(slot), map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            return None
        return checkpoint


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
