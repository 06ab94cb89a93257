"""Copies of the tensors of a split on a GPU, so that batches are formed there and not moved one by one."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from zoo.device_memory import free_memory

SHARE = 0.25
"""The share of the free memory of a GPU that the tensors of a split may fill."""
T = TypeVar("T")


class DeviceCopies:
    """The copies of the tensors of one split, by device. Each is made when the first batch is read on a device."""

    def __init__(self) -> None:
        self._copies: dict[torch.device, Any] = {}

    def on(self, device: torch.device, size: int, copy: Callable[[], T]) -> T | None:
        """Return the copy on a device; None for the CPU, and if the copy does not fit in the memory of the device.

        Args:
            device: The device.
            size: The bytes of the copy.
            copy: Makes the copy.
        """
        if device == torch.device("cpu"):
            return None
        if device not in self._copies:
            self._copies[device] = copy() if size <= SHARE * free_memory(device) else None
        found: T | None = self._copies[device]
        return found


def move(value: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device. A GPU copies it in the background, in the order of its other work."""
    return value.to(device, non_blocking=device.type == "cuda")
