"""The work of plain loops over a DataLoader of torchvision data sets and transforms."""

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


class Images(Dataset[tuple[Any, int]]):
    """Returns images `(N, 32, 32, 3)` one by one, as CIFAR10 of torchvision does."""

    def __init__(self, pixels: NDArray[np.uint8], labels: Tensor, transform: Callable[[Any], Any]) -> None:
        self.pixels, self.labels, self.transform = pixels, labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.pixels[row])), self.labels[row]


def image_transform(*, augmented: bool) -> Callable[[Any], Any]:
    """Return the usual transform of CIFAR-10, with random crops and flips if `augmented`."""
    random = [transforms.RandomCrop(32, padding=data.CROP), transforms.RandomHorizontalFlip()] if augmented else []
    return transforms.Compose([*random, transforms.ToTensor(), transforms.Normalize(data.MEAN, data.STD)])


class Evaluation:
    """A forward pass for each batch of a DataLoader."""

    def __init__(self, folder: Path, batch: int) -> None:
        self.folder, self.batch, self.model = folder, batch, data.resnet(folder)

    def begin(self, point: str) -> None:
        rows = Images(*data.images(self.folder, point), image_transform(augmented=False))
        self.loader = DataLoader(rows, batch_size=self.batch)

    @torch.inference_mode()
    def run(self) -> None:
        self.logits = torch.cat([self.model(images) for images, _ in self.loader])

    def results(self) -> Mapping[str, Any]:
        return {"logits": self.logits.numpy()}


class Pipeline:
    """A DataLoader over an epoch, without a model."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.workers = folder, workers

    def begin(self, point: str) -> None:
        rows = Images(*data.images(self.folder, point), image_transform(augmented=True))
        self.loader = DataLoader(rows, batch_size=data.IMAGES, shuffle=True, num_workers=self.workers)

    def run(self) -> None:
        self.rows = sum(len(labels) for _, labels in self.loader)

    def results(self) -> Mapping[str, Any]:
        return {"rows": self.rows}
