"""Images as torchvision's data sets and transforms give them, and plain loops over a DataLoader of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.speed import data


class Pictures(Dataset[tuple[Any, int]]):
    """Images `(N, 32, 32, 3)` one by one, as torchvision's CIFAR10 gives them."""

    def __init__(self, pixels: NDArray[np.uint8], labels: Tensor, transform: Callable[[Any], Any]) -> None:
        self.pixels, self.labels, self.transform = pixels, labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.pixels[row])), self.labels[row]


def moves(*, moved: bool) -> Callable[[Any], Any]:
    """The usual transforms of CIFAR-10, with random crops and flips where it is `moved`."""
    random = [transforms.RandomCrop(32, padding=data.CROP), transforms.RandomHorizontalFlip()] if moved else []
    return transforms.Compose([*random, transforms.ToTensor(), transforms.Normalize(data.MEAN, data.STD)])


class Evaluation:
    """The model over a DataLoader, batch by batch."""

    def __init__(self, folder: Path, batch: int) -> None:
        self.folder, self.batch, self.model = folder, batch, data.resnet(folder)

    def begin(self, point: str) -> None:
        rows = Pictures(*data.images(self.folder, point), moves(moved=False))
        self.loader = DataLoader(rows, batch_size=self.batch)

    @torch.inference_mode()
    def run(self) -> None:
        self.logits = torch.cat([self.model(images) for images, _ in self.loader])

    def found(self) -> Mapping[str, Any]:
        return {"logits": self.logits.numpy()}


class Pipeline:
    """A DataLoader over an epoch, without a model."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.workers = folder, workers

    def begin(self, point: str) -> None:
        rows = Pictures(*data.images(self.folder, point), moves(moved=True))
        self.loader = DataLoader(rows, batch_size=data.IMAGES, shuffle=True, num_workers=self.workers)

    def run(self) -> None:
        self.seen = sum(len(labels) for _, labels in self.loader)

    def found(self) -> Mapping[str, Any]:
        return {"rows": self.seen}
