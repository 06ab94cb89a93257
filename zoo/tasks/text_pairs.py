"""A split of pairs of texts that are tokenized separately, for models that encode each text by itself."""

from collections.abc import Sequence
from functools import cached_property

import torch

from zoo.tasks.base import CPU, Batch, Inputs
from zoo.tasks.device_copies import move
from zoo.tasks.splits import TextSplit
from zoo.tasks.tokens import Tokens, tokenize


class PairSplit(TextSplit):
    """Pairs of texts. The inputs of a batch are `(B, 2, L)`: both texts of a row are padded to the same length.

    The length of a row is that of its longer text. Spaces around a text are left out, as sentence-transformers does.
    """

    texts_per_row = 2

    @cached_property
    def tokens(self) -> Tokens:
        """The tokens of the first and the second text of all rows, in turns."""
        texts = [(text.strip(),) for pair in self.texts for text in pair]
        return tokenize(self.tokenizer, texts, self.max_length, left=self.left)

    @cached_property
    def lengths(self) -> list[int]:
        """The number of tokens of the longer text of every row."""
        return [max(pair) for pair in self._pairs]

    @cached_property
    def shortest(self) -> list[int]:
        """The number of tokens of the shorter text of every row."""
        return [min(pair) for pair in self._pairs]

    def row_tokens(self, row: int) -> tuple[list[int], ...]:
        return self.tokens.row(2 * row), self.tokens.row(2 * row + 1)

    def batch(self, indices: Sequence[int], device: torch.device = CPU, *, length: int | None = None) -> Batch:
        ids = torch.as_tensor(indices, dtype=torch.int64)
        longest = max((self.lengths[row] for row in indices), default=0) if length is None else length
        copy = self._copy(device)
        tokens, labels = (self.tokens, self.labels) if copy is None else copy
        rows = move(ids, device) if copy is not None else ids
        texts = torch.stack([2 * rows, 2 * rows + 1], dim=1).flatten()
        inputs: Inputs = {
            name: value.reshape(len(ids), 2, longest) for name, value in tokens.padded(texts, longest).items()
        }
        return Batch(inputs=inputs, labels=labels[rows], ids=rows).to(device)

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        lengths = self.tokens.lengths
        return list(zip(lengths[::2], lengths[1::2], strict=True))
