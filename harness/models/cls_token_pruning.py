"""Skip the tokens that cannot affect the logits in the last layer of a text classifier.

Why: BERT-like classifiers compute their logits from the first token ([CLS]) alone. In the last layer, tokens only
exchange information in the attention. After it, every operation treats each token separately, so the results of all
other tokens are discarded. Skipping them saves most of the feed-forward block of the last layer.

When: for the classes of transformers in `PRUNING_POINTS`, if their modules are unmodified and nobody reads features.

Effect: logits and gradients are unchanged to rounding. The skipped tokens have no path to the logits. One difference
remains while dropout is active: it draws random numbers for one token instead of for all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from zoo.trusted_code import STANDARD_LAYERS, comes_from

PRUNING_POINTS = {
    "BertForSequenceClassification": ("bert.encoder.layer", "attention.output"),
    "CamembertForSequenceClassification": ("roberta.encoder.layer", "attention.output"),
    "DistilBertForSequenceClassification": ("distilbert.transformer.layer", "sa_layer_norm"),
    "ElectraForSequenceClassification": ("electra.encoder.layer", "attention.output"),
    "RobertaForSequenceClassification": ("roberta.encoder.layer", "attention.output"),
    "XLMRobertaForSequenceClassification": ("roberta.encoder.layer", "attention.output"),
}
"""Classifiers that read only the first token -> the path of their list of layers, and the path inside the last layer of
the module after which tokens no longer interact."""
_HOOKS_LOCK = Lock()


@contextmanager
def cls_token_pruning(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Compute only the first token after the last attention, in each forward pass inside the `with` block.

    The model runs unpruned if it is not in `PRUNING_POINTS`, its last layer is also used elsewhere, it contains a
    module of other code, or a module has a foreign hook or a replaced method.

    Yields:
        An empty mapping, as this reads no features; `harness.models.feature_hooks.feature_hooks` yields those it reads.
    """
    module = _pruning_module(model)
    if module is None:
        yield {}
        return
    with _HOOKS_LOCK:  # several threads may run the same model
        handle = module.register_forward_pre_hook(_keep_first_token)
    try:
        yield {}
    finally:
        with _HOOKS_LOCK:
            handle.remove()


def _keep_first_token(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Cut hidden states `(B, T, H)` to `(B, 1, H)`. A second call, by the hook of another thread, changes nothing."""
    return tuple(value[:, :1] if isinstance(value, Tensor) else value for value in args)


def _pruning_module(model: nn.Module) -> nn.Module | None:
    """Return the module before which tokens can be dropped; None if anything but the logits could be affected."""
    if type(model).__name__ not in PRUNING_POINTS or _has_any_global_hook():  # type: ignore[no-untyped-call]
        return None
    layers_path, inner_path = PRUNING_POINTS[type(model).__name__]
    modules = [module for _, module in model.named_modules(remove_duplicate=False)]
    try:
        layers: Any = model.get_submodule(layers_path)
        target: nn.Module = layers[-1].get_submodule(inner_path)
    except (AttributeError, IndexError, TypeError):  # another version of transformers, or a model without layers
        return None
    used_once = sum(module is target for module in modules) == 1  # layers may share their weights
    return target if used_once and all(map(_is_unmodified, modules)) else None


def _is_unmodified(module: nn.Module) -> bool:
    """Return whether a module has no replaced method and no foreign hook. A class changed in place is not detected.

    Gradient checkpointing is excluded because it computes the layer again after the `with` block; chunked feed-forward
    because the chunk size need not divide one token.
    """
    attributes = vars(module)
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return (
        comes_from(module, STANDARD_LAYERS)
        and not any(callable(value) for name, value in attributes.items() if name != "act")  # an activation's function
        and not (module._backward_hooks or module._backward_pre_hooks)
        and all(hook is _keep_first_token for hook in hooks)
        and not attributes.get("gradient_checkpointing", False)
        and not attributes.get("chunk_size_feed_forward", 0)
    )
