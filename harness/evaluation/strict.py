"""Strict evaluation: batches of fixed shapes, so that the result of a row depends on that row alone, bit for bit.

Why: kernels round differently for batches of different shapes. So the last digits of a row's logits change with the
batch size, the order of the rows, and the lengths of the other rows.

When: with `--strict`, and to check other evaluations on devices other than the CPU (`harness.evaluation.fast_path`).

Effect: a text is padded to a length that depends on this text alone, and all batches of one length have the same number
of rows. The last of them is filled up with copies of a row, whose results are dropped. On one device and with the same
number of threads, equal rows have equal logits. docs/evaluation.md has the cost.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor, nn

from harness.evaluation.batch_limits import BatchLimits
from harness.evaluation.batching import lengths_of
from harness.models.text_inputs import depends_on_padding, position_count
from zoo.tasks.base import Batch, Split, Task, read_batch
from zoo.tasks.splits import TextSplit

MULTIPLE = 16
"""Texts are padded to a multiple of this number of tokens, and the rows of a batch of texts are a multiple of it. Some
kernels for few rows, such as MKL's products with the two or three outputs of a classifier, round the last rows of other
numbers differently from the first."""
ON_CPU, ON_GPU = BatchLimits(rows=128, tokens=512), BatchLimits(rows=256, tokens=8192)
"""The rows of a strict batch, and the most tokens of one. They must not depend on the split or the free memory."""


@dataclass(frozen=True, kw_only=True)
class FixedBatch:
    """Rows of a batch of a fixed shape.

    Attributes:
        rows: The rows, at most `size`.
        size: The number of rows of the batch.
        length: The number of tokens of every row; None for rows that are not padded.
    """

    rows: Sequence[int]
    size: int
    length: int | None = None


def strict_limits(device: torch.device, task: Task, split: Split) -> BatchLimits:
    """Return the number of rows and tokens of a strict batch on a device.

    Images of a segmentation have different sizes, and padding changes predictions, so each is a batch of its own. So is
    every row of a task whose `batch_size` is 1, because its rows may differ in shape; texts never do.
    """
    if task.kind == "segmentation" or (task.batch_size == 1 and lengths_of(split) is None):
        return BatchLimits(rows=1)
    return ON_CPU if device.type == "cpu" else ON_GPU


def fixed_batches(
    split: Split, rows: Sequence[int], padded_length: Callable[[int], int | None], limits: BatchLimits
) -> list[FixedBatch]:
    """Group rows into batches of fixed shapes, the longest texts first.

    Texts without padding have batches of their own: transformers computes a batch that has none by other kernels,
    without a mask.

    Args:
        split: The split.
        rows: The rows of the split to compute.
        padded_length: Returns the number of tokens that a text of some length is padded to, or None to leave it.
        limits: The number of rows of a batch, and the most tokens of a batch of texts.
    """
    lengths, groups = lengths_of(split), dict[tuple[int, bool], list[int]]()
    shortest = split.shortest if isinstance(split, TextSplit) else lengths
    for row in rows:
        tokens = 0 if lengths is None else lengths[row]
        length = padded_length(tokens) or tokens
        is_padded = length > (0 if shortest is None else shortest[row])
        groups.setdefault((length, is_padded), []).append(row)
    return [batch for key in sorted(groups, reverse=True) for batch in _of_one_length(groups[key], key[0], limits)]


def relative_work(split: Split, batches: Sequence[FixedBatch]) -> float:
    """Return the number of tokens, or of rows that are no texts, that batches compute for each that they contain."""
    lengths = lengths_of(split)
    needed = sum(1 if lengths is None else lengths[row] for batch in batches for row in batch.rows)
    return round(sum(batch.size * (batch.length or 1) for batch in batches) / needed, 2)


def padded_length_for(model: nn.Module, split: Split) -> Callable[[int], int | None]:
    """Return the function from the length of a text to its length with padding.

    It depends on the model and the options of the task, and on no other text. Every text gets padding unless it has the
    most tokens, so that few texts need batches without padding. The function returns None for texts that must not be
    padded: those of a user's split, and for models whose results depend on padding.
    """
    if not isinstance(split, TextSplit) or depends_on_padding(model):
        return lambda length: None
    most = min(split.max_length, position_count(model) or split.max_length)
    return lambda length: max(length, min((length // MULTIPLE + 1) * MULTIPLE, most))


@dataclass(frozen=True)
class FixedBatchWork:
    """Computes the rows of one fixed batch."""

    split: Split
    function: Callable[[Batch], Tensor]
    device: torch.device
    read_lock: Lock

    def __call__(self, batch: FixedBatch) -> list[tuple[Sequence[int], Tensor]]:
        rows = [*batch.rows, *[batch.rows[-1]] * (batch.size - len(batch.rows))]
        with self.read_lock:
            if isinstance(self.split, TextSplit) and batch.length is not None:
                read = self.split.batch(rows, self.device, length=batch.length)
            else:
                read = read_batch(self.split, rows, self.device)
        return [(batch.rows, self.function(read)[: len(batch.rows)])]


def _of_one_length(rows: Sequence[int], length: int, limits: BatchLimits) -> Iterator[FixedBatch]:
    size = limits.rows
    if length:
        multiple = min(MULTIPLE, limits.rows)
        size = max(min(limits.tokens // length, limits.rows) // multiple, 1) * multiple
    for start in range(0, len(rows), size):
        yield FixedBatch(rows=rows[start : start + size], size=size, length=length or None)
