"""Tokenized rows as flat columns of numbers, computed once for a tokenizer and its texts and cached on disk."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from zoo import paths
from zoo.errors import UsageError
from zoo.fetch.tensor_cache import cached_tensors
from zoo.trusted_code import TRANSFORMERS, comes_from

ENDS = "ends"
FEWEST_CACHED = 256
"""Fewer rows are not cached: tokenizing them is faster than reading the cache."""

Texts = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Tokens:
    """The tokens of N rows. The values of all rows, T in total, stand one after another.

    Attributes:
        columns: What the tokenizer returns, such as `input_ids`, by name: `(T,)` int32 each.
        ends: The position after the last token of every row, `(N,)` int64.
        fill: The value that pads each column.
        left: True if rows are padded on the left.
    """

    columns: Mapping[str, Tensor]
    ends: Tensor
    fill: Mapping[str, int]
    left: bool = False

    @cached_property
    def lengths(self) -> list[int]:
        """The number of tokens of every row."""
        return torch.diff(self.ends, prepend=self.ends.new_zeros(1)).tolist()

    def row(self, row: int) -> list[int]:
        """Return the token ids of one row."""
        start = int(self.ends[row]) - self.lengths[row]
        return self.columns["input_ids"][start : int(self.ends[row])].tolist()

    def padded(self, rows: Tensor) -> dict[str, Tensor]:
        """Return rows as a padded batch.

        Args:
            rows: The positions of B rows, `(B,)` int64.

        Returns:
            Every column as `(B, L)` int64, where L is the length of the longest of these rows.
        """
        ends = self.ends[rows]
        lengths = ends - torch.where(rows > 0, self.ends[rows - 1], 0)
        longest = int(lengths.max())
        position = torch.arange(longest).expand(len(rows), -1)
        position = position - (longest - lengths)[:, None] if self.left else position
        inside = (position >= 0) & (position < lengths[:, None])
        index = torch.where(inside, (ends - lengths)[:, None] + position, 0)
        return {
            name: torch.where(inside, values[index], self.fill[name]).long() for name, values in self.columns.items()
        }


def tokenize(tokenizer: Any, texts: Texts, max_length: int) -> Tokens:
    """Tokenize rows, or read them from the cache in `$ZOO_HOME/cache/tokens`.

    Rows are cached for the fast tokenizers of transformers only. The behavior of other tokenizers, and of tokenizers
    with custom code, cannot be part of the key of the cache.

    Args:
        tokenizer: A tokenizer of transformers.
        texts: One text or a pair of texts for each row.
        max_length: Longer rows are cut to this number of tokens. In a pair the longer text is cut first.

    Raises:
        UsageError: The rows differ in length, but the tokenizer has no padding value for a column.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not comes_from(tokenizer, TRANSFORMERS) or len(texts) < FEWEST_CACHED:
        columns = _call_tokenizer(tokenizer, texts, max_length)
    else:
        folder, key = paths.home() / "cache" / "tokens", _cache_key(tokenizer, texts, max_length)
        columns = cached_tensors(folder, key, lambda: _call_tokenizer(tokenizer, texts, max_length))
    ends = columns.pop(ENDS)
    padding = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id, "attention_mask": 0}
    fill = {name: padding.get(name) or 0 for name in columns}
    tokens = Tokens(columns, ends, fill, left=tokenizer.padding_side == "left")
    without = next((name for name in columns if padding.get(name) is None), None)
    if without and len(set(tokens.lengths)) > 1:
        raise UsageError(f"{type(tokenizer).__name__} has nothing to pad {without} with, and rows differ in length")
    return tokens


def _call_tokenizer(tokenizer: Any, texts: Texts, max_length: int) -> dict[str, Tensor]:
    columns = [list(column) for column in zip(*texts, strict=True)]
    encoding = tokenizer(*columns, truncation="longest_first", max_length=max_length)
    lengths = torch.tensor([len(row) for row in encoding["input_ids"]])
    flat = {
        name: torch.tensor([value for row in rows for value in row], dtype=torch.int32)
        for name, rows in encoding.items()
    }
    return {**flat, ENDS: lengths.cumsum(0)}


def _cache_key(tokenizer: Any, texts: Texts, max_length: int) -> str:
    """Return a SHA-256 over the texts and everything that decides how they are tokenized."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for left_by_a_call in ("truncation", "padding"):
        state.pop(left_by_a_call, None)
    settings = {
        "tokenizer": state, "class": str(type(tokenizer)), "max_length": max_length,
        "truncation_side": tokenizer.truncation_side, "split_special_tokens": tokenizer.split_special_tokens,
        "columns": tokenizer.model_input_names, "versions": [version("tokenizers"), version("transformers")],
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for row in texts:
        encoded = [text.encode(errors="surrogatepass") for text in row]
        digest.update(len(row).to_bytes(1) + b"".join(len(text).to_bytes(8) + text for text in encoded))
    return digest.hexdigest()
