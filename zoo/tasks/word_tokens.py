"""The tokens of sentences that are split into words already, and which token of a word its tag belongs to."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor

from zoo.errors import UsageError
from zoo.tasks.tokens import ENDS, LABELS, NO_LABEL, Tokens, padded_by
from zoo.text_tables import counted


@dataclass(frozen=True, kw_only=True)
class WordTokens:
    """The tokens of N sentences.

    Attributes:
        tokens: The tokens, with a column of labels.
        first: For each word of each sentence, the position of its first token in the row, `(N, W)` int64; -1 for a
            word that has no token or is cut off, and where a sentence has no further word.
        unread: Sentences about the words that have no token, if there are any.
    """

    tokens: Tokens
    first: Tensor
    unread: tuple[str, ...]


def tokenize_words(
    tokenizer: Any,
    sentences: Sequence[tuple[str, ...]],
    labels: Tensor,
    max_length: int,
    *,
    continued: Sequence[int] = (),
    left: bool = False,
) -> WordTokens:
    """Tokenize sentences word by word.

    Args:
        tokenizer: A fast tokenizer of transformers.
        sentences: The words of each sentence.
        labels: The class number of each word, `(N, W)`, padded with `NO_LABEL`.
        max_length: Longer rows are cut to this number of tokens.
        continued: For each class, the class of the further tokens of a word. By default these have `NO_LABEL`.
        left: Pad on the left.

    Raises:
        UsageError: The tokenizer does not say which word a token belongs to.
    """
    if not getattr(tokenizer, "is_fast", False):
        name = type(tokenizer).__name__
        raise UsageError(f"{name} does not say which word a token belongs to; this task needs a fast tokenizer")
    tokenizer, notes = with_prefix_space(tokenizer)
    encoding = tokenizer([[*s] for s in sentences], is_split_into_words=True, truncation=True, max_length=max_length)
    words = [encoding.word_ids(row) for row in range(len(sentences))]
    lengths = torch.tensor([len(row) for row in words])
    columns = {name: _flat(rows) for name, rows in encoding.items()}
    columns[LABELS] = _flat(
        _token_labels(of_tokens, of_words, continued)
        for of_tokens, of_words in zip(words, labels.tolist(), strict=True)
    )
    first = torch.full(labels.shape, -1)
    for row, of_tokens in enumerate(words):
        for position in reversed(range(len(of_tokens))):
            if (word := of_tokens[position]) is not None:
                first[row, word] = position
    tokens = padded_by(tokenizer, {**columns, ENDS: lengths.cumsum(0)}, left=left)
    tokens = replace(tokens, notes=(*notes, *tokens.notes))
    return WordTokens(tokens=tokens, first=first, unread=_unread(first, labels, lengths >= max_length, max_length))


def with_prefix_space(tokenizer: Any) -> tuple[Any, tuple[str, ...]]:
    """Return a tokenizer that reads every word as one after a space, and a note if this changes it.

    Byte-level tokenizers, such as RoBERTa's, otherwise read the words of a sentence as one long word. `run_ner.py` of
    transformers sets `add_prefix_space` too.
    """
    splitting = tokenizer.backend_tokenizer.pre_tokenizer
    if not isinstance(splitting, ByteLevel) or splitting.add_prefix_space:
        return tokenizer, ()
    changed = copy.deepcopy(tokenizer)
    splitting = changed.backend_tokenizer.pre_tokenizer
    splitting.add_prefix_space = True
    changed.backend_tokenizer.pre_tokenizer = splitting
    changed.add_prefix_space = changed.init_kwargs["add_prefix_space"] = True  # so that it is saved with a model
    return changed, ("the tokenizer reads every word as one after a space, with add_prefix_space: true",)


def _flat(rows: Any) -> Tensor:
    return torch.tensor([value for row in rows for value in row], dtype=torch.int32)


def _token_labels(words: Sequence[int | None], labels: Sequence[int], continued: Sequence[int]) -> list[int]:
    """Return the label of each token of a row: that of its word for the first token of the word."""
    found = []
    for word, before in zip(words, (None, *words), strict=False):
        if word is None:
            found.append(NO_LABEL)
        elif word != before:
            found.append(labels[word])
        else:
            found.append(continued[labels[word]] if continued else NO_LABEL)
    return found


def _unread(first: Tensor, labels: Tensor, is_full: Tensor, max_length: int) -> tuple[str, ...]:
    """Return sentences about the words that the model does not read."""
    missing = (first < 0) & (labels != NO_LABEL)
    last_read = torch.where(first >= 0, torch.arange(first.shape[1]), -1).amax(1, keepdim=True)
    cut = missing & is_full[:, None] & (torch.arange(first.shape[1]) > last_read)
    notes = []
    if number := int(cut.sum()):
        rows = counted(int(cut.any(1).sum()), "sentence")
        verb = "is" if number == 1 else "are"
        notes.append(f"{counted(number, 'word')} of {rows} {verb} cut off at max_length {max_length}")
    if number := int((missing & ~cut).sum()):
        notes.append(f"{counted(number, 'word')} {'has' if number == 1 else 'have'} no token")
    return tuple(notes)
