"""Read COCO's annotations, and draw the masks of their objects.

Programs that export annotations write shapes in several forms. They are read as follows, and any other form is refused
with the object and its image:

- polygons `[[x, y, x, y, ...], ...]`, one polygon without the outer list, and points as pairs `[x, y]`. Polygons of one
  or two points have no area and are left out.
- run lengths `{"size": [height, width], "counts": [...]}`, also compressed to a text, and lists of them.
- categories under other numbers than COCO's, if `categories` names them.
"""

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.errors import SourceError
from zoo.tasks.base import IGNORED
from zoo.tasks.coco_file import CocoError, by_image, coco_file

try:
    from pycocotools import mask as coco_mask
except ImportError:  # an optional dependency that only COCO needs
    coco_mask = None

CATEGORIES = {
    "airplane": 5, "bicycle": 2, "bird": 16, "boat": 9, "bottle": 44, "bus": 6, "car": 3, "cat": 17, "chair": 62,
    "cow": 21, "dining table": 67, "dog": 18, "horse": 19, "motorcycle": 4, "person": 1, "potted plant": 64,
    "sheep": 20, "couch": 63, "train": 7, "tv": 72,
}  # fmt: skip
"""COCO's category of each class, in the order of VOC's classes from 1; COCO has no category for the background."""
VOC_NAMES = {
    "aeroplane": "airplane", "diningtable": "dining table", "motorbike": "motorcycle", "pottedplant": "potted plant",
    "sofa": "couch", "tvmonitor": "tv",
}  # fmt: skip

Shape = list[list[float]] | list[int]
"""Polygons, each `[x, y, x, y, ...]`; or the lengths of runs of pixels outside and inside, column by column."""


@dataclass(frozen=True, kw_only=True)
class CocoObject:
    """An object of one of VOC's classes."""

    label: int
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, kw_only=True)
class CocoImage:
    """An image, and its objects of VOC's classes in the order of the annotations."""

    name: str
    height: int
    width: int
    objects: tuple[CocoObject, ...]
    has_large_object: bool
    """Whether an object of any class has a box that is wider and higher than one pixel; False if boxes are not read."""

    @property
    def content(self) -> str:
        """A text that identifies the mask."""
        return json.dumps([(item.label, item.shapes) for item in self.objects])


def read_annotations(path: Path, *, boxes: bool) -> list[CocoImage]:
    """Read the images of a file of annotations, in the order of their numbers.

    Args:
        path: The file.
        boxes: Whether the boxes of objects are read, for `CocoImage.has_large_object`.

    Raises:
        SourceError: The file is not readable, or an object has a shape of an unknown form.
    """
    with coco_file(path) as data:
        labels, images = _labels(data.get("categories") or []), by_image(data["images"], data["annotations"])
        return [_image(image, items, labels, boxes=boxes) for image, items in images]


def draw_mask(image: CocoImage) -> Tensor:
    """Draw the objects of an image as `(H, W)` class numbers; a pixel of two objects is ignored."""
    mask, count = np.zeros((image.height, image.width), np.uint8), np.zeros((image.height, image.width), np.int64)
    for item in image.objects:
        inside = np.zeros(mask.shape, bool)
        for shape in item.shapes:
            inside |= _draw(shape, image.height, image.width)
        mask[inside] = np.maximum(mask[inside], item.label)
        count += inside
    mask[count > 1] = IGNORED
    return torch.from_numpy(mask)


def _labels(categories: Sequence[Mapping[str, Any]]) -> dict[Any, int]:
    """Return VOC's class of each category, 0 for none: by the names in the file, else by COCO's numbers."""
    by_name = {name: label for label, name in enumerate(CATEGORIES, 1)}
    if not categories:
        return dict.fromkeys(range(1, 91), 0) | {category: by_name[name] for name, category in CATEGORIES.items()}
    names = {category["id"]: str(category["name"]).strip().lower().replace("_", " ") for category in categories}
    names = {number: VOC_NAMES.get(name, name) for number, name in names.items()}
    if len(names) < len(categories) or len(set(names.values())) < len(names):
        raise CocoError("two categories have the same id or the same name")
    if not by_name.keys() & names.values():
        raise CocoError(f"none of the categories is a class of VOC: {_short(list(names.values()))}")
    return {number: by_name.get(name, 0) for number, name in names.items()}


