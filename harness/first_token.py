"""Leaving out what no logits are made of: in the last layer of an encoder, all tokens but the first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from harness.taps import find_module

PLACES = {
    "BertForSequenceClassification": "bert.encoder.layer.-1.attention.output",
    "CamembertForSequenceClassification": "roberta.encoder.layer.-1.attention.output",
    "DistilBertForSequenceClassification": "distilbert.transformer.layer.-1.sa_layer_norm",
    "ElectraForSequenceClassification": "electra.encoder.layer.-1.attention.output",
    "RobertaForSequenceClassification": "roberta.encoder.layer.-1.attention.output",
    "XLMRobertaForSequenceClassification": "roberta.encoder.layer.-1.attention.output",
}
"""Classifiers of transformers that read the first token alone, and from where on the tokens are apart in the last
layer: after its attention, before the rest of it."""
PACKAGES = ("torch.nn.", "transformers.")


@contextmanager
def first_token_only(model: nn.Module) -> Iterator[None]:
    """What comes after the last attention is computed of the first token only, in a forward inside the `with`.

    The logits are the same, and so are the gradients: the other tokens have no path to them. Nothing is left out of a
    model that is not known to read one token, or of whose modules one is another's code or has another's hooks.
    """
    if not _reads_first_token(model):
        yield
        return
    handle = find_module(model, PLACES[type(model).__name__]).register_forward_pre_hook(_first)
    try:
        yield
    finally:
        handle.remove()


def _first(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments `(B, T, H)` of the first token, `(B, 1, H)`; in another thread's forward it may be called twice."""
    return tuple(value[:, :1] if isinstance(value, Tensor) else value for value in args)


def _reads_first_token(model: nn.Module) -> bool:
    return type(model).__name__ in PLACES and all(_is_plain(module) for module in model.modules())


def _is_plain(module: nn.Module) -> bool:
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return (
        type(module).__module__.startswith(PACKAGES)
        and "forward" not in vars(module)
        and not getattr(module, "chunk_size_feed_forward", 0)  # chunks of one token are of another number
        and not getattr(module, "gradient_checkpointing", False)  # computes it again, after the `with`
        and all(hook is _first for hook in hooks)
    )
