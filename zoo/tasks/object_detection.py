"""Object detection: COCO 2017, or any folder of images with annotations in COCO's format."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

from zoo.errors import SourceError, UsageError
from zoo.fetch.remembered_digests import remembered_digests
from zoo.fetch.sources import Source
from zoo.tasks.base import CPU, Batch, Task, default_scored
from zoo.tasks.coco_boxes import BACKGROUND, CLASS, COLUMNS, CROWD, AnnotatedImage, Numbering, read_boxes
from zoo.tasks.detections import Detections
from zoo.tasks.images import check_transforms, local_folder, read_rgb
from zoo.tasks.padding import pad

METRICS = (
    "average_precision", "average_precision_50", "average_precision_75", "average_precision_small",
    "average_precision_medium", "average_precision_large", "average_recall",
)  # fmt: skip

TRAIN = "train"


def object_detection(
    *,
    data: Source,
    images: str = "{split}2017",
    annotations: str = "annotations/instances_{split}2017.json",
    splits: Sequence[str] = ("train", "val"),
    scored: Sequence[str] | None = None,
    contiguous: bool = False,
    train_transforms: Sequence[Any] = (),
) -> Task:
    """Return the task of finding objects, by default COCO 2017 (Lin et al., ECCV 2014).

    Models such as `zoo.models.detector` resize and normalize images themselves, so their pixels are in [0, 1]. The
    inputs of a model are padded `images` `(B, 3, H, W)`, `sizes` `(B, 2)`, `boxes` `(B, M, 4)` and `classes` `(B, M)`;
    crowds and boxes without an area are left out of both. The split `train` has the images with at least one box that
    is wider and higher than one pixel, as in torchvision's reference; other splits have all images.

    Args:
        data: The folder of the data set.
        images: The folder of the images of a split in it, with "{split}" in place of the split's name.
        annotations: The file with the annotations of a split.
        splits: The names of the splits.
        scored: The splits that are evaluated. Default: all but `train`.
        contiguous: Number the classes from 1 in the order of the ids of their categories. By default the ids are the
            numbers of the classes, as in torchvision's weights. Class 0 is the background.
        train_transforms: Transforms of `torchvision.transforms.v2` for the split `train`, applied in order to image and
            boxes together.

    Raises:
        NoDataError: The folder is missing or incomplete.
        SourceError: An image or the annotations cannot be read.
    """
    Source.needed(data)
    check_transforms(train_transforms)
    for name, pattern in (("images", images), ("annotations", annotations)):
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise UsageError(f"{name}: {pattern!r} is not in the folder of the data set")

    def load(split: str, *, plain: bool = False) -> DetectionSplit:
        root = local_folder(data, (images, annotations), splits, split)
        listed = read_boxes(root / annotations.format(split=split), contiguous=contiguous)
        is_train, folder = split == TRAIN, root / images.format(split=split)
        used = [image for image in listed.images if image.has_large_object or not is_train]
        return DetectionSplit(used, folder, train_transforms if is_train and not plain else (), listed.numbering)

    return Task(
        name="object_detection",
        splits={split: partial(load, split) for split in splits},
        scored=tuple(scored) if scored is not None else default_scored(splits),
        metrics=METRICS,
        kind="structured",
        hub_type="object-detection",
        batch_size=1,  # images differ in size, and padding an image changes detections near its border
        readout=Detections(),
        sources=((data, "data"),),
        plain={TRAIN: partial(load, TRAIN, plain=True)} if TRAIN in splits else {},
    )


class DetectionSplit:
    """Images, read when a batch needs them, and their boxes. The labels are the number of boxes of each image.

    Args:
        images: The images in order.
        folder: The folder with the files of the images.
        transforms: Transforms of an image and its boxes.
        numbering: How the categories are numbered as classes.
    """

    def __init__(
        self, images: Sequence[AnnotatedImage], folder: Path, transforms: Sequence[Any], numbering: Numbering
    ) -> None:
        self.numbering = numbering
        self.images, self.folder, self.transforms, self.fixed = images, folder, transforms, not transforms
        self.transform = v2.Compose([*transforms, v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
        self.objects = _padded_objects(images)
        self.labels = torch.tensor([len(image.objects) for image in images])
        for image in images:
            if not (folder / image.name).is_file():
                raise SourceError(f"{folder / image.name}: no such file, but the annotations list it")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def largest_class(self) -> int:
        """The largest class of an object that counts; 0 without one."""
        counted = self.objects[self.objects[:, :, CROWD] == 0]
        return int(counted[:, CLASS].max(initial=BACKGROUND))

    def of_examples(self, numbers: Sequence[int]) -> "DetectionSplit":
        """Return the split of some of the images."""
        images = [self.images[number] for number in numbers]
        return DetectionSplit(images, self.folder, self.transforms, self.numbering)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        ids = list(indices)
        with ThreadPoolExecutor() as pool:  # only decoding is parallel: transforms must draw random numbers in order
            decoded = list(pool.map(self._read, ids))
        rows = [_transformed(self.transform, image, self.images[i]) for i, image in zip(ids, decoded, strict=True)]
        most = max(len(classes) for _, _, classes in rows)
        height, width = (max(image.shape[side] for image, _, _ in rows) for side in (1, 2))
        inputs = {
            "images": torch.stack([pad(image, height, width, 0.0) for image, _, _ in rows]),
            "sizes": torch.tensor([image.shape[1:] for image, _, _ in rows]),
            "boxes": torch.stack([F.pad(boxes, (0, 0, 0, most - len(boxes))) for _, boxes, _ in rows]),
            "classes": torch.stack([F.pad(classes, (0, most - len(classes)), value=-1) for _, _, classes in rows]),
        }
        return Batch(inputs=inputs, labels=self.labels[ids], ids=torch.tensor(ids, dtype=torch.int64)).to(device)

    def rows(self) -> Iterator[bytes]:
        """Yield the annotations of every image and the SHA-256 of its file, which is read once and when it changes."""
        files = [self.folder / image.name for image in self.images]
        for image, digest in zip(self.images, remembered_digests(files, self.folder), strict=True):
            yield f"{image.content}\t{digest}".encode(errors="surrogateescape")

    def _read(self, index: int) -> Image.Image:
        annotated = self.images[index]
        image = read_rgb(self.folder / annotated.name)
        if (image.height, image.width) != (annotated.height, annotated.width):
            raise SourceError(
                f"{self.folder / annotated.name}: the image is {image.width} x {image.height}, but its annotations are "
                f"for {annotated.width} x {annotated.height}"
            )
        return image


def _transformed(transform: Any, image: Image.Image, annotated: AnnotatedImage) -> tuple[Tensor, Tensor, Tensor]:
    """Return an image, its boxes inside the image `(M, 4)` as corners, and their classes `(M,)`, after transforms."""
    objects = annotated.objects[annotated.objects[:, CROWD] == 0]
    corners = torch.from_numpy(objects[:, :4]).float()
    corners[:, 2:] += corners[:, :2]
    size = (annotated.height, annotated.width)
    boxes: Any = tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=size)
    target = {"boxes": boxes, "labels": torch.from_numpy(objects[:, CLASS]).long()}
    pixels, target = transform(image, target)
    height, width = pixels.shape[-2:]
    corners = target["boxes"].as_subclass(Tensor).clone()
    corners[:, 0::2].clamp_(0, width)
    corners[:, 1::2].clamp_(0, height)
    has_area = (corners[:, 2:] > corners[:, :2]).all(dim=1)
    return pixels.as_subclass(Tensor), corners[has_area], target["labels"][has_area]


def _padded_objects(images: Sequence[AnnotatedImage]) -> NDArray[np.float64]:
    """Return the objects of all images, `(N, M, 7)` with at least one row each; -1 in unused rows."""
    most = max([1, *(len(image.objects) for image in images)])
    padded = np.full((len(images), most, len(COLUMNS)), -1.0)
    for image, rows in zip(images, padded, strict=True):
        rows[: len(image.objects)] = image.objects
    return padded
