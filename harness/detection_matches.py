"""Match detections and objects as COCO does, with pycocotools, in the order of images and detections.

The arrays are `detections` `(N, D, 6)` and `objects` `(N, M, 7)`, described in `zoo.tasks.detections`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import UsageError

try:
    from pycocotools.cocoeval import COCOeval
except ImportError:  # an optional dependency that only detections need
    COCOeval = None

Array = NDArray[Any]
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""The areas of the objects that count, in square pixels."""
OVERLAPS = np.linspace(0.5, 0.95, 10)
"""The least intersection over union at which a detection matches an object."""
MOST_DETECTIONS = 100
"""The number of detections of one class that count in an image, those with the highest scores."""


@dataclass(frozen=True, kw_only=True)
class ClassMatches:
    """The detections of one class in all images, the highest score first, and the objects of the class.

    Attributes:
        images: The image of each of the D detections, `(D,)`.
        hits: Whether a detection matches an object at each of `OVERLAPS`, `(10, D)`.
        misses: Whether it matches none. Detections that match an object that does not count are neither.
        objects: The number of objects that count in each image, `(N,)`.
    """

    images: NDArray[np.int64]
    hits: NDArray[np.bool_]
    misses: NDArray[np.bool_]
    objects: NDArray[np.int64]


def matches_of(detections: Array, objects: Array, area: str) -> list[ClassMatches]:
    """Return the matches of every class that has an object which counts.

    Raises:
        UsageError: pycocotools is not installed.
    """
    return _matches(_Arrays(detections, objects), area)


class _Arrays:
    """Two arrays, equal to others with the same content, because several metrics need the same matches."""

    def __init__(self, detections: Array, objects: Array) -> None:
        self.detections, self.objects = detections, objects
        digest = hashlib.sha256(repr((detections.shape, objects.shape)).encode())
        for array in (detections, objects):
            digest.update(np.ascontiguousarray(array, dtype=np.float64).data)
        self.digest = digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Arrays) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=8)  # the areas of two runs
def _matches(arrays: _Arrays, area: str) -> list[ClassMatches]:
    """Match detections and objects by pycocotools."""
    if COCOeval is None:
        raise UsageError("average precision needs the package pycocotools: pip install pycocotools")
    evaluator = COCOeval(iouType="bbox")
    evaluator.params.maxDets, evaluator.params.iouThrs = [MOST_DETECTIONS], OVERLAPS
    evaluator._gts.update(_grouped(_objects(arrays.objects)))
    evaluator._dts.update(_grouped(_detections(arrays.detections)))
    keys = sorted(evaluator._gts.keys() | evaluator._dts.keys(), key=lambda key: (key[1], key[0]))
    by_class: dict[int, list[tuple[int, Mapping[str, Any]]]] = {}
    for image, number in keys:
        evaluator.ious[image, number] = evaluator.computeIoU(image, number)
        result = evaluator.evaluateImg(image, number, AREAS[area], MOST_DETECTIONS)
        by_class.setdefault(number, []).append((image, result))
    found = [_of_class(results, len(arrays.objects)) for results in by_class.values()]
    return [of_class for of_class in found if of_class.objects.any()]


def _objects(objects: Array) -> Iterator[dict[str, Any]]:
    number = 0
    for image, rows in enumerate(objects):
        for row in rows[rows[:, 5] >= 0].tolist():
            number += 1  # pycocotools takes 0 for no object
            yield {
                "id": number, "image_id": image, "category_id": int(row[5]), "bbox": row[:4], "area": row[4],
                "iscrowd": int(row[6]), "ignore": int(row[6]),
            }  # fmt: skip


def _detections(detections: Array) -> Iterator[dict[str, Any]]:
    number = 0
    boxes = detections[:, :, :4].copy()
    boxes[:, :, 2:] -= boxes[:, :, :2]  # in single precision, as torchvision's reference computes the width
    for image, rows in enumerate(detections):
        for place in np.flatnonzero(rows[:, 4] > 0).tolist():
            number += 1
            box = boxes[image, place].tolist()
            yield {
                "id": number, "image_id": image, "category_id": int(rows[place, 5]), "bbox": box,
                "area": box[2] * box[3], "score": float(rows[place, 4]),
            }  # fmt: skip


def _grouped(items: Iterator[dict[str, Any]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for item in items:
        groups.setdefault((item["image_id"], item["category_id"]), []).append(item)
    return groups


def _of_class(results: list[tuple[int, Mapping[str, Any]]], count: int) -> ClassMatches:
    scores = np.concatenate([result["dtScores"] for _, result in results])
    order = np.argsort(-scores, kind="stable")
    images = np.concatenate([np.full(len(result["dtScores"]), image) for image, result in results])
    matched = np.concatenate([result["dtMatches"] for _, result in results], axis=1)[:, order] > 0
    ignored = np.concatenate([result["dtIgnore"] for _, result in results], axis=1)[:, order].astype(bool)
    objects = np.zeros(count, dtype=np.int64)
    for image, result in results:
        objects[image] = np.count_nonzero(np.asarray(result["gtIgnore"]) == 0)
    return ClassMatches(
        images=images[order].astype(np.int64), hits=matched & ~ignored, misses=~matched & ~ignored, objects=objects
    )
