"""A function over a whole split in its order, shared out among processes."""

from collections.abc import Callable
from typing import TypeVar

from accelerate import Accelerator
from accelerate.utils import gather_object

from zoo.tasks.base import Batch, Split

BATCH_SIZE = 128
T = TypeVar("T")


def sweep(
    split: Split,
    function: Callable[[Batch], T],
    accelerator: Accelerator,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[T]:
    """What the function makes of each batch, in order, on every process; each batch is computed once, by one of them.

    The batches are the same whatever the number of processes, so what is computed is too, to the last digit.
    """
    starts = range(0, len(split), BATCH_SIZE)
    mine: list[tuple[int, T]] = []
    for start in starts[accelerator.process_index :: accelerator.num_processes]:
        batch = split.batch(range(start, min(start + BATCH_SIZE, len(split))))
        mine.append((start, function(batch.to(accelerator.device))))
        progress(min(start + BATCH_SIZE * accelerator.num_processes, len(split)), len(split))
    everything = gather_object(mine) if accelerator.num_processes > 1 else mine
    return [result for _, result in sorted(everything, key=lambda pair: pair[0])]
