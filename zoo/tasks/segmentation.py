"""Semantic segmentation in the 21 classes of PASCAL VOC: VOC 2012 itself, and COCO 2017 drawn in its classes.

Both are local folders in torchvision's layout. Masks are `(H, W)` of classes, 255 where none counts.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import tv_tensors

from zoo.errors import SourceError, UsageError
from zoo.fetch.sources import Source
from zoo.tasks.base import CPU, IGNORED, Batch, Task
from zoo.tasks.images import local_folder, normalised, read_image, read_rgb

try:
    from pycocotools import mask as coco_mask
except ImportError:  # only who has COCO needs it
    coco_mask = None

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
COCO = (0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
"""COCO's numbers of these classes, in their order; it has no background."""
SPLITS = ("train", "val")
VOC_LAYOUT = tuple(
    f"VOCdevkit/VOC2012/{part}" for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/{split}.txt")
)
COCO_LAYOUT = ("{split}2017", "annotations/instances_{split}2017.json")


@dataclass(frozen=True)
class Example:
    """An image, how its mask is made, and what tells its content: a line of text."""

    image: Path
    mask: Callable[[], Tensor]
    content: str


def voc_segmentation(
    *,
    data: Source,
    train_transforms: Sequence[Any],
    eval_transforms: Sequence[Any],
    mean: Sequence[float],
    std: Sequence[float],
) -> Task:
    """PASCAL VOC 2012 (Everingham et al. 2015): `train` 1,464 images, `val` 1,449.

    Transforms are of `torchvision.transforms.v2` and `zoo.tasks.transforms`, given image and mask together; the image
    then becomes float32 `(3, H, W)` in [0, 1], less `mean`, over `std`. Raises NoDataError where the data are not
    there.
    """

    def examples(split: str) -> list[Example]:
        root = local_folder(data, VOC_LAYOUT, SPLITS, split) / "VOCdevkit" / "VOC2012"
        names = (root / "ImageSets" / "Segmentation" / f"{split}.txt").read_text(encoding="utf-8").split()
        found = []
        for name in names:
            image, mask = root / "JPEGImages" / f"{name}.jpg", root / "SegmentationClass" / f"{name}.png"
            if lacking := next((path for path in (image, mask) if not path.is_file()), None):
                raise SourceError(f"{lacking}: no such file, and {split}.txt names it")
            found.append(Example(image, partial(_read_mask, mask), f"{name}\t{_sizes(image, mask)}"))
        return found

    return _task("voc_segmentation", data, examples, train_transforms, eval_transforms, mean, std)


def coco_segmentation(
    *,
    data: Source,
    train_transforms: Sequence[Any],
    eval_transforms: Sequence[Any],
    mean: Sequence[float],
    std: Sequence[float],
) -> Task:
    """COCO 2017 (Lin et al., ECCV 2014) with the polygons of VOC's classes drawn as masks; 255 where two overlap.

    `train` holds the images that have any object whose box is wider and higher than a pixel, `val` all 5,000. For the
    rest see `voc_segmentation`.
    """

    def examples(split: str) -> list[Example]:
        root = local_folder(data, COCO_LAYOUT, SPLITS, split)
        images, objects = _annotations(root / "annotations" / f"instances_{split}2017.json")
        found = []
        for number, image in sorted(images.items()):
            these = objects.get(number, [])
            if split == "train" and all(min(one["bbox"][2:]) <= 1 for one in these):
                continue
            path = root / f"{split}2017" / image["file_name"]
            if not path.is_file():
                raise SourceError(f"{path}: no such file, and the annotations of {split} name it")
            drawn = [(one["category_id"], one["segmentation"]) for one in these]
            told = hashlib.sha256(json.dumps(drawn).encode()).hexdigest()
            draw = partial(_drawn, drawn, image["height"], image["width"])
            found.append(Example(path, draw, f"{path.name}\t{path.stat().st_size}\t{told}"))
        return found

    return _task("coco_segmentation", data, examples, train_transforms, eval_transforms, mean, std)