def _image(
    image: Mapping[str, Any], items: Sequence[Mapping[str, Any]], labels: Mapping[Any, int], *, boxes: bool
) -> CocoImage:
    name, height, width = image["file_name"], image["height"], image["width"]
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        raise CocoError(f"image {name}: its height and width are {height!r} and {width!r}, not numbers of pixels")
    objects, large = [], False
    for item in items:
        try:
            large |= boxes and min(_box(item.get("bbox"))) > 1
            if label := _label(item["category_id"], labels):
                shapes = tuple(_shapes(item.get("segmentation"), height, width))
                objects.append(CocoObject(label=label, shapes=shapes))
        except CocoError as error:
            raise CocoError(f"object {item.get('id')} of image {name}: {error}") from None
    return CocoImage(name=name, height=height, width=width, objects=tuple(objects), has_large_object=large)


def _label(category: Any, labels: Mapping[Any, int]) -> int:
    if category not in labels:
        raise CocoError(f"its category {category!r} is not listed")
    return labels[category]


def _box(box: Any) -> tuple[float, float]:
    """Return width and height of a box."""
    if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
        raise CocoError(f"its bbox is {_short(box)}, not [x, y, width, height]")
    return box[2], box[3]


def _shapes(segmentation: Any, height: int, width: int) -> Iterator[Shape]:
    """Yield the shapes of an object. Raises CocoError if it has none, or one of an unknown form."""
    parts = segmentation if isinstance(segmentation, list) else [segmentation]
    if parts and (all(map(_is_number, parts)) or (len(parts) > 2 and all(map(_is_point, parts)))):
        parts = [parts]  # one polygon without a list around it
    if not parts:
        raise CocoError("its segmentation is empty; draw its mask, or remove the object")
    polygons = [_polygon(part, height, width) for part in parts if isinstance(part, list)]
    yield [polygon for polygon in polygons if len(polygon) > 4]  # two points have no area
    for part in parts:
        if not isinstance(part, list):
            yield _runs(part, height, width)


def _polygon(part: list[Any], height: int, width: int) -> list[float]:
    numbers = [number for point in part for number in point] if part and all(map(_is_point, part)) else part
    if not numbers or len(numbers) % 2 or not all(map(_is_number, numbers)):
        raise CocoError(f"its polygon {_short(part)} is not a list of coordinates x, y, x, y, ...")
    for numbers_of_axis, size in ((numbers[::2], width), (numbers[1::2], height)):
        if min(numbers_of_axis) < -size or max(numbers_of_axis) > 2 * size:
            raise CocoError(f"its polygon {_short(part)} is far outside the image of {width} x {height} pixels")
    return numbers


def _runs(part: Any, height: int, width: int) -> list[int]:
    if not (isinstance(part, Mapping) and isinstance(part.get("counts"), str | list)):
        raise CocoError(f"its segmentation {_short(part)} is neither polygons nor run lengths")
    if part.get("size") != [height, width]:
        raise CocoError(f"its run lengths are for {_short(part.get('size'))} pixels, the image is {[height, width]}")
    counts = _decompress(part["counts"]) if isinstance(part["counts"], str) else part["counts"]
    if not all(isinstance(count, int) and count >= 0 for count in counts) or sum(counts) != height * width:
        raise CocoError(f"its run lengths do not add up to the {height * width} pixels of the image")
    return counts


def _decompress(text: str) -> list[int]:
    """Return the run lengths that COCO's API packs into a text: 5 bits a character, differences from the third on."""
    counts, value, shift = list[int](), 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            break
        value, shift = value | (bits & 31) << shift, shift + 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value, shift = 0, 0
    else:
        if not shift:
            return counts
    raise CocoError("its compressed run lengths are damaged")


def _draw(shape: Shape, height: int, width: int) -> NDArray[np.bool_]:
    if not shape:
        return np.zeros((height, width), bool)
    if not isinstance(shape[0], list):
        return np.repeat(np.arange(len(shape)) % 2 == 1, shape).reshape(width, height).T
    if coco_mask is None:
        raise SourceError("COCO's polygons need the package pycocotools: pip install pycocotools")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools uses a deprecated function of numpy
        drawn = coco_mask.decode(coco_mask.frPyObjects(shape, height, width))
    return np.asarray(drawn.any(axis=2))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
