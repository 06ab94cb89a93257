"""Text classifiers of transformers: a published encoder with a new head."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from zoo.errors import UsageError
from zoo.fetch.sources import Source
from zoo.models.attention import Attention
from zoo.models.auto_classes import TEXT_CLASSIFIER
from zoo.models.published import load_with_new_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEADS = ("classifier.", "score.", "pre_classifier.", "classification_head.", "dropout.")
"""Prefixes of the weights that belong to the head in the architectures of transformers."""


def sequence_classifier(
    *,
    init: Source,
    num_labels: int,
    layers: Sequence[int] | None = None,
    attn_implementation: Attention | None = None,
) -> "PreTrainedModel":
    """Return a published encoder with a new, randomly initialized classification head, in fp32.

    Args:
        init: The repository of the encoder. Its weights are converted to fp32.
        num_labels: The number of outputs.
        layers: Keep only these layers of the encoder, numbered from 0. A student can so start from some layers of its
            teacher's encoder (Sanh et al., DistilBERT, 2019, section 2). Default: all layers.
        attn_implementation: How attention is computed. Default: transformers chooses, usually `sdpa`.

    Raises:
        IntegrityError: The repository lacks weights of the encoder.
        UsageError: The encoder does not have one of `layers`, or this kind of attention cannot be used here.
    """
    model = load_with_new_head(TEXT_CLASSIFIER, init, HEADS, "encoder", attn_implementation, num_labels)
    if layers is not None:
        _keep_layers(model, layers)
    return model


def _keep_layers(model: "PreTrainedModel", layers: Sequence[int]) -> None:
    """Remove all other layers from the encoder. The layers stay in the order of `layers`."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == model.config.num_hidden_layers:
                if not layers or not all(0 <= layer < len(child) for layer in layers):
                    raise UsageError(f"layers must be numbers from 0 to {len(child) - 1}, not {list(layers)}")
                setattr(module, name, nn.ModuleList(child[layer] for layer in layers))
                model.config.num_hidden_layers = len(layers)
                return
    count = model.config.num_hidden_layers
    raise UsageError(f"{type(model).__name__} has no list of {count} layers; leave out the argument 'layers'")
