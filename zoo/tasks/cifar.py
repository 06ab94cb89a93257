"""CIFAR-10 and CIFAR-100: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.

Rows are those of `uoft-cs/cifar10` and `uoft-cs/cifar100` on the Hub, in their order, or of the files that torchvision
keeps; both hold the same images in the same order.
"""

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import CIFAR10, CIFAR100

from zoo.errors import IntegrityError, NoDataError, UsageError, did_you_mean
from zoo.fetch.sources import Source
from zoo.tasks.base import Task
from zoo.tasks.pixels import PixelSplit
from zoo.tasks.tables import read_repository

SIDE = 32


@dataclass(frozen=True)
class Cifar:
    """What is particular to one of the two: its configuration and columns on the Hub, torchvision's class, classes."""

    config: str
    label: str
    local: type[CIFAR10]
    classes: int


CIFAR: Mapping[str, Cifar] = {
    "cifar10": Cifar("plain_text", "label", CIFAR10, 10),
    "cifar100": Cifar("cifar100", "fine_label", CIFAR100, 100),
}
BATCH_SIZE = 64
"""Of evaluation: a batch of so many images stays in the caches of a core."""


def cifar(
    *,
    name: str,
    data: Source,
    mean: Sequence[float],
    std: Sequence[float],
    crop_padding: int = 0,
    flip: bool = False,
) -> Task:
    """Images `(3, 32, 32)` of ten or a hundred classes; `name` is cifar10 or cifar100. Splits are `train` and `test`.

    Pixels become `(x / 255 - mean) / std`. With `crop_padding` and `flip` those of `train` are cropped out of a black
    frame and mirrored at random. Raises UsageError for another name, IntegrityError where the data are not what they
    should be, NoDataError where a local folder lacks torchvision's files.
    """
    if name not in CIFAR:
        raise UsageError(f"cifar has no task {name!r}{did_you_mean(name, list(CIFAR))}")
    of, want = CIFAR[name], f"data/{CIFAR[name].config}"

    folder = Source.needed(data).folder()

    def load(split: str) -> PixelSplit:
        where = f"{data.name}: {split}"
        if folder is None:
            table = read_repository(data.fetch(want), of.config, split)
            pixels, labels = _decoded(table.column("img"), where), table.column(of.label)
        else:
            pixels, labels = _local(folder, name, split)
        moves = {"padding": crop_padding, "flip": flip} if split == "train" else {}
        return PixelSplit(pixels, _labels(labels, of.classes, where), mean=mean, std=std, **moves)  # type: ignore[arg-type]

    return Task(
        name=name,
        splits={split: partial(load, split) for split in ("train", "test")},
        scored=("test",),
        metrics=("accuracy", "top5_accuracy"),
        batch_size=BATCH_SIZE,
        sources=((data, want),) if folder is None else (),
    )


def _decoded(images: Sequence[Any], where: str) -> Tensor:
    """Images in their files' bytes as one tensor; raises IntegrityError, naming the row, for one that is none."""

    def decode(row: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        try:
            image = Image.open(io.BytesIO(images[row]["bytes"]))
            image.load()
        except Exception as error:  # Pillow's formats raise whatever they stumble over
            raise IntegrityError(f"{where}: row {row} is no image: {type(error).__name__}: {error}") from None
        if image.mode != "RGB" or image.size != (SIDE, SIDE):
            found = f"{image.mode}, {image.width} x {image.height}"
            raise IntegrityError(f"{where}: row {row} is {found}, expected RGB, {SIDE} x {SIDE}")
        return np.asarray(image)

    with ThreadPoolExecutor() as pool:
        found = np.stack(list(pool.map(decode, range(len(images)))))
    return torch.from_numpy(found).permute(0, 3, 1, 2).contiguous()


def _local(folder: Path, name: str, split: str) -> tuple[Tensor, list[int]]:
    """What torchvision reads of a folder, whose files it compares with their known digests."""
    kind = CIFAR[name].local
    try:
        found = kind(str(folder), train=split == "train", download=False)
    except RuntimeError:
        raise NoDataError(name, f": {folder} holds no {kind.base_folder} as torchvision keeps it") from None
    return torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous(), found.targets


def _labels(labels: Sequence[Any], classes: int, where: str) -> Tensor:
    row = next((r for r, label in enumerate(labels) if not isinstance(label, int) or not 0 <= label < classes), None)
    if row is not None:
        raise IntegrityError(f"{where}: row {row} has the label {labels[row]!r}, which is not in 0 to {classes - 1}")
    return torch.tensor(labels, dtype=torch.int64)
