"""Extractive question answering models of transformers: a published encoder with a new head."""

from typing import TYPE_CHECKING

from zoo.fetch.sources import Source
from zoo.models.attention import Attention
from zoo.models.auto_classes import QUESTION_ANSWERER
from zoo.models.published import load_with_new_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEADS = ("qa_outputs.", "pooler.", "sequence_summary.")
"""Prefixes of the weights that belong to the head in the architectures of transformers."""


def question_answerer(*, init: Source, attn_implementation: Attention | None = None) -> "PreTrainedModel":
    """Return a published encoder with a new, randomly initialized head for the start and end of answers, in fp32.

    Args:
        init: The repository of the encoder. Its weights are converted to fp32.
        attn_implementation: How attention is computed. Default: transformers chooses, usually `sdpa`.

    Raises:
        IntegrityError: The repository lacks weights of the encoder.
        UsageError: This kind of attention cannot be used here.
    """
    return load_with_new_head(QUESTION_ANSWERER, init, HEADS, "encoder", attn_implementation, 2)
