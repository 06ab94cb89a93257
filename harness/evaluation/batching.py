"""Group the rows of a split into batches with little padding.

Why: the texts of a batch are padded to its longest one, so the model computes tokens that carry no information. Texts
of similar length need almost no padding. A limit on the tokens of a batch gives every batch about the same work, and
keeps its tensors in the processor's caches.

When: splits that know the token counts of their rows. Other splits are batched in their order.

Effect: the padding of a row changes its results only by rounding, as it is masked. For the models whose results it
would change (`harness.models.text_inputs`), batches have rows of equal length.
"""

from collections.abc import Sequence

from zoo.tasks.base import Split

TOKENS_PER_BATCH = 512
"""The most tokens of an evaluation batch, with padding; docs/speed.md has the measurement."""
PART_COST = 48
"""The cost of one more part of a training batch, as a number of tokens that take as long to compute."""


def batches(split: Split, size: int, *, equal_lengths: bool = False) -> list[Sequence[int]]:
    """Group all rows of a split into batches, each row in one batch.

    Texts are sorted by length, the longest first. A batch of texts has at most `TOKENS_PER_BATCH` tokens with padding,
    or a single row. Rows of other splits stay in their order.

    Args:
        split: The split to group.
        size: The most rows of a batch.
        equal_lengths: Put only texts of equal length into a batch, so that there is no padding.

    Returns:
        The row numbers of each batch.
    """
    lengths = lengths_of(split)
    if lengths is None:
        return [range(start, min(start + size, len(split))) for start in range(0, len(split), size)]
    groups: list[list[int]] = []
    for row in sorted(range(len(split)), key=lambda row: -lengths[row]):
        longest = lengths[groups[-1][0]] if groups else 0
        is_full = not groups or len(groups[-1]) == size or (len(groups[-1]) + 1) * longest > TOKENS_PER_BATCH
        if is_full or (equal_lengths and lengths[row] != longest):
            groups.append([])
        groups[-1].append(row)
    return list(groups)


def by_length(rows: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Split a training batch into parts of similar length, at the lowest total cost.

    The cost of a part is its number of tokens with padding, plus `PART_COST`. The result is the optimum over all ways
    to cut the sorted rows between two different lengths, found by dynamic programming.

    Args:
        rows: The rows of the batch.
        lengths: The token counts of all rows of the split.

    Returns:
        The rows of each part; the longest rows come first.
    """
    ordered = sorted(rows, key=lambda row: -lengths[row])
    best: dict[int, tuple[int, list[list[int]]]] = {0: (0, [])}  # number of rows -> lowest cost, its parts
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or lengths[ordered[end]] != lengths[ordered[end - 1]]:
            costs = {start: cost + (end - start) * lengths[ordered[start]] for start, (cost, _) in best.items()}
            start = min(costs, key=lambda start: costs[start])
            best[end] = (costs[start] + PART_COST, [*best[start][1], ordered[start:end]])
    return best[len(ordered)][1]


def lengths_of(split: Split) -> Sequence[int] | None:
    """Return the number of tokens of each row of a split of texts; None for any other split."""
    lengths: Sequence[int] | None = getattr(split, "lengths", None)
    return lengths
