"""A function over a whole split in its order, shared out among processes."""

from collections.abc import Callable
from typing import TypeVar

from accelerate import Accelerator
from accelerate.utils import gather_object
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from zoo.tasks.base import Batch, Split

BATCH_SIZE = 128
T = TypeVar("T")


def sweep(
    split: Split,
    function: Callable[[Batch], T],
    accelerator: Accelerator,
    progress: Callable[[int, int], None] = lambda done, total: None,
    size: int = BATCH_SIZE,
) -> list[T]:
    """What the function makes of each batch of `size` rows, in order, on every process.

    Each batch is computed once, by one of them. A batch for which memory runs out is computed in halves.

    The batches are the same whatever the number of processes, so what is computed is too, to the last digit.
    """
    starts = range(0, len(split), size)
    mine: list[tuple[int, T]] = []
    for start in starts[accelerator.process_index :: accelerator.num_processes]:
        mine += _in_memory(split, function, accelerator, start, min(start + size, len(split)))
        progress(min(start + size * accelerator.num_processes, len(split)), len(split))
    everything = gather_object(mine) if accelerator.num_processes > 1 else mine
    return [result for _, result in sorted(everything, key=lambda pair: pair[0])]


def _in_memory(
    split: Split, function: Callable[[Batch], T], accelerator: Accelerator, start: int, end: int
) -> list[tuple[int, T]]:
    """What the function makes of some rows, with the number of the first, of as many at once as fit in memory."""
    try:
        return [(start, function(split.batch(range(start, end), accelerator.device)))]
    except RuntimeError as error:
        if end - start < 2 or not should_reduce_batch_size(error):
            raise
    clear_device_cache(garbage_collection=True)
    middle = (start + end) // 2
    halves = [(start, middle), (middle, end)]
    return [one for half in halves for one in _in_memory(split, function, accelerator, *half)]
