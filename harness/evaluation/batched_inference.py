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
from threading import Lock
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor, nn

from harness.evaluation.batching import batches
from zoo.progress import Step, ignore_step
from zoo.tasks.base import Batch, Split, read_batch
from zoo.trusted_code import THREAD_SAFE_FORWARD, comes_from

BATCH_SIZE = 128
T = TypeVar("T")


def map_batches(
    split: Split,
    function: Callable[[Batch], T],
    accelerator: Accelerator,
    progress: Step = ignore_step,
    size: int = BATCH_SIZE,
    threads: int = 1,
    *,
    equal_lengths: bool = False,
) -> list[tuple[Sequence[int], T]]:
    """Apply a function to each batch of a split, and return all results on every process.

    Each batch is computed once, by one process. A batch that does not fit in memory is computed in halves. The
    number of processes changes neither the batches nor the last digit of the results.

    Args:
        split: The rows. One thread at a time reads from it.
        function: Called with each batch; with several threads it must be thread-safe.
        accelerator: The device of the batches, and the processes that share the work.
        progress: Called with the number of finished rows and the number of all rows.
        size: The most rows of a batch.
        threads: How many batches are computed at the same time; the threads share the cores evenly. Splits with random
            transforms are read by a single thread, because the order of their random numbers matters.
        equal_lengths: As in `batches`.

    Returns:
        The row numbers of each batch, and the result for it.
    """
    processes, done, read_lock = accelerator.num_processes, 0, Lock()
    threads = threads if getattr(split, "fixed", False) else 1
    results: list[tuple[Sequence[int], T]] = []
    shares = batches(split, size, equal_lengths=equal_lengths)[accelerator.process_index :: processes]
    with _thread_map(min(threads, len(shares))) as thread_map:
        for parts in thread_map(lambda rows: _in_memory(split, function, accelerator, rows, read_lock), shares):
            results += parts
            done += sum(len(rows) for rows, _ in parts) * processes
            progress(min(done, len(split)), len(split))
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

    Raises:
        RuntimeError: The shapes of two batches differ in more than the number of rows.
    """
    pairs = list(results)
    rows = torch.tensor([row for rows, _ in pairs for row in rows])
    values = torch.cat([value for _, value in pairs])
    return torch.empty_like(values).index_copy_(0, rows, values)


def _in_memory(
    split: Split, function: Callable[[Batch], T], accelerator: Accelerator, rows: Sequence[int], read_lock: Lock
) -> list[tuple[Sequence[int], T]]:
    """Apply the function to these rows, at once if they fit in memory, else in halves."""
    try:
        with read_lock:
            batch = read_batch(split, rows, accelerator.device)
        return [(rows, function(batch))]
    except RuntimeError as error:
        if len(rows) < 2 or not should_reduce_batch_size(error):
            raise
    clear_device_cache(garbage_collection=True)
    middle = len(rows) // 2
    return [
        result
        for half in (rows[:middle], rows[middle:])
        for result in _in_memory(split, function, accelerator, half, read_lock)
    ]


def threads_for(model: nn.Module, device: torch.device) -> int:
    """Return how many threads may run a model at the same time: one for each core on a CPU, else 1.

    The models of this project, torchvision and transformers are thread-safe, except those whose rotary embeddings are
    rescaled to the longest input seen. Models of other packages run in one thread.
    """
    is_safe = comes_from(model, THREAD_SAFE_FORWARD)
    is_safe &= all(getattr(module, "rope_type", "default") == "default" for module in model.modules())
    return torch.get_num_threads() if device.type == "cpu" and is_safe else 1
