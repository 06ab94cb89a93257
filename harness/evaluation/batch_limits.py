"""Limit the rows and tokens of an evaluation batch by the device and its free memory.

Why: a CPU is fastest with batches that fit in its caches. A GPU needs batches that are large enough for all its cores,
and how many rows fit in its memory depends on the model.

When: on a CUDA device, the first batch is small, and the memory that it allocates limits the batches after it. On any
other device, with several processes, and during a training, the limits are constants: a training that is repeated must
compute the same digits, whatever memory is free.

Effect: rows are grouped differently, so their results differ by the rounding of the kernels. When memory runs out, the
limits of all remaining batches are halved. The record of a run has the limits that were used in the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

import torch
from torch import Tensor

from zoo.device_memory import free_memory
from zoo.tasks.base import Batch

MOST_TOKENS = 32_768
"""The most tokens of a batch on a GPU. With them MiniLM-L6 reached 44 % of an H100's rate (docs/speed-gpu.md)."""
MOST_ROWS = 2048
"""The most rows of a batch on a GPU, if its rows are not texts."""
MOST_VALUES = 2**26
"""The most input values of a batch on a GPU, such as pixels: 256 MiB in fp32, which the CPU prepares."""
BATCH_COST = 1024
"""The cost of one more batch on a GPU, in tokens. Batches that are filled up to `MOST_TOKENS` whatever the lengths are
would be padding to a third in a split of 1,600 pairs of sentences."""
SHARE = 0.5
"""The share of the free memory that the tensors of a batch may fill."""


@dataclass(frozen=True, kw_only=True)
class BatchLimits:
    """The most rows of a batch, and the most tokens of a batch of texts, with padding."""

    rows: int
    tokens: int = 512
    batch_cost: int = 0
    """The number of tokens that take as long to compute as one more batch; 0 fills every batch up to the limits."""

    def data(self, *, of_texts: bool) -> dict[str, int]:
        """Return the limits as plain data for the record of a run; the tokens only for texts."""
        return {"rows": self.rows} | ({"tokens": self.tokens} if of_texts else {})


FIRST = BatchLimits(rows=8, tokens=2048)
"""The limits of the first batch on a GPU, by which the memory of further batches is estimated."""


FIXED_ROWS, FIXED_TEXTS = BatchLimits(rows=256), BatchLimits(rows=8192, tokens=8192, batch_cost=BATCH_COST)
"""The limits of batches on a GPU whose free memory is not measured: of other rows, and of texts. With those of texts a
BERT-base reached 66 % of an H100's rate."""


class Memory(Protocol):
    """The memory of a device."""

    def free(self) -> int:
        """Return the free bytes."""
        ...

    def allocated(self) -> int:
        """Return the bytes of all allocations so far, freed or not."""
        ...


@dataclass(frozen=True)
class CudaMemory:
    """The memory of a CUDA device.

    The sum of all allocations of a forward pass is an upper bound of its peak. The peak itself can only be measured by
    resetting the statistics that the record of a run reports.
    """

    device: torch.device

    def free(self) -> int:
        return free_memory(self.device)

    def allocated(self) -> int:
        return int(torch.cuda.memory_stats(self.device).get("allocated_bytes.all.allocated", 0))


def memory_of(device: torch.device) -> Memory | None:
    """Return the memory of a CUDA device; None for other devices, whose free memory torch cannot report."""
    return CudaMemory(device) if device.type == "cuda" else None


class AdaptiveLimits:
    """The limits of the batches that remain. Several threads may use them.

    Args:
        limits: The limits of the first batch.
        lengths: The number of tokens of every row; None if the rows are not texts.
        memory: The memory by which the limits of the batches after the first one are chosen; None to keep the limits.
    """

    def __init__(self, limits: BatchLimits, lengths: Sequence[int] | None = None, memory: Memory | None = None) -> None:
        self.limits, self.memory, self._first, self._lengths, self._lock = limits, memory, limits, lengths, Lock()

    def fit_to_memory(self, rows: Sequence[int], allocated: int, values: int) -> None:
        """Raise the limits to what fits in the free memory, unless they were halved already.

        Args:
            rows: The rows of the first batch. If they are texts, no other row is longer.
            allocated: The bytes that were allocated for them.
            values: The input values of a row.
        """
        if self.memory is None or self.limits is not self._first:
            return
        rows_that_fit = SHARE * self.memory.free() * len(rows) / max(allocated, 1)
        if self._lengths is None:
            most = max(min(MOST_ROWS, MOST_VALUES // values), self.limits.rows)
            self.limits = replace(self.limits, rows=_between(self.limits.rows, int(rows_that_fit), most))
        else:
            fitting = int(rows_that_fit * self._lengths[rows[0]])
            tokens = _between(self.limits.tokens, fitting, MOST_TOKENS)
            self.limits = BatchLimits(rows=tokens, tokens=tokens, batch_cost=BATCH_COST)

    def divide(self, rows: Sequence[int]) -> list[Sequence[int]]:
        """Return the rows of a batch, the longest first, in as few parts as the limits allow."""
        size = self.limits.rows
        if self._lengths is not None:
            size = min(size, max(self.limits.tokens // max(self._lengths[rows[0]], 1), 1))
        return [rows] if len(rows) <= size else [rows[start : start + size] for start in range(0, len(rows), size)]

    def halve(self, rows: Sequence[int]) -> None:
        """Lower the limits to half of a batch that does not fit in memory; another thread may have done so already."""
        with self._lock:
            if len(self.divide(rows)) > 1:
                return
            half = len(rows) // 2
            if self._lengths is None:
                self.limits = replace(self.limits, rows=half)
            else:
                self.limits = replace(self.limits, tokens=half * self._lengths[rows[0]])


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))


def input_values(batch: Batch) -> int:
    """Return the number of input values of a batch, at least 1."""
    inputs = [batch.inputs] if isinstance(batch.inputs, Tensor) else batch.inputs.values()
    return max(sum(value.numel() for value in inputs), 1)
