"""Apply a function to all rows of a split, batch by batch, with several threads or processes.

Why: on a CPU, an operation on a small batch is too short for several cores, which wait for each other at its end. If
each core computes a separate batch, no core waits.

When: threads are used on a CPU, for models that store nothing of a forward pass and splits without random transforms.

Effect: the batches do not depend on the number of processes or threads, so neither do the results, beyond the rounding
of kernels that split their work by the number of cores.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor, nn

from harness.evaluation.batch_limits import (
    FIRST,
    FIXED_ROWS,
    FIXED_TEXTS,
    AdaptiveLimits,
    BatchLimits,
    Memory,
    input_values,
    memory_of,
)
from harness.evaluation.batching import batches, lengths_of
from zoo.progress import Step, ignore_step
from zoo.tasks.base import Batch, Split, read_batch
from zoo.trusted_code import THREAD_SAFE_FORWARD, comes_from

BATCH_SIZE = 128
S = TypeVar("S")
T = TypeVar("T")
Results = list[tuple[Sequence[int], T]]
"""The row numbers of each batch, and the result for it."""


def map_batches(
    split: Split,
    function: Callable[[Batch], T],
    accelerator: Accelerator,
    progress: Step = ignore_step,
    limits: AdaptiveLimits | None = None,
    threads: int = 1,
    *,
    equal_lengths: bool = False,
) -> Results[T]:
    """Apply a function to each batch of a split, and return all results on every process.

    Each batch is computed once, by one process. If a batch does not fit in memory, it and all batches after it are
    computed in halves. The number of processes changes neither the batches nor the last digit of the results.

    Args:
        split: The rows. One thread at a time reads from it.
        function: Called with each batch; with several threads it must be thread-safe.
        accelerator: The device of the batches, and the processes that share the work.
        progress: Called with the number of rows whose work is finished, or waits on a GPU, and the number of all rows.
        limits: The limits of a batch, `BATCH_SIZE` rows by default.
        threads: How many batches are computed at the same time; the threads share the cores evenly. Splits with random
            transforms are read by a single thread, because the order of their random numbers matters.
        equal_lengths: As in `batches`.

    Returns:
        The row numbers of each batch, and the result for it.
    """
    limits = limits or AdaptiveLimits(BatchLimits(rows=BATCH_SIZE), lengths_of(split))
    work, results = _Work(split, function, accelerator.device, limits, Lock()), list[tuple[Sequence[int], T]]()
    if limits.memory is not None:
        results += work.first_batch(batches(split, limits.limits, equal_lengths=equal_lengths)[0], limits.memory)
    start = sum(len(rows) for rows, _ in results)
    shares = batches(split, limits.limits, equal_lengths=equal_lengths, start=start)
    threads = min(threads if getattr(split, "fixed", False) else 1, -(-len(shares) // accelerator.num_processes))
    return results + map_shares(shares, work, accelerator, progress, threads, total=len(split), done=start)


def map_shares(
    shares: Sequence[S],
    work: Callable[[S], Results[T]],
    accelerator: Accelerator,
    progress: Step,
    threads: int,
    *,
    total: int,
    done: int = 0,
) -> Results[T]:
    """Do each piece of work in one thread of one process, and return all results on every process.

    Args:
        shares: The pieces of work.
        work: Returns the rows of a piece, or of its parts, each with the result.
        accelerator: The processes.
        progress: As in `map_batches`.
        threads: The number of threads of a process.
        total: The number of all rows.
        done: The number of rows that are finished before.
    """
    processes, results = accelerator.num_processes, list[tuple[Sequence[int], T]]()
    progress(done, total)
    with _thread_map(threads) as thread_map:
        for parts in thread_map(work, shares[accelerator.process_index :: processes]):
            results += parts
            done += sum(len(rows) for rows, _ in parts) * processes
            progress(min(done, total), total)
    return gather_object(results) if processes > 1 else results


@contextmanager
def _thread_map(threads: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield a `map` that runs in several threads which share the cores evenly; for one thread, the built-in `map`."""
    if threads < 2:
        yield map
        return
    cores = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads)
    torch.set_num_threads(max(cores // threads, 1))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(cores)


def in_order(results: Iterable[tuple[Sequence[int], Tensor]]) -> Tensor:
    """Join the results of `map_batches`, one tensor `(B, ...)` a batch, to `(N, ...)` in the order of the split.

    The result is on the CPU: a GPU copies it once.

    Raises:
        RuntimeError: The shapes of two batches differ in more than the number of rows.
    """
    pairs = list(results)
    rows = torch.tensor([row for rows, _ in pairs for row in rows])
    values = torch.cat([value for _, value in pairs]).cpu()
    return torch.empty_like(values).index_copy_(0, rows, values)


@dataclass(frozen=True)
class _Work(Generic[T]):
    """Computes the rows of one batch, in parts that fit in memory."""

    split: Split
    function: Callable[[Batch], T]
    device: torch.device
    limits: AdaptiveLimits
    read_lock: Lock

    def first_batch(self, rows: Sequence[int], memory: Memory) -> Results[T]:
        """Compute the batch that decides the limits of the others."""
        row, before = read_batch(self.split, rows[:1], self.device), memory.allocated()
        results = self(rows)
        self.limits.fit_to_memory(rows, memory.allocated() - before, input_values(row))
        return results

    def __call__(self, rows: Sequence[int]) -> Results[T]:
        results: Results[T] = []
        remaining = [rows]
        while remaining:
            first, *later = remaining
            parts = self.limits.divide(first)
            if len(parts) > 1:
                remaining = [*parts, *later]
                continue
            try:
                results.append((first, self._compute(first)))
                remaining = later
                continue
            except RuntimeError as error:
                if len(first) < 2 or not should_reduce_batch_size(error):
                    raise
            clear_device_cache(garbage_collection=True)  # outside the handler, whose traceback refers to tensors
            self.limits.halve(first)
        return results

    def _compute(self, rows: Sequence[int]) -> T:
        with self.read_lock:
            batch = read_batch(self.split, rows, self.device)
        return self.function(batch)


def limits_for(split: Split, rows: int, accelerator: Accelerator, *, fixed: bool = False) -> AdaptiveLimits:
    """Return the limits of the batches of a split.

    Args:
        split: The rows.
        rows: The most rows of a batch on a CPU. One row means that rows cannot share a batch, on any device.
        accelerator: The device. With several processes its memory is not measured, because all must form equal batches.
        fixed: Whether the limits must not depend on the free memory. They are halved all the same where it runs out.
    """
    lengths, memory = lengths_of(split), memory_of(accelerator.device)
    if memory is None or rows == 1:
        return AdaptiveLimits(BatchLimits(rows=rows), lengths)
    if fixed or accelerator.num_processes > 1:
        return AdaptiveLimits(FIXED_ROWS if lengths is None else FIXED_TEXTS, lengths)
    first = FIRST if lengths is None else BatchLimits(rows=FIRST.tokens, tokens=FIRST.tokens)
    return AdaptiveLimits(first, lengths, memory)


def threads_for(model: nn.Module, device: torch.device) -> int:
    """Return how many threads may run a model at the same time: one for each core on a CPU, else 1.

    The models of this project, torchvision and transformers are thread-safe, except those whose rotary embeddings are
    rescaled to the longest input seen. Models of other packages run in one thread.
    """
    is_safe = comes_from(model, THREAD_SAFE_FORWARD)
    is_safe &= all(getattr(module, "rope_type", "default") == "default" for module in model.modules())
    return torch.get_num_threads() if device.type == "cpu" and is_safe else 1
