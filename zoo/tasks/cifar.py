"""CIFAR-10 and CIFAR-100: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.

The rows come from `uoft-cs/cifar10` and `uoft-cs/cifar100` on the Hub, or from the files that torchvision downloads.
Both hold the same images in the same order.
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

from zoo.class_names import match_classes
from zoo.errors import IntegrityError, NoDataError, UsageError, did_you_mean
from zoo.fetch.sources import Source
from zoo.tasks.base import Task
from zoo.tasks.pixels import PixelSplit
from zoo.tasks.tables import read_repository

SIDE = 32


@dataclass(frozen=True)
class Cifar:
    """Where one of the two data sets has its images and labels."""

    config: str
    """The configuration on the Hub."""
    label: str
    """The column of labels on the Hub."""
    local: type[CIFAR10]
    """The class of torchvision that reads the downloaded files."""
    classes: tuple[str, ...]
    """The names of the classes, in the order of the original files."""


CIFAR10_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"
CIFAR100_CLASSES = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CIFAR: Mapping[str, Cifar] = {
    "cifar10": Cifar("plain_text", "label", CIFAR10, tuple(CIFAR10_CLASSES.split())),
    "cifar100": Cifar("cifar100", "fine_label", CIFAR100, tuple(CIFAR100_CLASSES.split())),
}
BATCH_SIZE = 64
"""Images in a batch of an evaluation. The activations of this many images fit in the cache of a CPU core."""


def cifar(
    *,
    name: str,
    data: Source,
    mean: Sequence[float],
    std: Sequence[float],
    crop_padding: int = 0,
    flip: bool = False,
) -> Task:
    """Return the task CIFAR-10 or CIFAR-100: images `(3, 32, 32)` float32 of 10 or 100 classes.

    The splits are `train` (50,000 images) and `test` (10,000). `test` is scored.

    Args:
        name: "cifar10" or "cifar100".
        data: A data set of the Hub with the layout of `uoft-cs/cifar10`, or a folder with torchvision's files.
        mean: Mean of each channel. Pixels become `(x / 255 - mean) / std`.
        std: Standard deviation of each channel.
        crop_padding: Pad the images of `train` by this many black pixels on each side, and crop 32 x 32 at random.
        flip: Mirror the images of `train` with probability 1/2.

    Raises:
        UsageError: `name` is another name.
        IntegrityError: A row is not an image of 32 x 32 in RGB, a label is out of range, or the data declare the
            classes in another order.
        NoDataError: The local folder does not have torchvision's files.
    """
    if name not in CIFAR:
        raise UsageError(f"cifar has no task {name!r}{did_you_mean(name, list(CIFAR))}")
    spec, want = CIFAR[name], f"data/{CIFAR[name].config}"

    folder = Source.needed(data).folder()

    def load(split: str, *, augmented: bool) -> PixelSplit:
        where = f"{data.name}: {split}"
        if folder is None:
            table = read_repository(data.fetch(want), spec.config, split)
            _check_order(table.classes.get(spec.label, ()), spec.classes, where)
            pixels, labels = _decode(table.column("img"), where), table.column(spec.label)
        else:
            pixels, labels = _read_torchvision_files(folder, name, split)
        augmentation = {"padding": crop_padding, "flip": flip} if augmented else {}
        return PixelSplit(pixels, _to_labels(labels, len(spec.classes), where), mean=mean, std=std, **augmentation)  # type: ignore[arg-type]

    return Task(
        name=name,
        splits={split: partial(load, split, augmented=split == "train") for split in ("train", "test")},
        plain={"train": partial(load, "train", augmented=False)},
        scored=("test",),
        metrics=("accuracy", "top5_accuracy"),
        batch_size=BATCH_SIZE,
        label_names=spec.classes,
        sources=((data, want),) if folder is None else (),
    )


def _check_order(declared: Sequence[str], expected: Sequence[str], where: str) -> None:
    """Raise IntegrityError for a class at another position. Unknown names are allowed, as mirrors may misspell one."""
    for number, name in enumerate(declared):
        try:
            (position,) = match_classes([name], expected, side=where, other="CIFAR").positions
        except UsageError:
            continue
        if position != number:
            raise IntegrityError(f"{where}: the class {name!r} has the number {number}, expected {position}")


def _decode(images: Sequence[Any], where: str) -> Tensor:
    """Decode image files into one tensor `(N, 3, 32, 32)` uint8. Raises IntegrityError with the row of a bad image."""

    def decode(row: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        try:
            image = Image.open(io.BytesIO(images[row]["bytes"]))
            image.load()
        except Exception as error:  # each of Pillow's decoders raises its own exceptions
            raise IntegrityError(f"{where}: row {row} is not an image: {type(error).__name__}: {error}") from None
        if image.mode != "RGB" or image.size != (SIDE, SIDE):
            actual = f"{image.mode}, {image.width} x {image.height}"
            raise IntegrityError(f"{where}: row {row} is {actual}, expected RGB, {SIDE} x {SIDE}")
        return np.asarray(image)

    with ThreadPoolExecutor() as pool:
        pixels = np.stack(list(pool.map(decode, range(len(images)))))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def _read_torchvision_files(folder: Path, name: str, split: str) -> tuple[Tensor, list[int]]:
    """Read images and labels with torchvision, which checks the MD5 of its files."""
    kind = CIFAR[name].local
    try:
        dataset = kind(str(folder), train=split == "train", download=False)
    except RuntimeError:
        lacks = f": {folder} does not hold a complete {kind.base_folder}, as torchvision downloads it"
        raise NoDataError(name, lacks) from None
    return torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous(), dataset.targets


def _to_labels(labels: Sequence[Any], classes: int, where: str) -> Tensor:
    row = next((r for r, label in enumerate(labels) if not isinstance(label, int) or not 0 <= label < classes), None)
    if row is not None:
        raise IntegrityError(f"{where}: row {row} has the label {labels[row]!r}, which is not in 0 to {classes - 1}")
    return torch.tensor(labels, dtype=torch.int64)
