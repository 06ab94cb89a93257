"""Which quantized models this machine can run."""

import pytest
import torch

from harness.models.quantized import check_quantized, is_quantized_call
from zoo.errors import NotComparableError
from zoo.recipes.values import Call

CPU = torch.device("cpu")


def call(name: str, **arguments: object) -> Call:
    return Call(use=f"torchvision.models.quantization.{name}", args={"quantize": True, **arguments})


def test_only_a_call_that_quantizes_is_checked() -> None:
    assert not is_quantized_call(Call(use="resnet18"))
    assert not is_quantized_call(call("resnet18", quantize=False))
    check_quantized(Call(use="resnet18"), torch.device("cuda"), "bf16")


@pytest.mark.parametrize(
    ("model", "engines", "missing"),
    [
        (call("resnet18", backend="fbgemm"), ["none", "qnnpack"], "for fbgemm; this build of torch has qnnpack"),
        (call("resnet18"), ["qnnpack"], "for fbgemm"),
        (call("mobilenet_v2"), ["fbgemm", "x86"], "for qnnpack; this build of torch has fbgemm, x86"),
        (call("mobilenet_v2"), ["none"], "for qnnpack; this build of torch has none"),
        (call("mobilenet_v2"), ["qnnpack"], ""),
        (call("resnet18"), ["none", "fbgemm"], ""),
    ],
)
def test_a_missing_backend_is_named(
    model: Call, engines: list[str], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", engines)
    if not missing:
        check_quantized(model, CPU, "fp32")
        return
    with pytest.raises(NotComparableError, match=missing):
        check_quantized(model, CPU, "fp32")


@pytest.mark.parametrize(
    ("device", "precision", "problem"), [("cuda", "fp32", "--device cpu"), ("cpu", "bf16", "bf16")]
)
def test_quantized_weights_compute_on_the_cpu_in_one_precision(
    device: str, precision: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", ["fbgemm"])
    model = call("resnet18", backend="fbgemm")
    with pytest.raises(NotComparableError, match=problem):
        check_quantized(model, torch.device(device), precision)
