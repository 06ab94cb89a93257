"""Faults that only a CUDA device would show in a training, found on the CPU."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.models.deterministic_kernels import BY_INDEX, ON_CPU, SEPARABLE

Arguments = Mapping[str, Any]
RAISING: dict[str, Callable[[Arguments], bool]] = {
    "put_": lambda _: True,
    "index_reduce": lambda _: True,
    "index_reduce_": lambda _: True,
    "scatter_reduce.two": lambda arguments: arguments["reduce"] == "prod",
    "scatter_reduce_.two": lambda arguments: arguments["reduce"] == "prod",
    "bincount": lambda arguments: arguments.get("weights") is not None,
    "cumsum": lambda arguments: arguments["self"].is_floating_point() or arguments["self"].is_complex(),
    "kthvalue": lambda _: True,
    "median.dim": lambda _: True,
    "nanmedian.dim": lambda _: True,
    "_embedding_bag_dense_backward": lambda arguments: arguments["mode"] == 2,  # the maximum
    "resize_": lambda arguments: arguments["self"].is_quantized,
}
"""Operations that raise an error on CUDA devices with deterministic algorithms, and the arguments for which they do.

`deterministic_kernels` has kernels for the others that torch lists.
"""
LISTED = {
    "torch.nn.AvgPool3d": "avg_pool3d_backward",
    "torch.nn.AdaptiveAvgPool2d": "_adaptive_avg_pool2d_backward",
    "torch.nn.AdaptiveAvgPool3d": "_adaptive_avg_pool3d_backward",
    "torch.nn.MaxPool3d": "max_pool3d_with_indices_backward",  # until torch 2.9
    "torch.nn.AdaptiveMaxPool2d": "adaptive_max_pool2d_backward",
    "torch.nn.FractionalMaxPool2d": "fractional_max_pool2d_backward",
    "torch.nn.FractionalMaxPool3d": "fractional_max_pool3d_backward",
    "torch.nn.MaxUnpool1d": "max_unpool2d",
    "torch.nn.MaxUnpool2d": "max_unpool2d",
    "torch.nn.MaxUnpool3d": "max_unpool3d",
    "torch.nn.functional.interpolate": "upsample_bilinear2d_backward",
    "torch.nn.ReflectionPad1d": "reflection_pad1d_backward",
    "torch.nn.ReflectionPad2d": "reflection_pad2d_backward",
    "torch.nn.ReflectionPad3d": "reflection_pad3d_backward",
    "torch.nn.NLLLoss": "nll_loss2d_forward",
    "torch.nn.CTCLoss": "_ctc_loss_backward",
    "torch.nn.EmbeddingBag": "_embedding_bag_dense_backward",
    "torch.Tensor.put_": "put_",
    "torch.histc": "histc",
    "torch.bincount": "bincount",
    "torch.kthvalue": "kthvalue",
    "torch.median": "median.dim",
    "torch.nn.functional.grid_sample": "grid_sampler_2d_backward",
    "torch.Tensor.scatter_reduce": "scatter_reduce.two",
    "torch.Tensor.resize_": "resize_",
    "torch.cumsum": "cumsum",  # until torch 2.9
}
"""The entries that `torch.use_deterministic_algorithms` documents as raising an error, and their operations."""
KNOWN = {*RAISING, *SEPARABLE, *BY_INDEX, *ON_CPU}


class RaisingOperations(TorchDispatchMode):
    """Collects the operations in the `with` block that would raise an error on a CUDA device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::")
        self.count += 1
        if name in RAISING:
            names = [argument.name for argument in func._schema.arguments]
            if RAISING[name]({**dict(zip(names, args, strict=False)), **(kwargs or {})}):
                self.found.add(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def only_deterministic_operations() -> Iterator[None]:
    """Check that no operation in the block raises an error on a CUDA device with deterministic algorithms."""
    with RaisingOperations() as operations:
        yield
    assert operations.count
    assert not operations.found, "no deterministic kernel on CUDA"


def no_tensor_on_the_default_device() -> torch.device:
    """Return a context in which tensors that are made without `device=` cannot be used with those of the batch."""
    return torch.device("meta")
