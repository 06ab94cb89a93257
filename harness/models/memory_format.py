"""Move a model to its device and store its convolution weights in the memory format "channels last" where it is faster.

Why: the CPU kernels of convolutions compute in channels last, and so do the tensor cores of CUDA devices in half
precision. With weights in this format, torch does not convert tensors before and after every layer.

When: for models of `zoo` and `torchvision` on a CPU, or in half precision on a CUDA device, if all their convolutions
suit the kernels.

Effect: the order of values in memory changes; shapes and values stay the same, to rounding.
"""

import torch
from torch import nn

from zoo.recipes.claim import Precision
from zoo.trusted_code import ANY_MEMORY_FORMAT, comes_from

VECTOR = 16
"""Channels that a kernel processes at once. With two channels, torch's backward pass in channels last crashes."""


def place_model(model: nn.Module, device: torch.device, precision: Precision = "fp32") -> nn.Module:
    """Move a model to a device, in channels last where that is safe and faster; return the same model.

    Models of other packages keep their format: they may call `view` on features, which depends on the order in memory.
    """
    model.to(device)
    if (
        _computes_channels_last(device, precision)
        and comes_from(model, ANY_MEMORY_FORMAT)
        and _suits_channels_last(model)
    ):
        model.to(memory_format=torch.channels_last)
    return model


def _computes_channels_last(device: torch.device, precision: Precision) -> bool:
    return device.type == "cpu" or (device.type == "cuda" and precision in ("bf16", "fp16"))


def _suits_channels_last(model: nn.Module) -> bool:
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return all(layer.out_channels % VECTOR == 0 and layer.groups == 1 for layer in convolutions)
