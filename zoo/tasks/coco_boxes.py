"""Read the boxes in a file of annotations in COCO's format."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.tasks.coco_file import CocoError, by_image, coco_file

COLUMNS = ("x", "y", "width", "height", "area", "class", "iscrowd")
"""The numbers of an object, in pixels as in the file; the area is that of its mask, if the file has masks."""
CLASS, CROWD = COLUMNS.index("class"), COLUMNS.index("iscrowd")
BACKGROUND = 0


@dataclass(frozen=True, kw_only=True)
class AnnotatedImage:
    """An image, not read yet, and its objects in the order of the file."""

    name: str
    height: int
    width: int
    objects: NDArray[np.float64]
    """The numbers of each object, `(M, 7)`, see `COLUMNS`."""

    @property
    def has_large_object(self) -> bool:
        """Whether an object has a box that is wider and higher than one pixel."""
        return bool((self.objects[:, 2:4] > 1).all(axis=1).any())

    @property
    def content(self) -> str:
        """A text that identifies the annotations."""
        return json.dumps([self.name, self.height, self.width, self.objects.tolist()])


@dataclass(frozen=True, kw_only=True)
class Numbering:
    """How the categories of a file of annotations are numbered as classes.

    Attributes:
        path: The file.
        ids: The ids of the categories, sorted.
        contiguous: Whether the classes are numbered from 1 in the order of the ids. If False, they are the ids.
    """

    path: Path
    ids: tuple[int, ...]
    contiguous: bool

    @property
    def outputs(self) -> int:
        """The number of classes that a detector needs, with the background."""
        return 1 + (len(self.ids) if self.contiguous else self.ids[-1])

    @property
    def classes(self) -> Mapping[int, int]:
        """The class of each category."""
        return {number: place if self.contiguous else number for place, number in enumerate(self.ids, 1)}

    @property
    def other(self) -> "Numbering":
        """The other numbering of the same categories."""
        return replace(self, contiguous=not self.contiguous)


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """The images of a file of annotations in the order of their ids, and how their categories are numbered."""

    images: list[AnnotatedImage]
    numbering: Numbering


def read_boxes(path: Path, *, contiguous: bool) -> Annotations:
    """Read the images of a file of annotations with their boxes.

    Args:
        path: The file.
        contiguous: Number the classes from 1 in the order of the ids of their categories. If False, the ids are the
            numbers of the classes, as in torchvision's weights.

    Raises:
        SourceError: The file is not readable, or an image or an object in it has an unknown form.
    """
    with coco_file(path) as data:
        numbering = _numbering(path, data["categories"], contiguous)
        classes = numbering.classes
        if len({item["id"] for item in data["annotations"]}) < len(data["annotations"]):
            raise CocoError("two objects have the same id")
        grouped = by_image(data["images"], data["annotations"])
        images = [_image(image, [_object(item, image, classes) for item in items]) for image, items in grouped]
        return Annotations(images=images, numbering=numbering)


def _numbering(path: Path, categories: Sequence[Mapping[str, Any]], contiguous: bool) -> Numbering:
    ids = sorted(category["id"] for category in categories)
    if not ids:
        raise CocoError("`categories` is empty")
    if len(set(ids)) < len(ids):
        raise CocoError("two categories have the same id")
    if not contiguous and ids[0] <= BACKGROUND:
        raise CocoError(f"category {ids[0]} cannot be class {ids[0]}, which is the background; set `contiguous: true`")
    return Numbering(path=path, ids=tuple(ids), contiguous=contiguous)


def _image(image: Mapping[str, Any], objects: Sequence[Sequence[float]]) -> AnnotatedImage:
    name, height, width = str(image["file_name"]), image["height"], image["width"]
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise CocoError(f"image {name}: its file is not in the folder of the images")
    if not all(isinstance(size, int) and size > 0 for size in (height, width)):
        raise CocoError(f"image {name}: its height and width are {height!r} and {width!r}, not numbers of pixels")
    array = np.array(objects, dtype=np.float64).reshape(-1, len(COLUMNS))
    return AnnotatedImage(name=name, height=height, width=width, objects=array)


def _object(item: Mapping[str, Any], image: Mapping[str, Any], classes: Mapping[int, int]) -> list[float]:
    what = f"object {item['id']} of image {image['file_name']}"
    box, crowd = item["bbox"], item.get("iscrowd", 0)
    if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box)) and min(box[2:]) >= 0):
        raise CocoError(f"{what}: its bbox is {json.dumps(box)[:60]}, not [x, y, width, height]")
    if item["category_id"] not in classes:
        raise CocoError(f"{what}: its category {item['category_id']!r} is not listed")
    if crowd not in (0, 1):
        raise CocoError(f"{what}: its iscrowd is {crowd!r}, not 0 or 1")
    area = item.get("area", box[2] * box[3])
    if not _is_number(area):
        raise CocoError(f"{what}: its area is {area!r}, not a number")
    return [*box, area, classes[item["category_id"]], crowd]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
