"""The effect of one detection on a metric of detections."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.detection_matches import ClassMatches, matches_of
from harness.detection_metrics import MEASURES, overlap_scores

Array = NDArray[Any]
Marks = NDArray[np.bool_]


def one_detection(metric: Callable[..., float], detections: Array, objects: Array) -> float:
    """Return a bound of the change of a metric that one detection can cause.

    One detection of a class may appear, disappear, or become another one of the same class, with any box and score. The
    bound is found for each class and overlap alone, so that it may be larger than the largest change.
    """
    measure = MEASURES.get(getattr(metric, "__name__", ""))
    if measure is None:  # a user's metric
        return 1 / max(1, int(np.count_nonzero(objects[:, :, 5] >= 0)))
    matches, changes = matches_of(detections, objects, measure.area), [0.0]
    for of_class in matches:
        before = overlap_scores(of_class, measure)
        changes += [abs(float((overlap_scores(each, measure) - before).mean())) for each in _extremes(of_class)]
    return max(changes) / max(len(matches), 1)


def _extremes(of_class: ClassMatches) -> tuple[ClassMatches, ClassMatches]:
    """Return the class with the worst and with the best change of one detection at each overlap.

    The worst one turns the first right detection into a false one with the highest score. The best one turns the first
    false detection into a right one with the highest score. If no object is left for it, it takes that of the last
    right detection. Earlier positions count for all later ones, so no other choice changes precisions more.
    """
    hits, misses = of_class.hits, of_class.misses
    all_found = hits.sum(axis=1, keepdims=True) >= of_class.objects.sum()
    worst = replace(of_class, hits=_led_by(False, hits & ~_first(hits)), misses=_led_by(True, misses))
    kept = hits & ~(_first(hits[:, ::-1])[:, ::-1] & all_found)
    best = replace(of_class, hits=_led_by(True, kept), misses=_led_by(False, misses & ~_first(misses)))
    return worst, best


def _first(marks: Marks) -> Marks:
    """Return the first mark of each row alone."""
    return np.asarray(marks & (marks.cumsum(axis=1) == 1))


def _led_by(value: bool, marks: Marks) -> Marks:
    return np.concatenate([np.full((len(marks), 1), value), marks], axis=1)
