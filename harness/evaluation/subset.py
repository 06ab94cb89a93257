"""Some rows of a split, as a split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.tasks.base import CPU, Batch, Split, TextSplit


def subset(split: Split, rows: Sequence[int]) -> Split:
    """The rows at these positions, in their order, which must rise; of texts no other row is tokenised."""
    if not isinstance(split, TextSplit):
        return Rows(split, tuple(rows))
    texts, labels = [split.texts[row] for row in rows], split.labels[list(rows)]
    return TextSplit(texts, labels, tokenizer=split.tokenizer, max_length=split.max_length, classes=split.classes)


@dataclass(frozen=True)
class Rows:
    """Rows of any split; a batch's ids are the positions in the whole one."""

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
        wanted, last = set(self.positions), max(self.positions, default=-1)
        for position, row in enumerate(self.split.rows() if wanted else ()):
            if position in wanted:
                yield row
            if position == last:  # what follows may be thousands of images to read
                return
