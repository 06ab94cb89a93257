"""CLS-token pruning leaves logits and gradients unchanged, and does nothing if something else could be affected."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.cls_token_pruning import PRUNING_POINTS, cls_token_pruning
from harness.models.outputs import run_model
from tests.helpers.small_texts import take_gradients


@pytest.mark.parametrize("name", PRUNING_POINTS)
def test_pruning_leaves_logits_and_gradients_unchanged(name: str) -> None:
    model, inputs = _classifier(name)
    expected = model(**inputs).logits
    expected.square().sum().backward()
    unpruned = take_gradients(model)
    with _feed_forward_of_last_layer(model) as shapes:
        outputs = run_model(model, inputs)
        outputs.logits.square().sum().backward()
    assert shapes == [(3, 1, 24)]
    torch.testing.assert_close(outputs.logits, expected, rtol=0, atol=1e-12)
    for path, value in take_gradients(model).items():
        torch.testing.assert_close(value, unpruned[path], rtol=0, atol=1e-12, msg=path)
    assert not any(module._forward_pre_hooks for module in model.modules())


def _mean_pooled(model: Any) -> None:
    class Mean(nn.Module):
        def forward(self, hidden: Tensor) -> Tensor:
            return hidden.mean(1)

    model.bert.pooler = Mean()


def _with_other_forward(model: Any) -> None:
    forward = model.bert.pooler.forward
    model.bert.pooler.forward = lambda hidden: forward(hidden.flip(1))


def _with_other_feed_forward(model: Any) -> None:
    layer = model.bert.encoder.layer[-1]
    forward = layer.feed_forward_chunk
    layer.feed_forward_chunk = lambda hidden: forward(hidden.cumsum(1))


def _with_checkpoints(model: Any) -> None:
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")  # the second before transformers 5.20
    getattr(model, next(name for name in names if hasattr(model, name)))()


def _with_layers(*numbers: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        layers = model.bert.encoder.layer
        model.bert.encoder.layer = nn.ModuleList(layers[number] for number in numbers)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _mean_pooled,
        _with_other_forward,
        _with_other_feed_forward,
        _with_layers(0, 1, 1),
        _with_layers(0, 1, 0),
        _with_layers(),
        lambda model: model.bert.encoder.register_forward_hook(lambda *_: None),
        lambda model: model.bert.encoder.layer[-1].output.register_forward_pre_hook(lambda *_: None),
        lambda model: model.bert.encoder.layer[-1].register_full_backward_hook(lambda *_: None),
        lambda model: setattr(model.bert.encoder.layer[-1], "chunk_size_feed_forward", 5),
        lambda model: setattr(model.bert, "encoder", nn.Identity()),
        _with_checkpoints,
    ],
    ids=[
        "pooler", "forward", "feed-forward", "tied", "first-is-last", "none", "hook", "pre-hook", "backward-hook",
        "chunks", "no-such-path", "checkpointing",
    ],
)  # fmt: skip
def test_models_with_changed_or_watched_modules_are_not_pruned(change: Callable[[Any], Any]) -> None:
    model, _ = _classifier("BertForSequenceClassification")
    assert _is_pruned(model)
    change(model)
    assert not _is_pruned(model)


def _is_pruned(model: nn.Module) -> bool:
    hooks = [len(module._forward_pre_hooks) for module in model.modules()]
    with cls_token_pruning(model):
        return hooks != [len(module._forward_pre_hooks) for module in model.modules()]


@pytest.mark.parametrize("numbers", [(0, 1, 1), (0, 1, 0)])
def test_a_layer_that_is_used_twice_computes_all_tokens(numbers: tuple[int, ...]) -> None:
    model, inputs = _classifier("BertForSequenceClassification")
    _with_layers(*numbers)(model)
    inputs["attention_mask"] = torch.ones_like(inputs["attention_mask"])
    torch.testing.assert_close(run_model(model, inputs).logits, model(**inputs).logits, rtol=0, atol=0)


def test_a_global_hook_gets_all_tokens() -> None:
    model, inputs = _classifier("BertForSequenceClassification")
    shapes = []

    def record_shape(module: nn.Module, inputs: Any, output: Any) -> None:
        shapes.extend([tuple(output.shape)] if module is model.bert.encoder.layer[-1] else [])

    handle = nn.modules.module.register_module_forward_hook(record_shape)
    try:
        run_model(model, inputs)
    finally:
        handle.remove()
    assert shapes == [(3, 5, 24)]


def test_a_feature_of_the_last_layer_has_all_tokens() -> None:
    model, inputs = _classifier("BertForSequenceClassification")
    path = "bert.encoder.layer.-1"
    assert run_model(model, inputs, [path])[path].shape == (3, 5, 24)


def _classifier(name: str) -> tuple[Any, dict[str, Tensor]]:
    """Return a small model of transformers in float64 without dropout, and three rows, one of them padded."""
    config = getattr(transformers, name.replace("ForSequenceClassification", "Config"))
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40}
    sizes |= {"dim": 24, "n_layers": 2, "n_heads": 2, "hidden_dim": 40} if "Distil" in name else {}
    no_dropout = {
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "dropout": 0.0,
        "attention_dropout": 0.0,
    }
    torch.manual_seed(0)
    model = getattr(transformers, name)(
        config(vocab_size=30, num_labels=3, **sizes, **no_dropout, seq_classif_dropout=0.0)
    )
    mask = torch.tensor([[1, 1, 1, 1, 1]] * 2 + [[1, 1, 1, 0, 0]])
    return model.double().eval(), {"input_ids": torch.randint(3, 30, (3, 5)), "attention_mask": mask}


@contextmanager
def _feed_forward_of_last_layer(model: Any) -> Iterator[list[tuple[int, ...]]]:
    """Collect the input shapes of the feed-forward network in the last layer."""
    last = [
        module
        for name, module in model.named_modules()
        if name.endswith(("layer.1.intermediate.dense", "layer.1.ffn.lin1"))
    ]
    shapes: list[tuple[int, ...]] = []
    forward = F.linear

    def recorded(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        shapes.extend([tuple(values.shape)] if weight is last[0].weight else [])
        return forward(values, weight, bias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "linear", recorded)
        yield shapes
