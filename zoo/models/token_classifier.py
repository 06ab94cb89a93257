"""Classifiers of tokens of transformers: a published encoder with a new head."""

from typing import TYPE_CHECKING

from zoo.fetch.sources import Source
from zoo.models.attention import Attention
from zoo.models.auto_classes import TOKEN_CLASSIFIER
from zoo.models.published import load_with_new_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEADS = ("classifier.", "score.", "dropout.")
"""Prefixes of the weights that belong to the head in the architectures of transformers."""


def token_classifier(
    *, init: Source, num_labels: int, attn_implementation: Attention | None = None
) -> "PreTrainedModel":
    """Return a published encoder with a new, randomly initialized head for tokens, in fp32.

    Args:
        init: The repository of the encoder. Its weights are converted to fp32.
        num_labels: The number of tags.
        attn_implementation: How attention is computed. Default: transformers chooses, usually `sdpa`.

    Raises:
        IntegrityError: The repository lacks weights of the encoder.
        UsageError: This kind of attention cannot be used here.
    """
    return load_with_new_head(TOKEN_CLASSIFIER, init, HEADS, "encoder", attn_implementation, num_labels)
