"""Leaving out what no logits are made of: in the last layer of an encoder, all tokens but the first."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from zoo.trusted_code import STANDARD_LAYERS, comes_from

PLACES = {
    "BertForSequenceClassification": ("bert.encoder.layer", "attention.output"),
    "CamembertForSequenceClassification": ("roberta.encoder.layer", "attention.output"),
    "DistilBertForSequenceClassification": ("distilbert.transformer.layer", "sa_layer_norm"),
    "ElectraForSequenceClassification": ("electra.encoder.layer", "attention.output"),
    "RobertaForSequenceClassification": ("roberta.encoder.layer", "attention.output"),
    "XLMRobertaForSequenceClassification": ("roberta.encoder.layer", "attention.output"),
}
"""Classifiers of transformers that read the first token alone: their layers, and from where on in the last of them
tokens do not meet any more."""
_REGISTERING = Lock()


@contextmanager
def cls_token_pruning(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """What comes after the last attention is computed of the first token only, in a forward inside the `with`.

    To rounding the logits are the same, and so are the gradients: the other tokens have no path to them. Dropout that
    is active there draws for one token, not for all. Nothing is left out of a model that is not known to read one
    token, whose last layer is another one too, or of whose modules one is another's code or has another's hooks. Gives
    what was read inside: nothing.
    """
    place = _place(model)
    if place is None:
        yield {}
        return
    with _REGISTERING:  # several threads may run one model
        handle = place.register_forward_pre_hook(_first)
    try:
        yield {}
    finally:
        with _REGISTERING:
            handle.remove()


def _first(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments `(B, T, H)` of the first token, `(B, 1, H)`; beside another thread's forward it is called twice."""
    return tuple(value[:, :1] if isinstance(value, Tensor) else value for value in args)


def _place(model: nn.Module) -> nn.Module | None:
    """Before which module tokens part; None where it is not known that nothing but logits would tell."""
    if type(model).__name__ not in PLACES or _has_any_global_hook():  # type: ignore[no-untyped-call]
        return None
    path, inside = PLACES[type(model).__name__]
    modules = [module for _, module in model.named_modules(remove_duplicate=False)]
    try:
        layers: Any = model.get_submodule(path)
        place: nn.Module = layers[-1].get_submodule(inside)
    except (AttributeError, IndexError, TypeError):  # of another version of transformers, or without layers
        return None
    once = sum(module is place for module in modules) == 1  # a layer may have several places, the last among them
    return place if once and all(map(_is_plain, modules)) else None


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is as its package makes it: no method is replaced, and no hook but ours reads what it computes.

    Classes that were changed in place are not seen. What is checkpointed is computed again after the `with`, and chunks
    of one token are of another number.
    """
    own = vars(module)
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return (
        comes_from(module, STANDARD_LAYERS)
        and not any(callable(value) for name, value in own.items() if name != "act")  # what an activation computes
        and not (module._backward_hooks or module._backward_pre_hooks)
        and all(hook is _first for hook in hooks)
        and not own.get("gradient_checkpointing", False)
        and not own.get("chunk_size_feed_forward", 0)
    )
