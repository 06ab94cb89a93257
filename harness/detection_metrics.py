"""Metrics of object detection as COCO defines them: average precision and average recall over boxes.

They read two arrays: `detections` `(N, D, 6)` and `objects` `(N, M, 7)`, described in `zoo.tasks.detections`. Boxes are
matched by pycocotools, in the order of images and detections. At most 100 detections of a class count in an image. The
metrics equal those of `pycocotools.cocoeval.COCOeval` for the original annotations; where that has -1, because no
object counts, they are NaN.

Papers:
    Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; https://cocodataset.org/#detection-eval.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.detection_matches import OVERLAPS, ClassMatches, matches_of

Array = NDArray[Any]
Floats = NDArray[np.float64]
RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What a metric averages over."""

    area: str = "all"
    overlaps: tuple[int, ...] = tuple(range(len(OVERLAPS)))
    """The positions in `OVERLAPS`."""
    of_recall: bool = False


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


def score_without(matches: list[ClassMatches], measure: Measure, images: NDArray[np.bool_]) -> float:
    """Return the score of all images but the marked ones `(N,)`."""
    return _mean_score([_without(of_class, images) for of_class in matches], measure)


def overlap_scores(of_class: ClassMatches, measure: Measure) -> Floats:
    """Return the recall, or the mean of the precision at `RECALLS`, at each overlap of the measure."""
    hits = of_class.hits[list(measure.overlaps)].cumsum(axis=1).astype(np.float64)
    recall = hits / of_class.objects.sum()
    if measure.of_recall:
        return recall[:, -1] if recall.shape[1] else np.zeros(len(recall))
    misses = of_class.misses[list(measure.overlaps)].cumsum(axis=1).astype(np.float64)
    precision = hits / (hits + misses + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # at this recall or a higher one
    padded = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
    at_recalls = [row[np.searchsorted(rises, RECALLS, side="left")] for row, rises in zip(padded, recall, strict=True)]
    return np.asarray(np.mean(at_recalls, axis=1))


def _score(detections: Array, objects: Array, measure: Measure) -> float:
    return _mean_score(matches_of(detections, objects, measure.area), measure)


def _mean_score(matches: list[ClassMatches], measure: Measure) -> float:
    scores = [overlap_scores(of_class, measure).mean() for of_class in matches if of_class.objects.any()]
    return float(np.mean(scores)) if scores else float("nan")


def _without(of_class: ClassMatches, images: NDArray[np.bool_]) -> ClassMatches:
    stay = ~images[of_class.images]
    return ClassMatches(
        images=of_class.images[stay], hits=of_class.hits[:, stay], misses=of_class.misses[:, stay],
        objects=np.where(images, 0, of_class.objects),
    )  # fmt: skip
