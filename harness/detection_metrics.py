"""Metrics of object detection as COCO defines them: average precision and average recall over boxes.

They read two arrays: `detections` `(N, D, 6)` and `objects` `(N, M, 7)`, described in `zoo.tasks.detections`. Boxes are
matched by pycocotools, in the order of images and detections. At most 100 detections of a class count in an image. The
metrics equal those of `pycocotools.cocoeval.COCOeval` for the original annotations; where that has -1, because no
object counts, they are NaN.

Papers:
    Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; https://cocodataset.org/#detection-eval.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
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
Floats = NDArray[np.float64]
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""The areas of the objects that count, in square pixels."""
OVERLAPS = np.linspace(0.5, 0.95, 10)
"""The least intersection over union at which a detection matches an object."""
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_DETECTIONS = 100
"""The number of detections of one class that count in an image, those with the highest scores."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What a metric averages over."""

    area: str = "all"
    overlaps: tuple[int, ...] = tuple(range(len(OVERLAPS)))
    """The positions in `OVERLAPS`."""
    of_recall: bool = False


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


def average_precision(detections: Array, objects: Array) -> float:
    """The mean over classes and overlaps of 0.5 to 0.95 of the precision at 101 recalls, for all objects."""
    return _score(detections, objects, MEASURES["average_precision"])


def average_precision_50(detections: Array, objects: Array) -> float:
    """The average precision at an overlap of 0.5, which PASCAL VOC uses."""
    return _score(detections, objects, MEASURES["average_precision_50"])


def average_precision_75(detections: Array, objects: Array) -> float:
    """The average precision at an overlap of 0.75."""
    return _score(detections, objects, MEASURES["average_precision_75"])


def average_precision_small(detections: Array, objects: Array) -> float:
    """The average precision for objects of at most 32 x 32 pixels."""
    return _score(detections, objects, MEASURES["average_precision_small"])


def average_precision_medium(detections: Array, objects: Array) -> float:
    """The average precision for objects of 32 x 32 to 96 x 96 pixels."""
    return _score(detections, objects, MEASURES["average_precision_medium"])


def average_precision_large(detections: Array, objects: Array) -> float:
    """The average precision for objects of at least 96 x 96 pixels."""
    return _score(detections, objects, MEASURES["average_precision_large"])


def average_recall(detections: Array, objects: Array) -> float:
    """The mean over classes and overlaps of the share of objects that 100 detections of each image find."""
    return _score(detections, objects, MEASURES["average_recall"])


MEASURES: Mapping[str, Measure] = {
    "average_precision": Measure(),
    "average_precision_50": Measure(overlaps=(0,)),
    "average_precision_75": Measure(overlaps=(5,)),
    "average_precision_small": Measure(area="small"),
    "average_precision_medium": Measure(area="medium"),
    "average_precision_large": Measure(area="large"),
    "average_recall": Measure(of_recall=True),
}


def one_detection(metric: Callable[..., float], detections: Array, objects: Array) -> float:
    """Return the largest change that one detection of those tried makes to a metric.

    For each class these are: a false detection with the highest score of all, the loss of the right detection with the
    highest score, and the discovery of an object that is not found.
    """
    measure = MEASURES[metric.__name__]
    matches, changes = matches_of(detections, objects, measure.area), [0.0]
    for of_class in matches:
        before = _class_score(of_class, measure)
        changes += [abs(_class_score(changed, measure) - before) for changed in _trials(of_class)]
    return max(changes) / max(len(matches), 1)


def score_without(matches: list[ClassMatches], measure: Measure, images: NDArray[np.bool_]) -> float:
    """Return the score of all images but the marked ones `(N,)`."""
    return _mean_score([_without(of_class, images) for of_class in matches], measure)


def matches_of(detections: Array, objects: Array, area: str) -> list[ClassMatches]:
    """Return the matches of every class that has an object which counts.

    Raises:
        UsageError: pycocotools is not installed.
    """
    return _remembered(_matches, _Arrays(detections, objects), area)  # type: ignore[no-any-return]


def _score(detections: Array, objects: Array, measure: Measure) -> float:
    return _mean_score(_remembered(_matches, _Arrays(detections, objects), measure.area), measure)


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
def _remembered(function: Callable[..., Any], arrays: _Arrays, area: str) -> Any:
    return function(arrays, area)


def _matches(arrays: _Arrays, area: str) -> list[ClassMatches]:
    """Match detections and objects by pycocotools."""
    if COCOeval is None:
        raise UsageError("average precision needs the package pycocotools: pip install 'zoo-reproduce[coco]'")
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


def _mean_score(matches: list[ClassMatches], measure: Measure) -> float:
    scores = [_class_score(of_class, measure) for of_class in matches if of_class.objects.any()]
    return float(np.mean(scores)) if scores else float("nan")


def _class_score(of_class: ClassMatches, measure: Measure) -> float:
    """Return the mean over overlaps of the recall, or of the precision at `RECALLS`."""
    hits = of_class.hits[list(measure.overlaps)].cumsum(axis=1).astype(np.float64)
    recall = hits / of_class.objects.sum()
    if measure.of_recall:
        return float(recall[:, -1].mean()) if recall.shape[1] else 0.0
    misses = of_class.misses[list(measure.overlaps)].cumsum(axis=1).astype(np.float64)
    precision = hits / (hits + misses + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # at this recall or a higher one
    padded = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
    at_recalls = [row[np.searchsorted(own, RECALLS, side="left")] for row, own in zip(padded, recall, strict=True)]
    return float(np.mean(at_recalls))


def _without(of_class: ClassMatches, images: NDArray[np.bool_]) -> ClassMatches:
    stay = ~images[of_class.images]
    return ClassMatches(
        images=of_class.images[stay], hits=of_class.hits[:, stay], misses=of_class.misses[:, stay],
        objects=np.where(images, 0, of_class.objects),
    )  # fmt: skip


def _trials(of_class: ClassMatches) -> Iterator[ClassMatches]:
    """Yield the class with one more false detection, one right detection less, and one more right detection."""
    found = of_class.hits.any(axis=0)
    if found.any():
        first = int(found.argmax())
        yield _with_columns(of_class, *(np.delete(array, first, 1) for array in (of_class.hits, of_class.misses)))
    nothing, something = np.zeros((len(OVERLAPS), 1), bool), np.ones((len(OVERLAPS), 1), bool)
    added = [(nothing, something)]
    if of_class.hits.sum(axis=1).max() < of_class.objects.sum():
        added.append((something, nothing))
    for hit, miss in added:
        hits, misses = (
            np.concatenate([new, old], axis=1) for new, old in ((hit, of_class.hits), (miss, of_class.misses))
        )
        yield _with_columns(of_class, hits, misses)


def _with_columns(of_class: ClassMatches, hits: NDArray[np.bool_], misses: NDArray[np.bool_]) -> ClassMatches:
    return ClassMatches(images=of_class.images, hits=hits, misses=misses, objects=of_class.objects)
