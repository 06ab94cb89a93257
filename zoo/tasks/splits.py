"""Splits whose rows fit in memory: tensors, and texts that are tokenized once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from zoo.tasks.base import CPU, Batch
from zoo.tasks.device_copies import DeviceCopies, move
from zoo.tasks.tokens import Tokens, tokenize


@dataclass(frozen=True)
class TensorSplit:
    """A split in memory: inputs `(N, ...)` and labels `(N,)`. A GPU gets a copy of both if they fit in its memory."""

    fixed: ClassVar[bool] = True
    inputs: Tensor
    labels: Tensor
    copies: DeviceCopies = field(default_factory=DeviceCopies, init=False, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        ids = torch.as_tensor(indices, dtype=torch.int64)
        size = self.inputs.nbytes + self.labels.nbytes
        copy = self.copies.on(device, size, lambda: (self.inputs.to(device), self.labels.to(device)))
        if copy is None:
            return Batch(inputs=self.inputs[ids], labels=self.labels[ids], ids=ids).to(device)
        ids = move(ids, device)
        return Batch(inputs=copy[0][ids], labels=copy[1][ids], ids=ids)

    def rows(self) -> Iterator[bytes]:
        for row, label in zip(self.inputs, self.labels, strict=True):
            yield row.contiguous().numpy().tobytes() + label.numpy().tobytes()


class TextSplit:
    """A split of texts or pairs of texts. Rows are tokenized once; a batch is padded to its longest row.

    A GPU gets a copy of all tokens, and batches are formed there.

    Args:
        texts: One text or a pair of texts for each row.
        labels: `(N,)`, or `(N, C)` float32 zeros and ones for a multilabel task.
        tokenizer: A tokenizer of transformers.
        max_length: Longer rows are cut to this number of tokens. In a pair the longer text is cut first.
        classes: The names of the classes, if the data declare them.
        class_notes: What a user should know about how these names were found.
        left: Pad rows on the left, as `tokenize` describes.
    """

    fixed = True
    texts_per_row = 1
    """The number of texts of a row that the model reads by themselves."""

    def __init__(
        self,
        texts: Sequence[tuple[str, ...]],
        labels: Tensor,
        *,
        tokenizer: Any,
        max_length: int = 128,
        classes: tuple[str, ...] = (),
        class_notes: tuple[str, ...] = (),
        left: bool = False,
    ) -> None:
        self.texts, self.labels, self.tokenizer, self.max_length = texts, labels, tokenizer, max_length
        self.classes, self.class_notes, self.left, self._copies = classes, class_notes, left, DeviceCopies()

    @cached_property
    def tokens(self) -> Tokens:
        """The tokens of all rows, computed at the first use."""
        return tokenize(self.tokenizer, self.texts, self.max_length, left=self.left)

    @property
    def lengths(self) -> list[int]:
        """The number of tokens of every row."""
        return self.tokens.lengths

    @property
    def shortest(self) -> list[int]:
        """The number of tokens of the shortest text of every row that the model reads by itself."""
        return self.lengths

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user about the tokens."""
        return self.tokens.notes

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, indices: Sequence[int], device: torch.device = CPU, *, length: int | None = None) -> Batch:
        """Return the rows at `indices`, padded to `length` tokens; by default to the longest of them."""
        ids, copy = torch.as_tensor(indices, dtype=torch.int64), self._copy(device)
        if copy is None:
            return Batch(inputs=self.tokens.padded(ids, length), labels=self.labels[ids], ids=ids).to(device)
        ids, (tokens, labels) = move(ids, device), copy
        longest = max((self.lengths[row] for row in indices), default=0) if length is None else length
        return Batch(inputs=tokens.padded(ids, longest), labels=labels[ids], ids=ids)

    def row_tokens(self, row: int) -> tuple[list[int], ...]:
        """Return the token ids of a row, as one list for each text that the model reads by itself."""
        return (self.tokens.row(row),)

    def with_changes(self, **changes: Any) -> Self:
        """Return a split with other arguments; see the class."""
        arguments = {
            "texts": self.texts, "labels": self.labels, "tokenizer": self.tokenizer, "max_length": self.max_length,
            "classes": self.classes, "class_notes": self.class_notes, "left": self.left,
        }  # fmt: skip
        return type(self)(**{**arguments, **changes})

    def _copy(self, device: torch.device) -> tuple[Tokens, Tensor] | None:
        """Return the tokens and labels on a device; see `DeviceCopies.on`."""
        return self._copies.on(device, self.tokens.nbytes, lambda: (self.tokens.to(device), self.labels.to(device)))

    def rows(self) -> Iterator[bytes]:
        for texts, label in zip(self.texts, self.labels.tolist(), strict=True):
            yield "\t".join([*map(_escape_tabs, texts), str(label)]).encode()


def _escape_tabs(text: str) -> str:
    """Escape tabs, because `TextSplit.rows` separates texts by tabs."""
    return text.replace("\\", "\\\\").replace("\t", "\\t")
