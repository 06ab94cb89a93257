"""The log of a training: one JSON line a step, written by one process."""

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from accelerate import Accelerator
from torch import Tensor

from harness.training.checkpointing import Checkpoint
from zoo.errors import UsageError


class TrainingLog:
    """`log.jsonl`: a line a step with its number, its rate and every named loss, and a line for each epoch scored."""

    def __init__(self, path: Path, state: Checkpoint, accelerator: Accelerator, *, save_every: float) -> None:
        self.path, self.accelerator, self.save_every = path, accelerator, save_every
        self.step: int = state.get("steps", 0)
        self.length: int = state.get("log", 0)
        self.before: float = state.get("seconds", 0.0)
        self.started = self.saved = time.monotonic()
        self.file: IO[bytes] | None = None

    def __enter__(self) -> "TrainingLog":
        if self.accelerator.is_main_process:
            self.file = self.path.open("ab")
            self.file.truncate(self.length)  # what was written after the state was
        return self

    def __exit__(self, *_: object) -> None:
        if self.file:
            self.file.close()

    def write(
        self, losses: dict[str, Tensor], rate: float, *, forgiven: bool = False, stop: bool = False
    ) -> tuple[bool, bool]:
        """Log a step's losses over all processes; whether a state is due, and whether one of them was told to stop.

        Raises UsageError for a sum that is not finite, unless that is `forgiven`.
        """
        due = time.monotonic() - self.saved >= self.save_every and self.accelerator.is_main_process
        total = losses["total"]
        found = torch.stack([*losses.values(), total.new_tensor(due), total.new_tensor(stop)])
        *numbers, save, end = self.accelerator.reduce(found, "sum").tolist()
        values = dict(zip(losses, numbers, strict=True))
        if not math.isfinite(values["total"]) and not forgiven:
            seen = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise UsageError(f"the loss is not finite at step {self.step + 1}: {seen}; a lower rate may help")
        self.step += 1
        told = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._line({"step": self.step, "rate": rate, "losses": told})
        return bool(save), bool(end)

    def any(self, asked: bool) -> bool:
        """Whether one of the processes says so."""
        mine = torch.tensor(float(asked), device=self.accelerator.device)
        return bool(self.accelerator.reduce(mine, "sum").item())

    def epoch(self, epoch: int, split: str, scores: Mapping[str, float]) -> None:
        """Log the scores of an epoch, by metric."""
        told = {metric: value if math.isfinite(value) else None for metric, value in scores.items()}
        self._line({"step": self.step, "epoch": epoch, "split": split, **told})

    def flushed(self) -> int:
        """Bring all lines to the disk; their length in bytes."""
        assert self.file is not None
        self.file.flush()
        os.fsync(self.file.fileno())
        self.saved = time.monotonic()
        return self.file.tell()

    def seconds(self) -> float:
        """How long the run has taken so far."""
        return self.before + time.monotonic() - self.started

    def _line(self, data: dict[str, Any]) -> None:
        if self.file:
            self.file.write(json.dumps(data).encode() + b"\n")
