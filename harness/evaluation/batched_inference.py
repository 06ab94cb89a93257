"""A function over all rows of a split, batch by batch, shared out among processes."""

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
from zoo.tasks.base import Batch, Split
from zoo.trusted_code import THREAD_SAFE_FORWARD, comes_from

BATCH_SIZE = 128
T = TypeVar("T")


def map_batches(
    split: Split,
    function: Callable[[Batch], T],
    accelerator: Accelerator,
    progress: Callable[[int, int], None] = lambda done, total: None,
    size: int = BATCH_SIZE,
    threads: int = 1,
) -> list[tuple[Sequence[int], T]]:
    """What the function makes of each batch of at most `size` rows, after the rows that it is of; on every process.

    Each batch is computed once, by one of them. A batch for which memory runs out is computed in halves.

    The batches are the same whatever the number of processes, so what is computed is too, to the last digit. With
    several `threads` as many batches are computed at once, each on a core of its own: a core then never waits for
    another at the end of every operation. The function must not care which thread calls it; the split is read by one
    thread at a time.
    """
    processes, done, reading = accelerator.num_processes, 0, Lock()
    threads = threads if getattr(split, "fixed", False) else 1  # random transforms are drawn in one order only
    mine: list[tuple[Sequence[int], T]] = []
    shares = batches(split, size)[accelerator.process_index :: processes]
    with _threads(min(threads, len(shares))) as mapped:
        for found in mapped(lambda rows: _in_memory(split, function, accelerator, rows, reading), shares):
            mine += found
            done += sum(len(rows) for rows, _ in found) * processes
            progress(min(done, len(split)), len(split))
    return gather_object(mine) if processes > 1 else mine


@contextmanager
def _threads(number: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` that works in so many threads, which share the cores evenly; for one it is Python's own."""
    if number < 2:
        yield map
        return
    cores = torch.get_num_threads()
    pool = ThreadPoolExecutor(number)
    torch.set_num_threads(max(cores // number, 1))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(cores)


def in_order(swept: Iterable[tuple[Sequence[int], Tensor]]) -> Tensor:
    """What was computed of each row, `(B, ...)` a batch, as one tensor `(N, ...)` in the order of the split.

    Raises RuntimeError where shapes differ from batch to batch.
    """
    pairs = list(swept)
    rows = torch.tensor([row for rows, _ in pairs for row in rows])
    together = torch.cat([found for _, found in pairs])
    return torch.empty_like(together).index_copy_(0, rows, together)


def _in_memory(
    split: Split, function: Callable[[Batch], T], accelerator: Accelerator, rows: Sequence[int], reading: Lock
) -> list[tuple[Sequence[int], T]]:
    """What the function makes of some rows, of as many at once as fit in memory."""
    try:
        with reading:
            batch = split.batch(rows, accelerator.device)
        return [(rows, function(batch))]
    except RuntimeError as error:
        if len(rows) < 2 or not should_reduce_batch_size(error):
            raise
    clear_device_cache(garbage_collection=True)
    middle = len(rows) // 2
    return [
        one
        for half in (rows[:middle], rows[middle:])
        for one in _in_memory(split, function, accelerator, half, reading)
    ]


def threads_for(model: nn.Module, device: torch.device) -> int:
    """How many threads may run a model at once: on a CPU one for each core, of a model that keeps nothing of a forward.

    That holds of torchvision's, this project's and transformers' models, but for rotary embeddings that are stretched
    to the length they meet; of other code it is not known.
    """
    known = comes_from(model, THREAD_SAFE_FORWARD)
    known &= all(getattr(module, "rope_type", "default") == "default" for module in model.modules())
    return torch.get_num_threads() if device.type == "cpu" and known else 1
