"""What the machine gives at most: the matrix products of BERT-base and the convolutions of ResNet-20, alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from harness.models.malloc import keep_freed_memory

ROWS, REPEATS, IMAGES = 2048, 4, 128
LAYER = ((768, 768, 4), (768, 3072, 1), (3072, 768, 1))
"""Of the matrix products of BERT-base's layer: inputs, outputs, how many there are."""
NETWORK = (
    (3, 16, 32, 1, 1),
    (16, 16, 32, 1, 6),
    (16, 32, 32, 2, 1),
    (32, 32, 16, 1, 5),
    (32, 64, 16, 2, 1),
    (64, 64, 8, 1, 5),
)
"""Of ResNet-20's 3x3 convolutions: channels in and out, side, stride, how many there are."""


class Products:
    """fp32 products of 2,048 rows in the proportions of BERT-base, on operands that are there already."""

    def __init__(self, folder: Path) -> None:
        keep_freed_memory()
        self.operands = [
            (torch.randn(ROWS, i), torch.randn(o, i).T, torch.empty(ROWS, o), count) for i, o, count in LAYER
        ]

    def begin(self, point: str) -> None:
        """Nothing is left to do."""

    @torch.inference_mode()
    def run(self) -> None:
        for _ in range(REPEATS):
            for rows, weights, products, count in self.operands:
                for _ in range(count):
                    torch.mm(rows, weights, out=products)

    def found(self) -> Mapping[str, Any]:
        return {"flops": float(REPEATS * sum(2 * ROWS * i * o * count for i, o, count in LAYER))}


class Convolutions:
    """The convolutions of ResNet-20 on batches of 128, channels last, with nothing in between."""

    def __init__(self, folder: Path) -> None:
        keep_freed_memory()
        last = torch.channels_last
        self.operands = [
            (
                torch.randn(IMAGES, i, side, side).to(memory_format=last),
                torch.randn(o, i, 3, 3).to(memory_format=last),
                stride,
                n,
            )
            for i, o, side, stride, n in NETWORK
        ]

    def begin(self, point: str) -> None:
        """Nothing is left to do."""

    @torch.inference_mode()
    def run(self) -> None:
        for _ in range(REPEATS):
            for images, weights, stride, count in self.operands:
                for _ in range(count):
                    F.conv2d(images, weights, stride=stride, padding=1)

    def found(self) -> Mapping[str, Any]:
        return {"flops": REPEATS * IMAGES * resnet_flops()}


def resnet_flops() -> float:
    """Floating-point operations of the convolutions on one image."""
    return float(sum(2 * 9 * i * o * (side // stride) ** 2 * count for i, o, side, stride, count in NETWORK))
