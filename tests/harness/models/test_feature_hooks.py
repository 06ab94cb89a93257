"""Taps: any module's input or output by path, inside the `with` only, whatever comes after it in the forward."""

import pytest
import torch
from torch import Tensor, nn

from harness.models.feature_hooks import feature_hooks
from harness.models.outputs import run_model
from zoo.errors import UsageError
from zoo.models import bert_classifier, cifar_resnet


class InPlace(nn.Module):
    """What a ResNet does to its tensors: changes them after others have seen them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.conv(x))
        out += x
        self.calls += 1
        return self.relu(out)


class Nested(nn.Module):
    """Called with keywords, returns a dict of tuples."""

    def forward(self, *, image: Tensor, scale: float) -> dict[str, object]:
        return {"scale": scale, "pair": (image * scale, {"deep": image + 1})}


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Nested()

    def forward(self, x: Tensor) -> Tensor:
        found = self.inner(image=x, scale=2.0)
        first: Tensor = found["pair"][0]
        return first


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_a_tap_holds_what_passed_before_it_was_changed_in_place() -> None:
    model, x = InPlace(), torch.randn(3, 1, 4, 4)
    with feature_hooks(model, ["conv", "relu#0", "relu#1:input", "relu#*", ":input"]) as seen:
        out = model(x)
    assert torch.equal(seen["conv"], nn.functional.conv2d(x, model.conv.weight, model.conv.bias))
    assert torch.equal(seen["relu#0"], seen["conv"].relu())
    assert torch.equal(seen["relu#1:input"], seen["relu#0"] + x)
    assert torch.equal(seen["relu#*"], torch.stack([seen["relu#0"], out]))
    assert torch.equal(seen[":input"], x)


def test_hooks_are_there_inside_the_with_only_also_after_an_error() -> None:
    model = InPlace()
    with feature_hooks(model, ["conv"]):
        assert hooks(model) == 1
        model(torch.zeros(1, 1, 2, 2))
    assert hooks(model) == 0
    with pytest.raises(RuntimeError, match="channels"), feature_hooks(model, ["conv:input"]):
        model(torch.zeros(1, 3, 2, 2))
    assert hooks(model) == 0


def test_tuples_dicts_and_keyword_inputs_are_read_by_item() -> None:
    model, x = Outer(), torch.randn(2, 3)
    paths = ["inner", "inner:output.pair.-1.deep", "inner:output.pair.1", "inner:input.image", "inner:input"]
    with feature_hooks(model, paths) as seen:
        model(x)
    assert torch.equal(seen["inner"], 2 * x)
    assert torch.equal(seen["inner:output.pair.-1.deep"], x + 1)
    assert torch.equal(seen["inner:output.pair.1"], x + 1)
    assert torch.equal(seen["inner:input.image"], x)
    assert torch.equal(seen["inner:input"], x)


def test_a_transformer_is_read_and_stopped_and_runs_on_as_before() -> None:
    model = bert_classifier(layers=3, hidden=32, heads=2, intermediate=32, vocab_size=50, num_labels=3).eval()
    inputs = {"input_ids": torch.arange(10).reshape(2, 5), "attention_mask": torch.ones(2, 5, dtype=torch.int64)}
    before = run_model(model, inputs).logits
    paths = ["bert.encoder.layer.0", "bert.embeddings:input.input_ids", "bert.encoder.layer.-2:input"]
    seen = run_model(model, inputs, [*paths, "bert:output.pooler_output"])
    assert torch.equal(seen.logits, model(**inputs).logits)
    torch.testing.assert_close(seen.logits, before, rtol=0, atol=1e-6)  # of which the last layer had one token
    assert torch.equal(seen["bert.embeddings:input.input_ids"], inputs["input_ids"])
    assert torch.equal(seen["bert.encoder.layer.0"], seen["bert.encoder.layer.-2:input"])
    assert seen["bert:output.pooler_output"].shape == (2, 32)
    stopped = run_model(model, inputs, paths, logits=False)
    assert stopped.output is None
    assert all(torch.equal(stopped[path], seen[path]) for path in paths)
    assert torch.equal(run_model(model, inputs).logits, before)


def test_a_forward_stops_at_the_last_tap_and_its_gradient_is_whole() -> None:
    model, x = cifar_resnet(depth=8, in_channels=1), torch.randn(2, 1, 8, 8)
    ran: list[str] = []
    for name in ("layer1", "layer2", "layer3", "fc"):
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: ran.append(name))
    run_model(model, x, ["layer2", "layer1.0:input"], logits=False)["layer2"].sum().backward()
    assert ran == ["layer1", "layer2"]
    assert model.conv1.weight.grad is not None
    assert model.layer3[0].conv1.weight.grad is None


def test_two_taps_of_one_model_alive_at_once_do_not_touch_each_other() -> None:
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
    assert hooks(model) == 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("layer9", "CifarResNet has no module 'layer9'; did you mean layer"),
        ("layer1.0.conv9", "did you mean layer1.0.conv"),
        ("layer1.-9", "has no module 'layer1.-9'"),
        ("fc:outputs", "'fc:outputs' is no tap; write PATH"),
        ("fc:output.logits", "there is no item 'logits'"),
        ("fc:input.4", "there is no item '4'; known: 0"),
        ("fc#1", "nothing to read at 'fc#1': fc ran 1 times"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_nearest(path: str, message: str) -> None:
    model = cifar_resnet(depth=8, in_channels=1)
    with pytest.raises(UsageError) as error, feature_hooks(model, [path]):
        model(torch.zeros(1, 1, 8, 8))
    assert message in str(error.value)
    assert hooks(model) == 0


def test_a_module_that_runs_several_times_must_be_asked_for_by_call() -> None:
    model = InPlace()
    with (
        pytest.raises(UsageError, match=r"relu ran 2 times in this forward; write relu#N:output"),
        feature_hooks(model, ["relu"]),
    ):
        model(torch.zeros(1, 1, 2, 2))
