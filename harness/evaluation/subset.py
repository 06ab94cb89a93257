"""Select rows of a split as a new split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.tasks.base import CPU, Batch, Split
from zoo.tasks.splits import TextSplit


def subset(split: Split, rows: Sequence[int]) -> Split:
    """Return the rows at these positions, which must be in ascending order; only these texts are tokenized."""
    if not isinstance(split, TextSplit):
        return SplitSubset(split, tuple(rows))
    texts, labels = [split.texts[row] for row in rows], split.labels[list(rows)]
    return split.with_changes(texts=texts, labels=labels)


@dataclass(frozen=True)
class SplitSubset:
    """Rows of any split. The ids of a batch are positions in the whole split."""

    split: Split
    positions: tuple[int, ...]

    @property
    def labels(self) -> Tensor:
        return self.split.labels[list(self.positions)]

    def __len__(self) -> int:
        return len(self.positions)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        return self.split.batch([self.positions[index] for index in indices], device)

    def rows(self) -> Iterator[bytes]:
        if rows_of := getattr(self.split, "rows_of", None):
            yield from rows_of(self.positions)
            return
        selected, last = set(self.positions), max(self.positions, default=-1)
        for position, row in enumerate(self.split.rows() if selected else ()):
            if position in selected:
                yield row
            if position == last:  # reading on may decode thousands of images
                return
