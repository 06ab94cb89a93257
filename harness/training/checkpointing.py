"""What resuming a run needs, on disk: two generations, so that a kill at any moment leaves one whole.

A generation is written under another name, synced, and renamed over the older of the two.
"""

import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo.errors import UsageError

Checkpoint = dict[str, Any]
"""Tensors, numbers, texts, and lists, tuples and dicts of them: what loads without running code."""


class CheckpointStore:
    """The states of one run, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.generation = folder, 0

    def newest(self) -> Checkpoint | None:
        """The newest that can be read; None where there is none. Raises UsageError where there are, and none can be."""
        found = [state for slot in range(2) if (state := self._read(slot)) is not None]
        if not found and any(self._file(slot).exists() for slot in range(2)):
            raise UsageError(f"{self.folder}: no saved state there can be read; remove the folder to begin again")
        newest = max(found, key=lambda state: int(state["generation"]), default=None)
        self.generation = int(newest["generation"]) if newest else 0
        return newest

    def save(self, state: Checkpoint) -> None:
        """Add a generation; the one before stays."""
        self.generation += 1
        partial = self.folder / "state.partial"
        with partial.open("wb") as file:
            torch.save({**state, "generation": self.generation}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._file(self.generation % 2))

    def _file(self, slot: int) -> Path:
        return self.folder / f"state-{slot}.pt"

    def _read(self, slot: int) -> Checkpoint | None:
        try:
            state: Checkpoint = torch.load(self._file(slot), map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            return None
        return state


def rng_state(device: torch.device | None = None) -> Checkpoint:
    """The state of the global generators of Python, numpy and torch, and of the device's if it has one of its own."""
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
    """Put the global generators where `rng_state` found them."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if device is not None and "device" in state:
        getattr(torch, device.type).set_rng_state(state["device"])
