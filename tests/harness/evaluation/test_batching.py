"""Rows are grouped into batches and parts of batches within the limits and at the lowest cost."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evaluation import batching
from harness.evaluation.batch_limits import AdaptiveLimits, BatchLimits
from harness.evaluation.batching import batches, by_length
from zoo.tasks.splits import TensorSplit

LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=9)


class SplitWithLengths(TensorSplit):
    """A split that uses its labels as token counts."""

    @property
    def lengths(self) -> list[int]:
        lengths: list[int] = self.labels.tolist()
        return lengths


@given(LENGTHS, st.integers(1, 5), st.integers(0, 9))
def test_batches_stay_within_the_token_limit_and_hold_every_row_once(
    lengths: list[int], size: int, batch_cost: int
) -> None:
    size = 20 if batch_cost else size
    limits = BatchLimits(rows=size, tokens=20, batch_cost=batch_cost)
    grouped = batches(SplitWithLengths(torch.zeros(len(lengths)), torch.tensor(lengths)), limits)
    assert sorted(row for rows in grouped for row in rows) == list(range(len(lengths)))
    for rows in grouped:
        longest = max(lengths[row] for row in rows)
        assert len(rows) == 1 or len(rows) * longest <= 20
        assert len(rows) <= size
        assert AdaptiveLimits(limits, lengths).divide(rows) == [rows]


@settings(max_examples=50)
@given(LENGTHS, st.integers(0, 10))
def test_no_other_cut_of_a_batch_costs_less(lengths: list[int], part_cost: int) -> None:
    def cost(parts: list[list[int]]) -> int:
        return sum(len(part) * max(part) + part_cost for part in parts)

    ordered = sorted(lengths, reverse=True)
    positions = range(1, len(ordered))
    cuts = (cut for number in range(len(ordered)) for cut in itertools.combinations(positions, number))
    lowest = min(cost([ordered[a:b] for a, b in itertools.pairwise((0, *cut, len(ordered)))]) for cut in cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "PART_COST", part_cost)
        parts = by_length(range(len(lengths)), lengths)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert cost([[lengths[row] for row in part] for part in parts]) == lowest
