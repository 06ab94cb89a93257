"""The device and the precision of a contender, and the clock of its steps.

A point of a case that is measured in several precisions names model and precision before the rows: `base bf16 mnli:64`.
"""

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate.utils import convert_outputs_to_fp32
from torch import nn

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
WARM = 10
"""The steps on a CUDA device before the clock starts: kernels are chosen, and steps are captured."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The device, model, precision and rows of a contender at a point."""

    device: str = "cpu"
    model: str = ""
    precision: str = "fp32"
    rows: str = ""
    """The rows, as `benchmarks.speed.data` names them."""

    def at(self, point: str) -> "Setting":
        """Return the setting at a point, which may name a model and a precision before its rows."""
        *named, rows = point.split(" ")
        if not named:
            return replace(self, rows=rows)
        model, precision = named
        return replace(self, model=model, precision=precision, rows=rows)


def set_tf32(precision: str) -> None:
    """Allow TF32 in this process if the precision is `tf32`, else forbid it; torch allows it for convolutions."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"


def in_precision(model: nn.Module, device: str, precision: str) -> nn.Module:
    """Make a model compute in bf16 or fp16 as accelerate and the Trainer do: by autocast, with outputs in fp32."""
    if precision in HALF:
        forward: Any = torch.autocast(device, HALF[precision])(model.forward)
        model.forward = convert_outputs_to_fp32(forward)
    return model


class StepClock:
    """Records when steps end.

    Attributes:
        marks: Pairs of the number of finished steps and the time, of every step on a CPU. On a CUDA device only those
            of step `WARM` and of the last one, for which the device finishes its work: to wait after every step would
            slow down a program that never waits.
    """

    def __init__(self, device: str, steps: int) -> None:
        self.waits_at = {min(WARM, max(steps // 2, 1)), steps} if device != "cpu" else None
        self.marks: list[tuple[int, float]] = []

    def mark(self, done: int) -> None:
        """Note that this number of steps is finished."""
        if self.waits_at is None:
            self.marks.append((done, time.perf_counter()))
            return
        reached = {step for step in self.waits_at if step <= done}
        if reached:
            torch.cuda.synchronize()
            self.marks.append((done, time.perf_counter()))
            self.waits_at -= reached
