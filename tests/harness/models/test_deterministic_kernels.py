"""Deterministic kernels for CUDA compute what torch's kernels do. They are tested on the CPU, in their place."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.models.deterministic_kernels import BY_INDEX, ON_CPU, SEPARABLE, register_kernels
from harness.models.environment import deterministic
from tests.helpers.operations import KNOWN, LISTED
from zoo.errors import UsageError

Function = Callable[[Tensor], Tensor]
MASK = torch.tensor([[[0, 255, 2], [1, 1, 255]], [[2, 0, 0], [255, 1, 2]]])
WEIGHT = torch.tensor([0.5, 0.0, 2.0], dtype=torch.float64)
PLANES = torch.tensor([[[0.3, 0.8]]], dtype=torch.float64).expand(2, 3, 2)
VOLUMES = torch.tensor([[[0.3, 0.8, 0.1]]], dtype=torch.float64).expand(2, 3, 3)
GRID = torch.linspace(-1.2, 1.2, 2 * 4 * 4 * 2, dtype=torch.float64).reshape(2, 4, 4, 2)
LENGTHS = torch.tensor([7, 6, 5]), torch.tensor([2, 1, 3])
LINE, IMAGE, VOLUME, PIXELS = (2, 3, 7), (2, 3, 7, 5), (2, 3, 6, 5, 4), (2, 3, 2, 3)
CASES: dict[str, tuple[tuple[int, ...], Function]] = {
    "cross-entropy of pixels": (PIXELS, lambda x: F.cross_entropy(x, MASK.to(x.device), ignore_index=255)),
    "its sum": (PIXELS, lambda x: F.cross_entropy(x, MASK.to(x.device), ignore_index=255, reduction="sum")),
    "without a mean": (PIXELS, lambda x: F.cross_entropy(x, MASK.to(x.device), ignore_index=255, reduction="none")),
    "weighted": (PIXELS, lambda x: F.cross_entropy(x, MASK.to(x.device), ignore_index=255, weight=WEIGHT.to(x))),
    "smoothed": (PIXELS, lambda x: F.cross_entropy(x, MASK.to(x.device) % 255, label_smoothing=0.1)),
    "all ignored": (PIXELS, lambda x: F.cross_entropy(x, MASK.to(x.device) * 0, ignore_index=0)),
    "adaptive average": (IMAGE, lambda x: F.adaptive_avg_pool2d(x, (3, 4))),
    "of one image": (IMAGE[1:], lambda x: F.adaptive_avg_pool2d(x, (2, 7))),
    "adaptive average 3D": (VOLUME, lambda x: F.adaptive_avg_pool3d(x, (4, 2, 3))),
    "average 3D": (VOLUME, lambda x: F.avg_pool3d(x, (3, 2, 2), (2, 1, 2), (1, 0, 1), count_include_pad=False)),
    "average 3D, padded": (VOLUME, lambda x: F.avg_pool3d(x, 3, 2, 1, ceil_mode=True)),
    "average 3D, divided": (VOLUME, lambda x: F.avg_pool3d(x, 2, divisor_override=3)),
    "reflection 1D": (LINE, lambda x: F.pad(x, (2, 3), mode="reflect")),
    "reflection 2D": (IMAGE, lambda x: F.pad(x, (2, 0, 3, 1), mode="reflect")),
    "reflection 3D": (VOLUME, lambda x: F.pad(x, (1, 2, 0, 3, 2, 1), mode="reflect")),
    "linear": (LINE, lambda x: F.interpolate(x, 11, mode="linear")),
    "bilinear": (IMAGE, lambda x: F.interpolate(x, (4, 9), mode="bilinear", align_corners=True)),
    "bilinear by factors": (IMAGE, lambda x: F.interpolate(x, scale_factor=(1.7, 0.6), mode="bilinear")),
    "bicubic": (IMAGE, lambda x: F.interpolate(x, (10, 3), mode="bicubic")),
    "bicubic by factors": (IMAGE, lambda x: F.interpolate(x, scale_factor=1.3, mode="bicubic", align_corners=True)),
    "bilinear, smooth": (IMAGE, lambda x: F.interpolate(x, (3, 2), mode="bilinear", antialias=True)),
    "bicubic, smooth": (IMAGE, lambda x: F.interpolate(x, scale_factor=0.7, mode="bicubic", antialias=True)),
    "trilinear": (VOLUME, lambda x: F.interpolate(x, (3, 8, 5), mode="trilinear")),
    "adaptive maximum": (IMAGE, lambda x: F.adaptive_max_pool2d(x, (3, 4))),
    "maximum of one image": (IMAGE[1:], lambda x: F.adaptive_max_pool2d(x, 3)),
    "adaptive maximum 3D": (VOLUME, lambda x: F.adaptive_max_pool3d(x, (4, 2, 3))),
    "maximum 3D": (VOLUME, lambda x: F.max_pool3d(x, 3, 1, 1)),
    "fractional maximum": (IMAGE, lambda x: F.fractional_max_pool2d(x, 2, 3, _random_samples=PLANES.to(x))),
    "fractional maximum 3D": (VOLUME, lambda x: F.fractional_max_pool3d(x, 2, 2, _random_samples=VOLUMES.to(x))),
}
OF_THE_CPU: dict[str, tuple[tuple[int, ...], Function]] = {
    "grid": (IMAGE, lambda x: F.grid_sample(x, GRID.to(x), align_corners=False)),
    "grid 3D": (VOLUME, lambda x: F.grid_sample(x, x.new_ones(2, 2, 2, 2, 3) / 3, align_corners=False)),
    "unpool": ((2, 3, 6, 4), lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
    "unpool 3D": ((2, 3, 4, 2, 4), lambda x: F.max_unpool3d(*F.max_pool3d(x, 2, return_indices=True), 2)),
    "histogram": (LINE, lambda x: x.sum() * torch.histc(x.detach(), 4)),
    "CTC": (LINE[::-1], lambda x: F.ctc_loss(x.log_softmax(2), x.new_tensor([[1, 2, 2]] * 3).long(), *LENGTHS)),
}


def result_and_gradient(shape: tuple[int, ...], function: Function, on: str = "cpu") -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(shape, generator=generator, dtype=torch.float64).to(on).requires_grad_()
    result = function(values)
    (result * torch.randn(result.shape, generator=generator, dtype=torch.float64).to(on)).sum().backward()
    assert values.grad is not None
    return result.detach(), values.grad


def counted(called: list[str], name: str) -> Callable[..., object]:
    kernel = {**SEPARABLE, **BY_INDEX}[name]
    return lambda *arguments: called.append(name) or kernel(*arguments)  # type: ignore[func-returns-value]


def test_each_kernel_gives_the_results_and_gradients_of_torch() -> None:
    expected = {name: result_and_gradient(*case) for name, case in CASES.items()}
    called: list[str] = []
    kernels = register_kernels({name: counted(called, name) for name in (*SEPARABLE, *BY_INDEX)}, "CPU")
    found = {name: result_and_gradient(*case) for name, case in CASES.items()}
    del kernels
    assert {*called} == {*SEPARABLE, *BY_INDEX}
    for name, results in found.items():
        for ours, theirs in zip(results, expected[name], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12, equal_nan=True, msg=name)
    calls = len(called)
    result_and_gradient(*CASES["bicubic"])
    assert len(called) == calls, "torch has its own kernels back"


def test_labels_of_another_size_are_refused_as_by_torch() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        BY_INDEX["nll_loss2d_forward"](torch.zeros(2, 3, 4, 4), MASK, None, 1, 255)


def test_the_loss_of_pixels_in_half_precision_counts_more_pixels_than_it_can_represent() -> None:
    logits, target = torch.full((1, 2, 300, 300), -0.5).half(), torch.zeros(1, 300, 300, dtype=torch.int64)
    loss, _ = BY_INDEX["nll_loss2d_forward"](logits, target, None, 1, 255)
    assert (loss.item(), loss.dtype) == (0.5, torch.float16)


def test_every_operation_that_torch_lists_is_known() -> None:
    documented = str(torch.use_deterministic_algorithms.__doc__).partition("operations will throw a")[2]
    documented = documented.partition("In addition,")[0]
    listed = set(re.findall(r"\* :\w+:`([\w.]+)`", documented))
    assert listed <= LISTED.keys()
    assert {LISTED[name] for name in listed} <= KNOWN


@pytest.mark.cpu_only(reason="on a CUDA device other tests have registered them, and torch 2.9 refuses to do so twice")
def test_the_kernels_can_be_registered_for_cuda_in_every_build_of_torch() -> None:
    assert register_kernels({**SEPARABLE, **BY_INDEX, **ON_CPU}, "CUDA")


@pytest.mark.parametrize("has_cuda", [False, True])
def test_runs_use_the_kernels_where_there_is_a_cuda_device(has_cuda: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr("harness.models.environment.use_on_cuda", lambda: calls.append(1))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    with deterministic():
        assert bool(calls) == has_cuda


def test_an_operation_without_a_deterministic_kernel_is_an_error_that_names_it() -> None:
    with (
        pytest.raises(UsageError, match="torch has no deterministic algorithm for put_ on this device"),
        deterministic(),
    ):
        torch.zeros(3).put_(torch.tensor([1]), torch.tensor([2.0]))
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_operation_that_is_computed_on_the_cpu_gives_the_same_result() -> None:
    values, grid = torch.randn(2, 3, 7, 5), GRID.float()
    arguments = (torch.randn(2, 3, 4, 4), values, grid, 0, 0, False, [True, True])
    expected = torch.ops.aten.grid_sampler_2d_backward(*arguments)
    for ours, theirs in zip(ON_CPU["grid_sampler_2d_backward"](*arguments), expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.cuda
@pytest.mark.parametrize("name", [*CASES, *OF_THE_CPU])
def test_operations_without_a_deterministic_kernel_run_on_cuda(name: str) -> None:
    """Twice with equal bits, and with the results of the CPU."""
    shape, function = {**CASES, **OF_THE_CPU}[name]
    expected = result_and_gradient(shape, function)
    with deterministic():
        first, second = (result_and_gradient(shape, function, "cuda") for _ in range(2))
    for one, two, theirs in zip(first, second, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(one.cpu(), theirs, rtol=1e-12, atol=1e-12, equal_nan=True)
