"""The training log: one JSON line per step and per scored epoch, written by the main process."""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from accelerate import Accelerator
from torch import Tensor

from harness.training.checkpointing import Checkpoint
from zoo.errors import UsageError
from zoo.files import errors_name, write_atomically


class DivergenceError(UsageError):
    """The loss is no longer finite, so the training ends."""


@dataclass(frozen=True, kw_only=True)
class BlockLosses:
    """The losses of some steps, and what the processes agreed on when the losses were read."""

    values: tuple[Mapping[str, float], ...]
    """For each step the losses by term, and `total`."""
    due: bool
    """Whether a checkpoint is due."""
    stop: bool
    """Whether any process has received a signal to stop."""
    seconds: float
    """The seconds since losses were last read."""


class TrainingLog:
    """`log.jsonl`: a line for each step and for each epoch that is scored; docs/training.md describes the fields.

    Args:
        path: The file. Lines that were written after the checkpoint are removed, and so is half a line: the file is
            written anew, so that a process that has lost the lock of this run cannot add lines to it.
        checkpoint: The checkpoint that the run resumes from; empty for a new run.
        accelerator: Its main process writes the file.
        save_every: The seconds between two checkpoints.
        on_line: Called with each line that is written.
    """

    def __init__(
        self,
        path: Path,
        checkpoint: Checkpoint,
        accelerator: Accelerator,
        *,
        save_every: float,
        on_line: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> None:
        self.path, self.accelerator, self.save_every, self._on_line = path, accelerator, save_every, on_line
        self.step: int = checkpoint.get("steps", 0)
        self._length: int = checkpoint.get("log", 0)
        self._earlier_seconds: float = checkpoint.get("seconds", 0.0)
        self.epoch_losses: tuple[float, int] = tuple(checkpoint.get("epoch_losses", (0.0, 0)))
        """The sum of the total losses of the current epoch, and the number of its steps."""
        self._started = self._saved = self._read = time.monotonic()
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()

    def __enter__(self) -> "TrainingLog":
        if self.accelerator.is_main_process:
            lines = self.path.read_bytes()[: self._length] if self._length else b""
            write_atomically(self.path, lines)
            self._digest.update(lines)
            self._file = self.path.open("ab")
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if self._file:
            with suppress(OSError) if error else errors_name(self.path):
                self._file.close()

    def read(self, losses: Sequence[Mapping[str, Tensor]], *, stop: bool = False) -> BlockLosses:
        """Wait for the losses of some steps, and return them summed over all processes.

        Args:
            losses: For each step the losses of this process's rows by term, with their weighted sum as `total`.
            stop: Whether this process has received a signal to stop.
        """
        now, is_main = time.monotonic(), self.accelerator.is_main_process
        due, seconds = now - self._saved >= self.save_every and is_main, (now - self._read) * is_main
        values = [value for of_step in losses for value in of_step.values()]
        local = torch.stack([*values, *(values[-1].new_tensor(float(flag)) for flag in (due, stop, seconds))])
        *sums, any_due, any_stop, seconds = self.accelerator.reduce(local, "sum").tolist()
        self._read, summed = time.monotonic(), iter(sums)
        by_step = tuple({name: next(summed) for name in of_step} for of_step in losses)
        return BlockLosses(values=by_step, due=bool(any_due), stop=bool(any_stop), seconds=seconds)

    def write(self, losses: Mapping[str, float], position: Mapping[str, Any], *, may_overflow: bool = False) -> None:
        """Log the losses of a step.

        Args:
            losses: The losses by term, and `total`.
            position: The fields that say where the step is in its stage, and its learning rate.
            may_overflow: The step will be skipped if its gradients overflow, so its loss may be infinite.

        Raises:
            DivergenceError: The total loss is not finite, and it may not overflow.
        """
        if not math.isfinite(losses["total"]) and not may_overflow:
            listed = ", ".join(f"{name} {value:g}" for name, value in losses.items())
            raise DivergenceError(
                f"the loss is not finite at step {self.step + 1}: {listed}; try a lower learning rate"
            )
        self.step += 1
        self.epoch_losses = self.epoch_losses[0] + losses["total"], self.epoch_losses[1] + 1
        self._write_line({**position, "losses": _finite_or_none(losses)})

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
        with errors_name(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
        self._saved = time.monotonic()
        return self._file.tell()

    @property
    def digest(self) -> str:
        """The SHA-256 of all lines so far, by which a checkpoint recognizes its log."""
        return self._digest.hexdigest()

    def elapsed(self) -> float:
        """Return the seconds that the run has taken so far, those before it was resumed included."""
        return self._earlier_seconds + time.monotonic() - self._started

    def _write_line(self, data: dict[str, Any]) -> None:
        if self._file:
            data = {"step": self.step, **data, "seconds": round(self.elapsed(), 3)}
            line = json.dumps(data).encode() + b"\n"
            self._digest.update(line)
            with errors_name(self.path):
                self._file.write(line)
            self._on_line(data)


def _finite_or_none(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
