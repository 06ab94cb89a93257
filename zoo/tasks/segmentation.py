"""Semantic segmentation with the 21 classes of PASCAL VOC: VOC 2012, and COCO 2017 with its objects as VOC's classes.

Both data sets are local folders in torchvision's layout. Masks are `(H, W)` class numbers; 255 marks ignored pixels.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from zoo.errors import SourceError, UsageError
from zoo.fetch.remembered_digests import remembered_digests
from zoo.fetch.sources import Source
from zoo.tasks.base import CPU, IGNORED, Batch, Task
from zoo.tasks.coco_masks import draw_mask, read_annotations
from zoo.tasks.images import local_folder, read_image, read_rgb, with_normalization
from zoo.tasks.padding import pad
from zoo.tasks.pixel_counts import PixelCounts

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
SPLITS = ("train", "val")
VOC_LAYOUT = tuple(
    f"VOCdevkit/VOC2012/{part}" for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/{split}.txt")
)
COCO_LAYOUT = ("{split}2017", "annotations/instances_{split}2017.json")


@dataclass(frozen=True)
class Example:
    """One image with its mask, neither of them read yet."""

    image: Path
    mask: Callable[[], Tensor]
    """Reads or draws the mask, `(H, W)`."""
    content: str
    """Its name and, if the mask is drawn, what it is drawn from; it goes into the hash of the split."""
    mask_file: Path | None = None


def voc_segmentation(
    *,
    data: Source,
    train_transforms: Sequence[Any],
    eval_transforms: Sequence[Any],
    mean: Sequence[float],
    std: Sequence[float],
) -> Task:
    """Return the task PASCAL VOC 2012 (Everingham et al. 2015): `train` has 1,464 images, `val` 1,449. `val` is scored.

    After the transforms an image is float32 `(3, H, W)`, normalized as `(x - mean) / std` with `x` in [0, 1].

    Args:
        data: The folder that holds `VOCdevkit`.
        train_transforms: Transforms of `torchvision.transforms.v2` or `zoo.tasks.transforms` for the split `train`,
            applied in order to image and mask together.
        eval_transforms: The same for the split `val`.
        mean: Mean of each channel.
        std: Standard deviation of each channel.

    Raises:
        NoDataError: The folder is missing or incomplete.
        SourceError: An image or a mask cannot be read.
    """

    def examples(split: str) -> list[Example]:
        root = local_folder(data, VOC_LAYOUT, SPLITS, split) / "VOCdevkit" / "VOC2012"
        names = _read_names(root / "ImageSets" / "Segmentation" / f"{split}.txt")
        listed = []
        for name in names:
            image, mask = root / "JPEGImages" / f"{name}.jpg", root / "SegmentationClass" / f"{name}.png"
            if missing := next((path for path in (image, mask) if not path.is_file()), None):
                raise SourceError(f"{missing}: no such file, but {split}.txt lists it")
            listed.append(Example(image, partial(_read_mask, mask), name, mask))
        return listed

    return _task("voc_segmentation", data, examples, train_transforms, eval_transforms, mean, std)


def coco_segmentation(
    *,
    data: Source,
    train_transforms: Sequence[Any],
    eval_transforms: Sequence[Any],
    mean: Sequence[float],
    std: Sequence[float],
) -> Task:
    """Return the task COCO 2017 (Lin et al., ECCV 2014) with VOC's classes. `val` is scored.

    Masks are drawn from the objects of VOC's classes; a pixel of two objects is ignored (255). `train` has the images
    with at least one object whose box is wider and higher than one pixel, `val` has all 5,000 images.

    Arguments and errors are those of `voc_segmentation`. `data` is the folder that holds `train2017`, `val2017` and
    `annotations`. The package pycocotools must be installed. `zoo.tasks.coco_masks` lists the forms of shapes that are
    read; other forms are a SourceError with the object and its image.
    """

    def examples(split: str) -> list[Example]:
        root = local_folder(data, COCO_LAYOUT, SPLITS, split)
        listed = []
        for image in read_annotations(root / "annotations" / f"instances_{split}2017.json", boxes=split == "train"):
            if split == "train" and not image.has_large_object:
                continue
            path = root / f"{split}2017" / image.name
            if not path.is_file():
                raise SourceError(f"{path}: no such file, but the annotations of {split} list it")
            digest = hashlib.sha256(image.content.encode()).hexdigest()
            listed.append(Example(path, partial(draw_mask, image), f"{image.name}\t{digest}"))
        return listed

    return _task("coco_segmentation", data, examples, train_transforms, eval_transforms, mean, std)


class SegmentationSplit:
    """Images and masks, read when a batch needs them.

    If the images of a batch have different sizes, smaller ones are padded at the right and at the bottom: normalized
    images with 0, masks with 255.

    Args:
        examples: The examples in order.
        folder: The folder of the data set.
        transform: Turns a decoded RGB image and its mask into tensors `(3, H, W)` and `(H, W)`.
        fixed: True if no transform is random.
    """

    def __init__(self, examples: Sequence[Example], folder: Path, transform: Any, *, fixed: bool) -> None:
        self.examples, self.folder, self.transform, self.fixed = examples, folder, transform, fixed

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def labels(self) -> Tensor:
        """Raises UsageError, because all masks need not fit in memory."""
        raise UsageError("a segmentation split has no tensor of all labels: its masks are read batch by batch")

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        ids = list(indices)
        with ThreadPoolExecutor() as pool:  # only decoding is parallel: transforms must draw random numbers in order
            decoded = list(pool.map(_read, [self.examples[i] for i in ids]))
        pairs = [self.transform(image, mask) for image, mask in decoded]
        height, width = (max(mask.shape[side] for _, mask in pairs) for side in (0, 1))
        images = torch.stack([pad(torch.as_tensor(image), height, width, 0.0) for image, _ in pairs])
        masks = torch.stack([pad(torch.as_tensor(mask), height, width, IGNORED) for _, mask in pairs])
        return Batch(inputs=images, labels=masks.long(), ids=torch.tensor(ids, dtype=torch.int64)).to(device)

    def rows(self) -> Iterator[bytes]:
        """Yield names, annotations and the SHA-256 of all files, which are read once and again when they change."""
        files = [[file for file in (example.image, example.mask_file) if file] for example in self.examples]
        digests = iter(remembered_digests([file for pair in files for file in pair], self.folder))
        for example, pair in zip(self.examples, files, strict=True):
            yield "\t".join([example.content, *(next(digests) for _ in pair)]).encode(errors="surrogateescape")


def _task(
    name: str,
    data: Source,
    examples: Callable[[str], list[Example]],
    train_transforms: Sequence[Any],
    eval_transforms: Sequence[Any],
    mean: Sequence[float],
    std: Sequence[float],
) -> Task:
    Source.needed(data)

    def load(split: str) -> SegmentationSplit:
        transforms = train_transforms if split == "train" else eval_transforms
        listed, fixed = examples(split), split != "train" or not train_transforms
        return SegmentationSplit(
            listed, data.fetch("data").path, with_normalization(transforms, mean, std), fixed=fixed
        )

    return Task(
        name=name,
        splits={split: partial(load, split) for split in SPLITS},
        scored=("val",),
        metrics=("mean_iou", "pixel_accuracy"),
        kind="segmentation",
        batch_size=1,  # images differ in size, and padding an image changes predictions near its border
        label_names=CLASSES,
        readout=PixelCounts(),
        sources=((data, "data"),),
    )


def _read_names(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as a list of names: {error}") from None


def _read(example: Example) -> tuple[Any, tv_tensors.Mask]:
    image, mask = read_rgb(example.image), example.mask()
    if (image.height, image.width) != tuple(mask.shape):
        raise SourceError(
            f"{example.image}: the image is {image.width} x {image.height}, but its mask is "
            f"{mask.shape[1]} x {mask.shape[0]}"
        )
    return image, tv_tensors.Mask(mask)


def _read_mask(path: Path) -> Tensor:
    """Read a mask of class numbers. Raises SourceError for an image of colors or an unknown class number."""
    image = read_image(path)
    if image.mode not in ("P", "L"):
        raise SourceError(f"{path}: the mask has mode {image.mode}; expected P or L, one class number per pixel")
    mask = torch.from_numpy(np.array(image))
    unknown = [value for value in np.unique(mask.numpy()) if value >= len(CLASSES) and value != IGNORED]
    if unknown:
        raise SourceError(
            f"{path}: {unknown[0]} is not a class number; expected 0 to {len(CLASSES) - 1}, or {IGNORED} for ignored"
        )
    return mask
