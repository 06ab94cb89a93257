"""A split of sentences whose words have tags."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from zoo.tasks.base import CPU, Batch
from zoo.tasks.splits import TextSplit
from zoo.tasks.tokens import LABELS, Tokens
from zoo.tasks.word_tokens import WordTokens, tokenize_words


class TaggedWords(TextSplit):
    """Sentences of words, each with the number of its tag. The first token of a word has its label in a batch.

    Args:
        texts: The words of each sentence.
        labels: The tag of each word, `(N, W)` int64, padded with -100; at least the last column is -100.
        label_all_subwords: Whether the further tokens of a word have its label too, with I- in place of B-.
        tag_notes: What a user should know about the tags.
        unread_note: What a user should know about words that the model does not read, if there are any.
        **arguments: Those of `TextSplit`.
    """

    def __init__(
        self,
        texts: Sequence[tuple[str, ...]],
        labels: Tensor,
        *,
        label_all_subwords: bool = False,
        tag_notes: tuple[str, ...] = (),
        unread_note: str = "",
        **arguments: Any,
    ) -> None:
        super().__init__(texts, labels, **arguments)
        self.label_all_subwords, self.tag_notes, self.unread_note = label_all_subwords, tag_notes, unread_note

    @cached_property
    def words(self) -> WordTokens:
        """The tokens of all rows, and where the words begin, computed at the first use."""
        continued = _continued(self.classes) if self.label_all_subwords else ()
        return tokenize_words(
            self.tokenizer, self.texts, self.labels, self.max_length, continued=continued, left=self.left
        )

    @cached_property
    def tokens(self) -> Tokens:
        return self.words.tokens

    @property
    def notes(self) -> tuple[str, ...]:
        unread = (f"{note}; {self.unread_note}" for note in self.words.unread)
        return (*self.tag_notes, *self.words.tokens.notes, *unread)

    def batch(self, indices: Sequence[int], device: torch.device = CPU, *, length: int | None = None) -> Batch:
        """Return the rows at `indices`; the labels are `(B, L)`, -100 for tokens without one."""
        batch = super().batch(indices, device, length=length)
        assert isinstance(batch.inputs, dict)
        labels = batch.inputs.pop(LABELS)
        return replace(batch, labels=labels)

    def with_changes(self, **changes: Any) -> Self:
        own = {
            "label_all_subwords": self.label_all_subwords, "tag_notes": self.tag_notes, "unread_note": self.unread_note,
        }  # fmt: skip
        return super().with_changes(**{**own, **changes})

    def rows(self) -> Iterator[bytes]:
        for words, tags in zip(self.texts, self.labels.tolist(), strict=True):
            yield json.dumps([words, tags[: len(words)]], ensure_ascii=False, separators=(",", ":")).encode()


def _continued(classes: Sequence[str]) -> list[int]:
    """Return the class of the further tokens of a word: I-PER for B-PER if there is such a tag, else the same."""
    numbers = {name: number for number, name in enumerate(classes)}
    inside = [f"I{name[1:]}" if name.startswith("B") else name for name in classes]
    return [numbers.get(name, number) for number, name in enumerate(inside)]
