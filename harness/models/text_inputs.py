"""Fit a model of transformers to texts: check what it cannot process, and let a row's result depend on that row alone.

Rows are padded on the right, where no position moves. Two things are left to do here. A classifier that reads the last
token of a row finds it by the padding token of its configuration, so the two must agree. And some architectures mix
padding into their results whatever the mask says; they are evaluated in batches of equal lengths.
"""

import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.errors import UsageError
from zoo.tasks.base import Split
from zoo.tasks.splits import TextSplit

if TYPE_CHECKING:
    from transformers import PreTrainedModel

POSITIONS = re.compile(r"(^|\.)(position_embeddings|positions_embed|embed_positions|wpe)$")
"""The names of tables of learned positions. Rotary and relative positions have no table, and no limit."""
PADDING_MATTERS = (
    "big_bird", "bigbird_pegasus", "canine", "convbert", "fnet", "funnel", "nystromformer", "reformer", "xlnet", "yoso",
)  # fmt: skip
"""Types of models whose results depend on padding: they have no mask, read the last position, or mix or choose
positions by the length of the batch."""


def fit_to_texts(model: nn.Module, split: Split, where: str) -> None:
    """Check that a model can process every row of a split of texts, and make their padding tokens agree.

    Args:
        model: The model. Only those of transformers are checked.
        split: The rows. Only texts are checked.
        where: What the rows are, for messages, such as "the split 'train'".

    Raises:
        UsageError: A row has more tokens than the model has positions, or a token that its embedding does not have.
    """
    inner = of_transformers(model)
    if inner is None or not isinstance(split, TextSplit):
        return
    if split.texts_per_row > 1 and depends_on_padding(model):
        kind = type(inner).__name__
        raise UsageError(f"{where}: {kind} mixes padding into its results, so it cannot encode pairs of texts")
    _check_lengths(inner, split, where)
    rows = _embedding_rows(inner)
    if rows is not None:
        _check_tokens(split, where, rows)
    _agree_on_padding(inner, split, where, rows)


def length_note(model: nn.Module, split: Split) -> str | None:
    """Return that texts are cut to another number of tokens than the model was published with, or None.

    Only models with an attribute `max_seq_length` say so, and only splits with a text of that length are affected.
    """
    published = getattr(model, "max_seq_length", None)
    if published is None or not isinstance(split, TextSplit) or split.max_length == published:
        return None
    if max(split.lengths) < min(split.max_length, published):
        return None
    return (
        f"texts are cut to {split.max_length} tokens, but the model was published with {published}; to cut them there,"
        f" set max_length: {published} in the task"
    )


def depends_on_padding(model: nn.Module) -> bool:
    """Return whether a model must be evaluated in batches of equal lengths."""
    inner = of_transformers(model)
    return inner is not None and inner.config.model_type in PADDING_MATTERS


def position_count(model: nn.Module) -> int | None:
    """Return the most tokens of a row that a model has positions for; None if a row can have any number."""
    sizes = [
        module.num_embeddings - _first_position(module)
        for name, module in model.named_modules()
        if POSITIONS.search(name) and isinstance(module, nn.Embedding)
    ]
    return min(sizes, default=None)


def of_transformers(model: nn.Module) -> "PreTrainedModel | None":
    """Return the model of transformers that a model is, or that it contains; None if there is none."""
    modeling: Any = sys.modules.get("transformers.modeling_utils")  # imported by whatever built such a model
    kind = getattr(modeling, "PreTrainedModel", None)  # not there while another thread imports the module
    return None if kind is None else next((module for module in model.modules() if isinstance(module, kind)), None)


def _check_lengths(model: "PreTrainedModel", split: TextSplit, where: str) -> None:
    positions, lengths = position_count(model), split.lengths
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    if positions is not None and lengths[longest] > positions:
        raise UsageError(
            f"row {longest} of {where} has {lengths[longest]} tokens, but the model has {positions} positions; set"
            f" max_length: {positions} in the task, or use a model with more positions"
        )


def _first_position(table: nn.Embedding) -> int:
    """Return the index of the first position: RoBERTa's is after its padding index, that of BART and OPT is 2."""
    return int(getattr(table, "offset", 0)) if table.padding_idx is None else table.padding_idx + 1


def _embedding_rows(model: "PreTrainedModel") -> int | None:
    """Return the number of tokens that the model can embed; None if it has no table of tokens."""
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        return None
    has_vocabulary = hasattr(model.config.get_text_config(), "vocab_size")
    return table.num_embeddings if has_vocabulary and isinstance(table, nn.Embedding) else None


def _check_tokens(split: TextSplit, where: str, rows: int) -> None:
    tokens = split.tokens
    ids = tokens.columns["input_ids"]
    if len(ids) and int(ids.max()) >= rows:
        position = int((ids >= rows).nonzero()[0])
        row = int(torch.searchsorted(tokens.ends, position, right=True)) // split.texts_per_row
        raise UsageError(
            f"row {row} of {where} has the token id {int(ids[position])}: the tokenizer has"
            f" {_size(split.tokenizer)} tokens, but the model's embedding has {rows:,} rows; use the tokenizer of the"
            " model, or a model with a larger vocabulary"
        )


def _size(tokenizer: Any) -> str:
    return f"{len(tokenizer):,}" if hasattr(tokenizer, "__len__") else "more"


def _agree_on_padding(model: "PreTrainedModel", split: TextSplit, where: str, rows: int | None) -> None:
    """Let the padding of the batches be the padding token that the model's configuration names, if it names one.

    The published configuration is not changed: it decides which token a classifier reads in a row without padding.
    """
    padding = split.tokens.fill["input_ids"]
    for config in {id(config): config for config in (model.config, model.config.get_text_config())}.values():
        own = getattr(config, "pad_token_id", None)
        if own is None or not 0 <= own < (own + 1 if rows is None else rows):
            config.pad_token_id = padding
    own = model.config.get_text_config().pad_token_id
    if rows is not None and own >= rows and len(set(split.tokens.lengths)) > 1:
        raise UsageError(
            f"{where}: the padding token has the id {own}, but the model's embedding has {rows:,} rows; write"
            " `pad_token: eos`, or another token of the vocabulary, in the tokenizer"
        )
    hooks = model._forward_pre_hooks.values()
    if own != padding and not any(getattr(hook, "func", None) is _with_own_padding for hook in hooks):
        model.register_forward_pre_hook(partial(_with_own_padding, own), with_kwargs=True)


def _with_own_padding(
    padding: int, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Replace the tokens that are masked by the model's own padding token."""
    ids, mask = kwargs.get("input_ids"), kwargs.get("attention_mask")
    if not isinstance(ids, Tensor) or not isinstance(mask, Tensor):
        return None
    return args, {**kwargs, "input_ids": ids.masked_fill(mask == 0, padding)}
