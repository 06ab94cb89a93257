"""Tokenised rows: flat columns of numbers, computed once per tokenizer and texts, and kept on disk."""

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
FEW = 256
"""So many rows are tokenised sooner than they are found on disk."""


@dataclass(frozen=True)
class Tokens:
    """What a tokenizer makes of N rows: of each column, `input_ids` first, the values of all rows one after another.

    `columns` are `(T,)`, int32; `ends` is `(N,)`, int64: where each row ends. `fill` is what a column is padded with.
    """

    columns: Mapping[str, Tensor]
    ends: Tensor
    fill: Mapping[str, int]
    left: bool = False
    """Whether rows are padded before their first token."""

    @cached_property
    def lengths(self) -> list[int]:
        """The number of tokens of every row."""
        return torch.diff(self.ends, prepend=self.ends.new_zeros(1)).tolist()

    def row(self, row: int) -> list[int]:
        """The ids of one row."""
        start = int(self.ends[row]) - self.lengths[row]
        return self.columns["input_ids"][start : int(self.ends[row])].tolist()

    def padded(self, rows: Tensor) -> dict[str, Tensor]:
        """Columns `(B, L)`, int64, of these rows `(B,)`, padded to the longest, L."""
        ends = self.ends[rows]
        lengths = ends - torch.where(rows > 0, self.ends[rows - 1], 0)
        longest = int(lengths.max())
        place = torch.arange(longest).expand(len(rows), -1)
        place = place - (longest - lengths)[:, None] if self.left else place
        inside = (place >= 0) & (place < lengths[:, None])
        at = torch.where(inside, (ends - lengths)[:, None] + place, 0)
        return {name: torch.where(inside, values[at], self.fill[name]).long() for name, values in self.columns.items()}


def tokenised(tokenizer: Any, texts: Sequence[tuple[str, ...]], max_length: int) -> Tokens:
    """The rows, cut to `max_length` tokens, the longer text of a pair first; found on disk where they were made before.

    `tokenizer` is one of transformers; of one with code of its own, or without a fast backend, nothing is kept, since
    not all of it is seen. Raises UsageError where rows differ in length and there is nothing to pad a column with.
    """
    fill = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id, "attention_mask": 0}

    def make() -> dict[str, Tensor]:
        columns = [list(column) for column in zip(*texts, strict=True)]
        made = tokenizer(*columns, truncation="longest_first", max_length=max_length)
        lengths = torch.tensor([len(row) for row in made["input_ids"]])
        flat = {
            name: torch.tensor([value for row in rows for value in row], dtype=torch.int32)
            for name, rows in made.items()
        }
        return {**flat, ENDS: lengths.cumsum(0)}

    backend = getattr(tokenizer, "backend_tokenizer", None)
    known = comes_from(tokenizer, TRANSFORMERS)
    if backend is None or not known or len(texts) < FEW:
        found = make()
    else:
        state = json.loads(backend.to_str())
        for how_it_was_called in ("truncation", "padding"):
            state.pop(how_it_was_called, None)
        how = {
            "tokenizer": state, "class": str(type(tokenizer)), "max_length": max_length,
            "truncation_side": tokenizer.truncation_side, "split_special_tokens": tokenizer.split_special_tokens,
            "columns": tokenizer.model_input_names, "versions": [version("tokenizers"), version("transformers")],
        }  # fmt: skip
        digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode())
        for row in texts:
            digest.update(
                len(row).to_bytes(1)
                + b"".join(len(text).to_bytes(8) + text.encode(errors="surrogatepass") for text in row)
            )
        found = cached_tensors(paths.home() / "kept" / "tokens", digest.hexdigest(), make)
    ends = found.pop(ENDS)
    tokens = Tokens(found, ends, {name: fill.get(name) or 0 for name in found}, left=tokenizer.padding_side == "left")
    lacking = next((name for name in found if fill.get(name) is None), None)
    if lacking and len(set(tokens.lengths)) > 1:
        raise UsageError(f"{type(tokenizer).__name__} has nothing to pad {lacking} with, and rows differ in length")
    return tokens