class SegmentationSplit:
    """Images and masks, read when they are asked for; `fixed` says that no transform is random.

    Images of a batch that are smaller than its largest are padded: with 0 once they are normalised, masks with 255.
    """

    def __init__(self, examples: Sequence[Example], transform: Any, *, fixed: bool) -> None:
        self.examples, self.transform, self.fixed = examples, transform, fixed

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def labels(self) -> Tensor:
        """Raises UsageError: masks are read with their images."""
        raise UsageError("the labels of a segmentation are masks, which are read with their images")

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        at = list(indices)
        with ThreadPoolExecutor() as pool:  # decoding runs side by side, drawing random numbers in order
            read = list(pool.map(_read, [self.examples[i] for i in at]))
        pairs = [self.transform(image, mask) for image, mask in read]
        height, width = (max(mask.shape[side] for _, mask in pairs) for side in (0, 1))
        images = torch.stack([_padded(torch.as_tensor(image), height, width, 0.0) for image, _ in pairs])
        masks = torch.stack([_padded(torch.as_tensor(mask), height, width, IGNORED) for _, mask in pairs])
        return Batch(inputs=images, labels=masks.long(), ids=torch.tensor(at, dtype=torch.int64)).to(device)

    def rows(self) -> Iterator[bytes]:
        """What tells an example's content without reading it: names, sizes in bytes, and annotations."""
        for example in self.examples:
            yield example.content.encode()


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
        fixed = split != "train" or not train_transforms
        return SegmentationSplit(examples(split), normalised(transforms, mean, std), fixed=fixed)

    return Task(
        name=name,
        splits={split: partial(load, split) for split in SPLITS},
        scored=("val",),
        metrics=("mean_iou", "pixel_accuracy"),
        kind="segmentation",
        batch_size=1,  # images are of different sizes, and padding them changes what is predicted at their edges
        label_names=CLASSES,
        sources=((data, "data"),),
    )


def _read(example: Example) -> tuple[Any, tv_tensors.Mask]:
    image, mask = read_rgb(example.image), example.mask()
    if (image.height, image.width) != tuple(mask.shape):
        raise SourceError(
            f"{example.image}: {image.width} x {image.height}, its mask {mask.shape[1]} x {mask.shape[0]}"
        )
    return image, tv_tensors.Mask(mask)


def _read_mask(path: Path) -> Tensor:
    """A mask of class numbers; raises SourceError for an image that holds colours, or the number of no class."""
    image = read_image(path)
    if image.mode not in ("P", "L"):
        raise SourceError(
            f"{path}: a mask of mode {image.mode}; one number of a class for each pixel is expected (P or L)"
        )
    mask = torch.from_numpy(np.array(image))
    unknown = [value for value in np.unique(mask.numpy()) if value >= len(CLASSES) and value != IGNORED]
    if unknown:
        raise SourceError(
            f"{path}: {unknown[0]} is the number of no class; they are 0 to {len(CLASSES) - 1} and {IGNORED}"
        )
    return mask


def _annotations(path: Path) -> tuple[dict[int, Any], Mapping[int, list[Any]]]:
    """COCO's images by number, and the objects in each."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        images = {image["id"]: image for image in data["images"]}
        objects: dict[int, list[Any]] = {}
        for one in data["annotations"]:
            objects.setdefault(one["image_id"], []).append(one)
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{path}: no annotations of COCO: {type(error).__name__}: {error}") from None
    return images, objects


def _drawn(objects: Sequence[tuple[int, Any]], height: int, width: int) -> Tensor:
    """The mask of objects, each given by COCO's number of its class and its polygons or run lengths."""
    if coco_mask is None:
        raise SourceError("the annotations of COCO are drawn by pycocotools: pip install 'zoo-reproduce[coco]'")
    mask, times = np.zeros((height, width), np.uint8), np.zeros((height, width), np.int64)
    for number, segmentation in objects:
        if number not in COCO:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of numpy, about pycocotools
            drawn = coco_mask.decode(coco_mask.frPyObjects(segmentation, height, width))
        inside = drawn.any(axis=2) if drawn.ndim == 3 else drawn > 0
        mask[inside] = np.maximum(mask[inside], COCO.index(number))
        times += inside
    mask[times > 1] = IGNORED
    return torch.from_numpy(mask)


def _sizes(*paths: Path) -> str:
    return "\t".join(str(path.stat().st_size) for path in paths)


def _padded(value: Tensor, height: int, width: int, fill: float) -> Tensor:
    return F.pad(value, (0, width - value.shape[-1], 0, height - value.shape[-2]), value=fill)
