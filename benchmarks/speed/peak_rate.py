"""Measure the peak rate of the machine: the matrix products of BERT-base or the convolutions of ResNet-20 alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.speed.settings import HALF, Setting, set_tf32
from harness.models.malloc import keep_freed_memory

ROWS, REPEATS, IMAGES = 2048, 4, 128
LAYER = ((768, 768, 4), (768, 3072, 1), (3072, 768, 1))
"""The matrix products in a layer of BERT-base: inputs, outputs, count."""
NETWORK = (
    (3, 16, 32, 1, 1),
    (16, 16, 32, 1, 6),
    (16, 32, 32, 2, 1),
    (32, 32, 16, 1, 5),
    (32, 64, 16, 2, 1),
    (64, 64, 8, 1, 5),
)
"""The 3x3 convolutions of ResNet-20: input channels, output channels, side, stride, count."""


class Products:
    """fp32 products of 2,048 rows in the proportions of BERT-base, on operands in memory."""

    def __init__(self, folder: Path) -> None:
        keep_freed_memory()
        self.operands = [
            (torch.randn(ROWS, i), torch.randn(o, i).T, torch.empty(ROWS, o), count) for i, o, count in LAYER
        ]

    def begin(self, point: str) -> None:
        """Do nothing: the operands are ready."""

    @torch.inference_mode()
    def run(self) -> None:
        for _ in range(REPEATS):
            for rows, weights, products, count in self.operands:
                for _ in range(count):
                    torch.mm(rows, weights, out=products)

    def results(self) -> Mapping[str, Any]:
        return {"flops": float(REPEATS * sum(2 * ROWS * i * o * count for i, o, count in LAYER))}


class SquareProducts:
    """Products of two square matrices on a device, in the precision of the point."""

    def __init__(self, folder: Path, device: str, side: int) -> None:
        self.chosen, self.side = Setting(device=device), side

    def begin(self, point: str) -> None:
        setting = self.chosen.at(point)
        set_tf32(setting.precision)
        kind = HALF.get(setting.precision, torch.float32)
        shape = (self.side, self.side)
        self.left, self.right, self.product = (torch.randn(shape, device=setting.device, dtype=kind) for _ in range(3))

    @torch.inference_mode()
    def run(self) -> None:
        for _ in range(REPEATS):
            torch.mm(self.left, self.right, out=self.product)

    def results(self) -> Mapping[str, Any]:
        return {"flops": REPEATS * 2.0 * self.side**3}


class Convolutions:
    """The convolutions of ResNet-20 on batches of 128 in channels last, without other layers."""

    def __init__(self, folder: Path) -> None:
        keep_freed_memory()
        self.operands = [
            (
                torch.randn(IMAGES, i, side, side).to(memory_format=torch.channels_last),
                torch.randn(o, i, 3, 3).to(memory_format=torch.channels_last),
                stride,
                n,
            )
            for i, o, side, stride, n in NETWORK
        ]

    def begin(self, point: str) -> None:
        """Do nothing: the operands are ready."""

    @torch.inference_mode()
    def run(self) -> None:
        for _ in range(REPEATS):
            for images, weights, stride, count in self.operands:
                for _ in range(count):
                    F.conv2d(images, weights, stride=stride, padding=1)

    def results(self) -> Mapping[str, Any]:
        return {"flops": REPEATS * IMAGES * resnet_flops()}


def resnet_flops() -> float:
    """Return the floating-point operations of all convolutions for one image."""
    return float(sum(2 * 9 * i * o * (side // stride) ** 2 * count for i, o, side, stride, count in NETWORK))
