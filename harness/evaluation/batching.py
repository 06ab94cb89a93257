"""How rows are grouped: texts of like length under a budget of tokens; a random batch in parts of like length.

Rows of a batch are padded to its longest. Grouped by length there is next to nothing to pad, and under a budget of
tokens a batch of short rows is as much work as one of long rows, and fits in the same caches.
"""

from collections.abc import Sequence

from zoo.tasks.base import Split

TOKENS = 512
"""The most tokens of a batch that is only looked at, padding included; docs/speed.md has the measurement."""
OVERHEAD = 48
"""What a further part of a batch that is trained on costs, in tokens' worth of work."""


def batches(split: Split, size: int) -> list[Sequence[int]]:
    """All rows of a split, each once, at most `size` at a time: in order; texts by length, the longest first.

    Of texts a batch has at most `TOKENS` tokens, or is one row.
    """
    lengths = lengths_of(split)
    if lengths is None:
        return [range(start, min(start + size, len(split))) for start in range(0, len(split), size)]
    found: list[list[int]] = []
    for row in sorted(range(len(split)), key=lambda row: -lengths[row]):
        if not found or len(found[-1]) == size or (len(found[-1]) + 1) * lengths[found[-1][0]] > TOKENS:
            found.append([])
        found[-1].append(row)
    return list(found)


def by_length(rows: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """A batch's rows in the parts of like length that cost least: padded tokens, and `OVERHEAD` for each part.

    The longest come first; rows of one length stay together. Exact, over all ways to cut the sorted rows there.
    """
    ordered = sorted(rows, key=lambda row: -lengths[row])
    found: dict[int, tuple[int, list[list[int]]]] = {0: (0, [])}  # of so many rows: cost of the cheapest parts, these
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or lengths[ordered[end]] != lengths[ordered[end - 1]]:
            costs = {start: cost + (end - start) * lengths[ordered[start]] for start, (cost, _) in found.items()}
            start = min(costs, key=lambda start: costs[start])
            found[end] = (costs[start] + OVERHEAD, [*found[start][1], ordered[start:end]])
    return found[len(ordered)][1]


def lengths_of(split: Split) -> Sequence[int] | None:
    """How many tokens each row of a split of texts has; None of any other."""
    found: Sequence[int] | None = getattr(split, "lengths", None)
    return found
