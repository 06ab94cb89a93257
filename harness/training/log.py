"""The training log: one JSON line per step and per scored epoch, written by the main process."""

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


class DivergenceError(UsageError):
    """The loss is no longer finite, so the training ends."""


class TrainingLog:
    """`log.jsonl`: a line for each step and for each epoch that is scored; docs/training.md describes the fields.

    Args:
        path: The file. Lines that were written after the checkpoint are removed.
        checkpoint: The checkpoint that the run resumes from; empty for a new run.
        accelerator: Its main process writes the file.
        save_every: The seconds between two checkpoints.
    """

    def __init__(self, path: Path, checkpoint: Checkpoint, accelerator: Accelerator, *, save_every: float) -> None:
        self.path, self.accelerator, self.save_every = path, accelerator, save_every
        self.step: int = checkpoint.get("steps", 0)
        self._length: int = checkpoint.get("log", 0)
        self._earlier_seconds: float = checkpoint.get("seconds", 0.0)
        self.epoch_losses: tuple[float, int] = tuple(checkpoint.get("epoch_losses", (0.0, 0)))
        """The sum of the total losses of the current epoch, and the number of its steps."""
        self._started = self._saved = time.monotonic()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "TrainingLog":
        if self.accelerator.is_main_process:
            self._file = self.path.open("ab")
            self._file.truncate(self._length)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def write(
        self, losses: dict[str, Tensor], position: Mapping[str, Any], *, may_overflow: bool = False, stop: bool = False
    ) -> tuple[bool, bool]:
        """Log the losses of a step, summed over all processes.

        Args:
            losses: The losses of this process's rows by term, with their weighted sum as `total`.
            position: The fields that say where the step is in its stage, and its learning rate.
            may_overflow: The step will be skipped if its gradients overflow, so its loss may be infinite.
            stop: Whether this process has received a signal to stop.

        Returns:
            Whether a checkpoint is due, and whether any process has received a signal to stop.

        Raises:
            DivergenceError: The total loss is not finite, and it may not overflow.
        """
        due = time.monotonic() - self._saved >= self.save_every and self.accelerator.is_main_process
        total = losses["total"]
        local = torch.stack([*losses.values(), total.new_tensor(due), total.new_tensor(stop)])
        *sums, any_due, any_stop = self.accelerator.reduce(local, "sum").tolist()
        values = dict(zip(losses, sums, strict=True))
        if not math.isfinite(values["total"]) and not may_overflow:
            listed = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise DivergenceError(
                f"the loss is not finite at step {self.step + 1}: {listed}; try a lower learning rate"
            )
        self.step += 1
        self.epoch_losses = self.epoch_losses[0] + values["total"], self.epoch_losses[1] + 1
        self._write_line({**position, "losses": _finite_or_none(values)})
        return bool(any_due), bool(any_stop)

    def any_process(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        local = torch.tensor(float(flag), device=self.accelerator.device)
        return bool(self.accelerator.reduce(local, "sum").item())

    @property
    def mean_loss(self) -> float:
        """The mean of the total loss over the steps of the current epoch so far; NaN before its first step."""
        total, steps = self.epoch_losses
        return total / steps if steps else math.nan

    def write_epoch(self, position: Mapping[str, Any], scores: Mapping[str, Mapping[str, float]]) -> None:
        """Log the mean loss of an epoch, and its scores by split and metric."""
        by_split = {split: _finite_or_none(of_split) for split, of_split in scores.items()}
        self._write_line({**position, **_finite_or_none({"mean_loss": self.mean_loss}), "scores": by_split})

    def end_epoch(self) -> None:
        """Start the mean loss again, for the next epoch."""
        self.epoch_losses = 0.0, 0

    def flush(self) -> int:
        """Sync all lines to the disk for a checkpoint that is about to be saved, and return the file's size in bytes.

        The time to the next checkpoint starts again.
        """
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._saved = time.monotonic()
        return self._file.tell()

    def elapsed(self) -> float:
        """Return the seconds that the run has taken so far, those before it was resumed included."""
        return self._earlier_seconds + time.monotonic() - self._started

    def _write_line(self, data: dict[str, Any]) -> None:
        if self._file:
            line = {"step": self.step, **data, "seconds": round(self.elapsed(), 3)}
            self._file.write(json.dumps(line).encode() + b"\n")


def _finite_or_none(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
