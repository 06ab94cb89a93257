"""Image classifiers of transformers: a published backbone with a new head."""

from typing import TYPE_CHECKING

from zoo.fetch.sources import Source
from zoo.models.attention import Attention
from zoo.models.auto_classes import IMAGE_CLASSIFIER
from zoo.models.published import load_with_new_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEADS = ("classifier.", "cls_classifier.", "distillation_classifier.", "head.", "classification_head.")
"""Prefixes of the weights that belong to the head in the architectures of transformers."""


def image_classifier(
    *, init: Source, num_labels: int, attn_implementation: Attention | None = None
) -> "PreTrainedModel":
    """Return a published backbone with a new, randomly initialized classification head, in fp32.

    With `weights` that have their own configuration the published classifier is used as it is, and `init` is not read.

    Args:
        init: The repository of the backbone. A head in it must have this number of outputs.
        num_labels: The number of outputs.
        attn_implementation: How attention is computed. Default: transformers chooses, usually `sdpa`.

    Raises:
        IntegrityError: The repository lacks weights of the backbone.
        UsageError: This kind of attention cannot be used here.
    """
    return load_with_new_head(IMAGE_CLASSIFIER, init, HEADS, "backbone", attn_implementation, num_labels)
