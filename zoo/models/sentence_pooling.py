"""A sentence encoder: Reimers and Gurevych, Sentence-BERT, EMNLP 2019. This file imports only torch."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pooling = Literal["mean", "cls", "max", "last"]
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
LOWEST = -1e9
"""Stands for the hidden states of padding when their largest value is taken."""


class SentenceEncoder(nn.Module):
    """Encode both texts of every row, and return the cosine of their embeddings.

    Args:
        encoder: A model that returns an object with `last_hidden_state`, as encoders of transformers do.
        pooling: The embedding of a text: the mean of the hidden states of its tokens, that of its first or last token,
            or the largest value of every feature.
        normalize: Whether embeddings are scaled to length 1. This does not change their cosine, except for rounding.

    Attributes:
        similarity: What is returned in place of the cosine; distances are negative. Only `zoo explain` changes it.
    """

    similarity: Similarity = "cosine"

    def __init__(self, encoder: nn.Module, pooling: Pooling, *, normalize: bool = False) -> None:
        super().__init__()
        self.encoder, self.pooling, self.normalize = encoder, pooling, normalize

    def forward(self, attention_mask: Tensor, **inputs: Tensor) -> Tensor:
        """Return the cosine of the two texts of every row, `(B, 1)`.

        Args:
            attention_mask: `(B, 2, L)`, 1 for tokens and 0 for padding.
            **inputs: The other inputs of the encoder, such as `input_ids`, `(B, 2, L)` each.
        """
        mask, texts = attention_mask.flatten(0, 1), {name: value.flatten(0, 1) for name, value in inputs.items()}
        embeddings = self.embed(attention_mask=mask, **texts)
        return self._compare(embeddings[::2], embeddings[1::2]).unsqueeze(1)

    def embed(self, attention_mask: Tensor, **inputs: Tensor) -> Tensor:
        """Return the embeddings of texts, `(B, H)`. The inputs of the encoder are `(B, L)` each."""
        output: Any = self.encoder(attention_mask=attention_mask, **inputs)
        states: Tensor = output.last_hidden_state
        embeddings = self._pool(states, attention_mask.unsqueeze(-1))
        return F.normalize(embeddings, dim=-1) if self.normalize else embeddings

    def _compare(self, first: Tensor, second: Tensor) -> Tensor:
        if self.similarity == "cosine":
            return F.cosine_similarity(first, second)
        if self.similarity == "dot":
            return (first * second).sum(dim=1)
        return -F.pairwise_distance(first, second, p=2 if self.similarity == "euclidean" else 1, eps=0)

    def _pool(self, states: Tensor, mask: Tensor) -> Tensor:
        if self.pooling == "cls":  # the first token that is no padding, whatever side is padded
            first = mask.argmax(dim=1, keepdim=True).expand(-1, 1, states.shape[2])
            return states.gather(1, first).squeeze(1)
        if self.pooling == "last":
            positions = torch.arange(mask.shape[1], device=mask.device).reshape(1, -1, 1)
            last = (positions * mask).argmax(dim=1, keepdim=True).expand(-1, 1, states.shape[2])
            return states.gather(1, last).squeeze(1)
        if self.pooling == "max":
            return states.masked_fill(mask == 0, LOWEST).max(dim=1).values
        mask = mask.to(states.dtype)
        return (states * mask).sum(dim=1) / torch.clamp(mask.sum(dim=1), min=1e-9)
