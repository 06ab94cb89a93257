"""Group the rows of a split into batches with little padding.

Why: the texts of a batch are padded to its longest one, so the model computes tokens that carry no information. Texts
of similar length need almost no padding. A limit on the tokens of a batch gives every batch about the same work, and
keeps its tensors in the processor's caches.

When: splits that know the token counts of their rows. Other splits are batched in their order.

Effect: the padding of a row changes its results only by rounding, as it is masked. For the models whose results it
would change (`harness.models.text_inputs`), batches have rows of equal length.
"""

import math
from collections.abc import Sequence

from harness.evaluation.batch_limits import BatchLimits
from zoo.tasks.base import Split

PART_COST = 48
"""The cost of one more part of a training batch, as a number of tokens that take as long to compute."""


def batches(split: Split, limits: BatchLimits, *, equal_lengths: bool = False, start: int = 0) -> list[Sequence[int]]:
    """Group all rows of a split into batches, each row in one batch.

    Texts are sorted by length, the longest first. A batch of texts stays within the limit of tokens, with padding, or
    has a single row. If a batch has a cost, the total cost of padding and batches is the lowest. Rows of other splits
    stay in their order.

    Args:
        split: The split to group.
        limits: The most rows and tokens of a batch.
        equal_lengths: Put only texts of equal length into a batch, so that there is no padding.
        start: Leave out this number of rows, the first ones in the order of the batches.

    Returns:
        The row numbers of each batch.
    """
    lengths, size = lengths_of(split), limits.rows
    if lengths is None:
        return [range(first, min(first + size, len(split))) for first in range(start, len(split), size)]
    ordered = sorted(range(len(split)), key=lambda row: -lengths[row])[start:]
    if limits.batch_cost and ordered and not equal_lengths:
        groups = by_length(ordered, lengths, limits.batch_cost)
        return [part for group in groups for part in _even_parts(group, limits.tokens // max(lengths[group[0]], 1))]
    groups = []
    for row in ordered:
        longest = lengths[groups[-1][0]] if groups else 0
        is_full = not groups or len(groups[-1]) == size or (len(groups[-1]) + 1) * longest > limits.tokens
        if is_full or (equal_lengths and lengths[row] != longest):
            groups.append([])
        groups[-1].append(row)
    return list(groups)


def by_length(rows: Sequence[int], lengths: Sequence[int], part_cost: int | None = None) -> list[list[int]]:
    """Split a training batch, or a whole split, into parts of similar length, at the lowest total cost.

    The cost of a part is its number of tokens with padding, plus `part_cost`. The result is the optimum over all ways
    to cut the sorted rows between two different lengths, found by dynamic programming.

    Args:
        rows: The rows of the batch.
        lengths: The token counts of all rows of the split.
        part_cost: The cost of one more part; `PART_COST` by default.

    Returns:
        The rows of each part; the longest rows come first.
    """
    ordered, part_cost = sorted(rows, key=lambda row: -lengths[row]), PART_COST if part_cost is None else part_cost
    best: dict[int, tuple[int, list[list[int]]]] = {0: (0, [])}  # number of rows -> lowest cost, its parts
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or lengths[ordered[end]] != lengths[ordered[end - 1]]:
            costs = {start: cost + (end - start) * lengths[ordered[start]] for start, (cost, _) in best.items()}
            start = min(costs, key=lambda start: costs[start])
            best[end] = (costs[start] + part_cost, [*best[start][1], ordered[start:end]])
    return best[len(ordered)][1]


def _even_parts(rows: list[int], most: int) -> list[list[int]]:
    """Cut rows into as few parts as possible, of about equal size; a part has at most `most` rows, or one."""
    parts = math.ceil(len(rows) / max(most, 1))
    return [rows[len(rows) * part // parts : len(rows) * (part + 1) // parts] for part in range(parts)]


def lengths_of(split: Split) -> Sequence[int] | None:
    """Return the number of tokens of each row of a split of texts; None for any other split."""
    lengths: Sequence[int] | None = getattr(split, "lengths", None)
    return lengths
