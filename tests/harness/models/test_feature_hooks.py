"""Feature hooks read the input or output of any module by its path, and leave the model unchanged."""

import pytest
import torch
from torch import Tensor, nn

from harness.models.feature_hooks import feature_hooks
from harness.models.outputs import run_model
from harness.models.rounding import rounding_tolerance, terms_of
from zoo.errors import UsageError
from zoo.models import bert_classifier, cifar_resnet


class InPlace(nn.Module):
    """Changes tensors in place after hooks have read them, as a ResNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.conv(x))
        out += x
        return self.relu(out)


class Nested(nn.Module):
    """Takes keyword arguments, and returns a dict with nested tuples."""

    def forward(self, *, image: Tensor, scale: float) -> dict[str, object]:
        return {"scale": scale, "pair": (image * scale, {"deep": image + 1})}


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Nested()

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.inner(image=x, scale=2.0)
        first: Tensor = outputs["pair"][0]
        return first


def number_of_hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_a_feature_keeps_its_value_when_the_model_changes_the_tensor_in_place() -> None:
    model, x = InPlace(), torch.randn(3, 1, 4, 4)
    with feature_hooks(model, ["conv", "relu#0", "relu#1:input", "relu#*", ":input"]) as features:
        out = model(x)
    assert torch.equal(features["conv"], nn.functional.conv2d(x, model.conv.weight, model.conv.bias))
    assert torch.equal(features["relu#0"], features["conv"].relu())
    assert torch.equal(features["relu#1:input"], features["relu#0"] + x)
    assert torch.equal(features["relu#*"], torch.stack([features["relu#0"], out]))
    assert torch.equal(features[":input"], x)


def test_hooks_are_removed_after_the_with_block_and_after_an_error() -> None:
    model = InPlace()
    with feature_hooks(model, ["conv"]):
        assert number_of_hooks(model) == 1
        model(torch.zeros(1, 1, 2, 2))
    assert number_of_hooks(model) == 0
    with pytest.raises(RuntimeError, match="channels"), feature_hooks(model, ["conv:input"]):
        model(torch.zeros(1, 3, 2, 2))
    assert number_of_hooks(model) == 0


def test_items_of_tuples_dicts_and_keyword_arguments_can_be_read() -> None:
    model, x = Outer(), torch.randn(2, 3)
    paths = ["inner", "inner:output.pair.-1.deep", "inner:output.pair.1", "inner:input.image", "inner:input"]
    with feature_hooks(model, paths) as features:
        model(x)
    assert torch.equal(features["inner"], 2 * x)
    assert torch.equal(features["inner:output.pair.-1.deep"], x + 1)
    assert torch.equal(features["inner:output.pair.1"], x + 1)
    assert torch.equal(features["inner:input.image"], x)
    assert torch.equal(features["inner:input"], x)


def test_reading_or_stopping_a_transformer_does_not_change_its_logits() -> None:
    model = bert_classifier(layers=3, hidden=32, heads=2, intermediate=32, vocab_size=50, num_labels=3).eval()
    inputs = {"input_ids": torch.arange(10).reshape(2, 5), "attention_mask": torch.ones(2, 5, dtype=torch.int64)}
    plain = run_model(model, inputs).logits
    paths = ["bert.encoder.layer.0", "bert.embeddings:input.input_ids", "bert.encoder.layer.-2:input"]
    outputs = run_model(model, inputs, [*paths, "bert:output.pooler_output"])
    assert torch.equal(outputs.logits, model(**inputs).logits)
    # without paths, the last layer computes one token only
    allowed = rounding_tolerance(torch.float32, terms_of(model))
    torch.testing.assert_close(outputs.logits, plain, rtol=0, atol=allowed)
    assert torch.equal(outputs["bert.embeddings:input.input_ids"], inputs["input_ids"])
    assert torch.equal(outputs["bert.encoder.layer.0"], outputs["bert.encoder.layer.-2:input"])
    assert outputs["bert:output.pooler_output"].shape == (2, 32)
    stopped = run_model(model, inputs, paths, logits=False)
    assert stopped.output is None
    assert all(torch.equal(stopped[path], outputs[path]) for path in paths)
    assert torch.equal(run_model(model, inputs).logits, plain)


def test_a_forward_pass_that_stops_at_the_last_feature_has_the_full_gradient() -> None:
    model, x = cifar_resnet(depth=8, in_channels=1), torch.randn(2, 1, 8, 8)
    called: list[str] = []
    for name in ("layer1", "layer2", "layer3", "fc"):
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: called.append(name))
    run_model(model, x, ["layer2", "layer1.0:input"], logits=False)["layer2"].sum().backward()
    assert called == ["layer1", "layer2"]
    assert model.conv1.weight.grad is not None
    assert model.layer3[0].conv1.weight.grad is None


def test_nested_hooks_on_one_model_are_independent() -> None:
    model, x = cifar_resnet(depth=8, in_channels=1).eval(), torch.randn(1, 1, 8, 8)
    with feature_hooks(model, ["layer1"]) as alone:
        model(x)
    with feature_hooks(model, ["layer1", "fc:input"]) as outer, feature_hooks(model, ["layer1", "layer3"]) as inner:
        model(x)
    assert sorted(outer) == ["fc:input", "layer1"]
    assert sorted(inner) == ["layer1", "layer3"]
    assert torch.equal(outer["layer1"], alone["layer1"])
    inner["layer1"].zero_()
    assert torch.equal(outer["layer1"], alone["layer1"])
    assert number_of_hooks(model) == 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("layer9", "CifarResNet has no module 'layer9'; did you mean layer"),
        ("layer1.0.conv9", "did you mean layer1.0.conv"),
        ("layer1.-9", "has no module 'layer1.-9'"),
        ("fc:outputs", "'fc:outputs' is not a feature path; write PATH"),
        ("fc:output.logits", "there is no item 'logits'"),
        ("fc:input.4", "there is no item '4'; known: 0"),
        ("fc#1", "no tensor was read at the feature path 'fc#1': fc ran 1 times"),
    ],
)
def test_an_error_names_the_feature_path_and_suggests_the_nearest_one(path: str, message: str) -> None:
    model = cifar_resnet(depth=8, in_channels=1)
    with pytest.raises(UsageError) as error, feature_hooks(model, [path]):
        model(torch.zeros(1, 1, 8, 8))
    assert message in str(error.value)
    assert number_of_hooks(model) == 0


def test_a_module_that_runs_several_times_needs_the_number_of_a_call() -> None:
    model = InPlace()
    with (
        pytest.raises(UsageError, match=r"relu ran 2 times in this forward pass; write relu#N:output"),
        feature_hooks(model, ["relu"]),
    ):
        model(torch.zeros(1, 1, 2, 2))


def test_calls_with_different_shapes_cannot_be_stacked() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            first: Tensor = self.relu(x)
            self.relu(x[:1])
            return first

    model = Twice()
    with (
        pytest.raises(UsageError, match=r"'relu#\*': relu ran 2 times in this forward pass, with different shapes"),
        feature_hooks(model, ["relu#*"]),
    ):
        model(torch.zeros(2, 3))
