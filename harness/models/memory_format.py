"""Where a model lies: its device, and on a CPU the order of its weights in memory."""

import torch
from torch import nn

from zoo.trusted_code import ANY_MEMORY_FORMAT, comes_from

VECTOR = 16
"""Channels that a kernel takes at once. With two channels torch's own dies in the backward pass of channels last."""


def place_model(model: nn.Module, device: torch.device) -> nn.Module:
    """The model on a device; on a CPU its convolutions with channels last, which is how their kernels compute.

    Other code may `view` what it computes, for which the order counts: its models stay as they are.
    """
    model.to(device)
    if device.type == "cpu" and comes_from(model, ANY_MEMORY_FORMAT) and _suits(model):
        model.to(memory_format=torch.channels_last)
    return model


def _suits(model: nn.Module) -> bool:
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return all(one.out_channels % VECTOR == 0 and one.groups == 1 for one in convolutions)
