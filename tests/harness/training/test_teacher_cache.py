"""Teacher outputs that are computed once for all rows."""

import pytest
import torch
from torch import nn

from harness.models.environment import accelerator_on
from harness.models.rounding import rounding_tolerance, terms_of
from harness.training import teacher_cache
from harness.training.objective import ModelReads
from harness.training.teacher import LiveTeachers
from harness.training.teacher_cache import CachedTeachers, cache_teacher_outputs
from tests.helpers.device import device
from zoo.fetch import weights_file
from zoo.fetch.sources import Sources
from zoo.models import cifar_resnet
from zoo.tasks import digits
from zoo.tasks.splits import TensorSplit


@pytest.fixture
def teacher() -> nn.Module:
    model = cifar_resnet(depth=14, width=16, in_channels=1)
    weights_file.load_into(model, Sources().fetch("embedded:digits-resnet14.safetensors").path)
    return model


def test_cached_outputs_equal_those_of_the_live_teacher(teacher: nn.Module) -> None:
    split, accelerator = digits().load("train"), accelerator_on(device())
    live = LiveTeachers({"t": teacher}, {"t": ModelReads(("layer2:output", "fc:input"), True)}, accelerator.device)
    cached = cache_teacher_outputs(live, split, accelerator)
    assert isinstance(cached, CachedTeachers)
    rows = split.batch([898, 3, 3, 500], accelerator.device)
    stored, computed = cached(rows)["t"], live(rows)["t"]
    pairs = [(stored[path], computed[path]) for path in computed.features]
    for found, expected in [*pairs, (stored.logits, computed.logits)]:
        allowed = rounding_tolerance(torch.float32, terms_of(teacher), float(expected.abs().max()))
        torch.testing.assert_close(found, expected, rtol=0, atol=allowed)
    assert not cached(rows)["t"].logits.requires_grad
    assert not cached(rows)["t"].logits.is_inference()


class Noisy(TensorSplit):
    """A split whose rows are declared to change at every call."""

    fixed = False


def test_outputs_that_change_or_are_too_large_are_not_cached(
    teacher: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, accelerator = digits().load("train"), accelerator_on(device())
    assert isinstance(split, TensorSplit)
    live = LiveTeachers({"t": teacher}, {"t": ModelReads((), True)}, accelerator.device)
    assert cache_teacher_outputs(live, Noisy(split.inputs, split.labels), accelerator) is live
    tokens = LiveTeachers({"t": nn.Flatten(0)}, {"t": ModelReads((), True)}, accelerator.device)
    assert cache_teacher_outputs(tokens, split, accelerator) is tokens
    monkeypatch.setattr("harness.training.teacher_cache.MAX_BYTES", 1000)
    assert cache_teacher_outputs(live, split, accelerator) is live


def test_cached_outputs_are_on_the_device_if_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    device, tensors = torch.device("meta"), {"a": torch.zeros(10), "b": torch.zeros(6)}
    for free, kept in ((256, device), (255, torch.device("cpu"))):
        monkeypatch.setattr(teacher_cache, "free_memory", lambda _, free=free: free)
        assert {value.device for value in teacher_cache._kept_on(device, tensors).values()} == {kept}
