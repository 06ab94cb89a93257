"""Tokenized rows as flat columns of numbers, computed once for a tokenizer and its texts and cached on disk."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
LABELS, NO_LABEL = "labels", -100
"""The column with a label for each token, and the label of tokens that losses ignore (PyTorch's `ignore_index`)."""
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
        left: True if rows are padded on the left, which moves their positions.
        notes: What a user should know about the tokens.
    """

    columns: Mapping[str, Tensor]
    ends: Tensor
    fill: Mapping[str, int]
    left: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def lengths(self) -> list[int]:
        """The number of tokens of every row."""
        return torch.diff(self.ends, prepend=self.ends.new_zeros(1)).tolist()

    def row(self, row: int) -> list[int]:
        """Return the token ids of one row."""
        start = int(self.ends[row]) - self.lengths[row]
        return self.columns["input_ids"][start : int(self.ends[row])].tolist()

    @property
    def nbytes(self) -> int:
        """The memory of the tokens in bytes."""
        return sum(values.nbytes for values in (*self.columns.values(), self.ends))

    def to(self, device: torch.device) -> "Tokens":
        """Return the tokens on a device."""
        columns = {name: values.to(device) for name, values in self.columns.items()}
        return replace(self, columns=columns, ends=self.ends.to(device))

    def padded(self, rows: Tensor, length: int | None = None) -> dict[str, Tensor]:
        """Return rows as a padded batch, on the device of the tokens.

        Args:
            rows: The positions of B rows, `(B,)` int64, on the same device.
            length: The length L of the batch; by default the length of the longest of these rows, for which a GPU must
                finish all earlier work.

        Returns:
            Every column as `(B, L)` int64.
        """
        ends = self.ends[rows]
        lengths = ends - torch.where(rows > 0, self.ends[rows - 1], 0)
        longest = int(lengths.max()) if length is None else length
        position = torch.arange(longest, device=rows.device).expand(len(rows), -1)
        position = position - (longest - lengths)[:, None] if self.left else position
        inside = (position >= 0) & (position < lengths[:, None])
        index = torch.where(inside, (ends - lengths)[:, None] + position, 0)
        return {
            name: torch.where(inside, values[index], self.fill[name]).long() for name, values in self.columns.items()
        }


def tokenize(tokenizer: Any, texts: Texts, max_length: int, *, left: bool = False) -> Tokens:
    """Tokenize rows, or read them from the cache in `$ZOO_HOME/cache/tokens`.

    Rows are cached for the fast tokenizers of transformers only. The behavior of other tokenizers, and of tokenizers
    with custom code, cannot be part of the key of the cache.

    Rows are padded on the right, also if the tokenizer is set to the left: padding on the left moves the positions of a
    row, so its result would depend on the other rows of its batch. A text without any token becomes one token.

    Args:
        tokenizer: A tokenizer of transformers.
        texts: One text or a pair of texts for each row.
        max_length: Longer rows are cut to this number of tokens. In a pair the longer text is cut first.
        left: Pad on the left, to compute again what another program computed.

    Raises:
        UsageError: The rows differ in length, but the tokenizer has no padding value for a column, or a row has no
            token and the tokenizer none that could stand for it.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not comes_from(tokenizer, TRANSFORMERS) or len(texts) < FEWEST_CACHED:
        columns = _call_tokenizer(tokenizer, texts, max_length)
    else:
        folder, key = paths.home() / "cache" / "tokens", _cache_key(tokenizer, texts, max_length)
        columns = cached_tensors(folder, key, lambda: _call_tokenizer(tokenizer, texts, max_length))
    return padded_by(tokenizer, columns, left=left)


def padded_by(tokenizer: Any, columns: Mapping[str, Tensor], *, left: bool = False) -> Tokens:
    """Return tokens with the padding of a tokenizer; the exceptions are those of `tokenize`.

    Args:
        tokenizer: A tokenizer of transformers.
        columns: The columns of `Tokens`, and the ends of the rows as `ends`. A column `labels` is padded with
            `NO_LABEL`.
        left: Pad on the left.
    """
    columns, ends, notes = _without_empty_rows(tokenizer, columns)
    pad_token, pad_id = padding_token(tokenizer)
    padding = {
        "input_ids": pad_id, "token_type_ids": tokenizer.pad_token_type_id, "attention_mask": 0, LABELS: NO_LABEL,
    }  # fmt: skip
    fill = {name: padding.get(name) or 0 for name in columns}
    tokens = Tokens(columns, ends, fill, left=left, notes=notes)
    if len(set(tokens.lengths)) == 1:
        return tokens
    if without := next((name for name in columns if padding.get(name) is None), None):
        hint = "; write `pad_token:` with a token of its vocabulary in the tokenizer" if without == "input_ids" else ""
        raise UsageError(
            f"{type(tokenizer).__name__} has nothing to pad {without} with, and rows differ in length{hint}"
        )
    if tokenizer.pad_token_id is None:
        chosen = f"the tokenizer has no padding token: rows are padded with {pad_token!r}"
        tokens = replace(tokens, notes=(*notes, f"{chosen}; `pad_token` in the tokenizer chooses another"))
    return tokens


def padding_token(tokenizer: Any) -> tuple[str | None, int | None]:
    """Return the token that pads rows and its id: the padding token, or else the end of a text or an unknown token."""
    for name in ("pad", "eos", "unk"):
        if (number := getattr(tokenizer, f"{name}_token_id", None)) is not None:
            return getattr(tokenizer, f"{name}_token", None), int(number)
    return None, None


def _without_empty_rows(
    tokenizer: Any, columns: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor, tuple[str, ...]]:
    """Give rows without tokens one token, the beginning of a text, because no model can process an empty row.

    Returns:
        The columns, the ends of the rows, and a note on these rows.

    Raises:
        UsageError: A row is empty and the tokenizer has no token that begins, ends or pads a text.
    """
    values, ends = {name: column for name, column in columns.items() if name != ENDS}, columns[ENDS]
    empty = (torch.diff(ends, prepend=ends.new_zeros(1)) == 0).nonzero().flatten()
    if not len(empty):
        return values, ends, ()
    names = [f"{name}_token" for name in ("bos", "cls", "eos", "pad")]
    name = next((name for name in names if getattr(tokenizer, f"{name}_id", None) is not None), None)
    if name is None:
        raise UsageError(
            f"row {int(empty[0])} has no token, and {type(tokenizer).__name__} has no token that begins or ends a text;"
            " remove the row, or write a text"
        )
    new = {"input_ids": getattr(tokenizer, f"{name}_id"), "attention_mask": 1, LABELS: NO_LABEL}
    places = ends[empty]  # where the missing token belongs among the tokens of all rows
    kept = torch.ones(len(values["input_ids"]) + len(empty), dtype=torch.bool)
    kept[places + torch.arange(len(empty))] = False
    for column, old in values.items():
        values[column] = old.new_full((len(kept),), int(new.get(column, 0))).masked_scatter(kept, old)
    added = torch.zeros(len(ends), dtype=torch.int64)
    added[empty] = 1
    token = getattr(tokenizer, name)
    count = f"{len(empty):,} texts have no token, such as row" if len(empty) > 1 else "1 text has no token, row"
    note = f"{count} {int(empty[0])}: read as the single token {token!r}"
    return values, ends + added.cumsum(0), (note,)


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
