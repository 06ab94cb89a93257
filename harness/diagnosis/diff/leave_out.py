"""Compute a metric without each group of examples in turn: the values that a jackknife needs.

Nearly each metric is a function of sums over examples, so the sums without a group are enough, and 40,000 groups take
less than a second. Spearman's correlation depends on ranks, and the best scores of answers on a threshold; their values
are exact to first order.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from harness import metrics
from harness.answer_metrics import scores_and_weights
from harness.detection_matches import matches_of
from harness.detection_metrics import MEASURES, score_without
from harness.metrics import Array, Metric

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
MOST_VALUES = 2**22
"""The number of counts that are held at once."""
MOST_BLOCKS = 100
"""Average precision is computed without each of this number of blocks of images at most."""


def without_each_group(metric: Metric, arrays: Mapping[str, Array], groups: Ids) -> Floats:
    """Return the metric of all examples but those of one group, for each of the G groups, `(G,)`.

    Args:
        metric: A metric of this project, or a `partial` of `f1` with an average.
        arrays: The arrays that the metric reads.
        groups: The number of the group of each example, `(N,)`, from 0 on.

    Returns:
        The values; NaN where the metric is not defined, as for constant predictions.
    """
    function: Any = getattr(metric, "func", metric)
    average: Any = getattr(metric, "keywords", {}).get("average", AVERAGES.get(function))
    with np.errstate(invalid="ignore", divide="ignore"):
        if "detections" in arrays:
            return _detections(function, arrays, groups)
        if (read := metrics.reads(metric)[0]) in SUMMED:
            return _of_sums(metric, arrays[read], groups)
        if "answers" in arrays:
            return _mean(_without(scores_and_weights(function, arrays["answers"]), groups))
        if function is metrics.spearman:
            return _spearman(*_real_numbers(arrays), groups)
        if function is metrics.pearson:
            return _pearson(_without(_moments(*_real_numbers(arrays)), groups))
        if function in (metrics.accuracy, metrics.top5_accuracy, metrics.mean_score) or average == "samples":
            return _mean(_without(_scores(function, arrays), groups))
        if function in (metrics.f1, metrics.f1_micro):
            return _of_counts(lambda counts: _f1(counts, average, arrays), arrays, groups)
        return _of_counts(OF_COUNTS[function], arrays, groups)


def _detections(function: Any, arrays: Mapping[str, Array], groups: Ids) -> Floats:
    """Return a metric of detections without each group; of more than `MOST_BLOCKS` groups, without blocks of them.

    Each of the b groups of a block gets `m + (d - m) / sqrt(b)`, where d is the metric without the block and m the mean
    of d. The sum of squares about the mean is then that of the blocks (delete-a-group jackknife: Kott, Journal of
    Official Statistics 2001).
    """
    measure, count = MEASURES[function.__name__], int(groups.max()) + 1
    matches = matches_of(arrays["detections"], arrays["objects"], measure.area)
    block_of = np.arange(count) * min(count, MOST_BLOCKS) // count
    blocks = block_of[groups]
    values = np.array([score_without(matches, measure, blocks == block) for block in range(blocks.max() + 1)])
    mean = values.mean()
    return np.asarray(mean + ((values - mean) / np.sqrt(np.bincount(block_of)))[block_of])


def _real_numbers(arrays: Mapping[str, Array]) -> tuple[Floats, Floats]:
    return arrays["predictions"].astype(np.float64), arrays["labels"].astype(np.float64)


def _without(rows: Floats, groups: Ids) -> Floats:
    """Return the sums `(G, D)` of all rows `(N, D)` but those of one group, for each group."""
    sums = np.stack([np.bincount(groups, weights=column) for column in rows.T], axis=1)
    return np.asarray(sums.sum(axis=0) - sums)


def _of_sums(metric: Metric, counts: Array, groups: Ids) -> Floats:
    """Return a metric of the sum of counts `(N, ...)` over all examples but those of one group, for each group."""
    sums = _without(counts.reshape(len(counts), -1).astype(np.float64), groups)
    return np.array([metric(total.reshape(1, *counts.shape[1:])) for total in sums])


def _mean(sums: Floats) -> Floats:
    """Return the mean score, from the sums of the scores and of ones."""
    return np.asarray(sums[:, 0] / sums[:, 1])


def _scores(function: Any, arrays: Mapping[str, Array]) -> Floats:
    """Return the score of each example and 1, `(N, 2)`, for a metric that is a mean of scores."""
    labels = arrays["labels"]
    if function is metrics.top5_accuracy:
        scores = np.any(arrays["ranked"][:, :5] == labels[:, None], axis=1)
    elif function is metrics.accuracy:
        scores = (arrays["predictions"] == labels).reshape(len(labels), -1).all(axis=1)
    elif function is metrics.mean_score:
        scores = arrays["predictions"]
    else:  # the F1 score of the labels of each example
        predictions, labels = _real_numbers(arrays)
        scores = _ratio(2 * (predictions * labels).sum(axis=1), (predictions + labels).sum(axis=1))
    return np.stack([scores, np.ones(len(scores))], axis=1)


def _moments(x: Floats, y: Floats) -> Floats:
    """Return 1 and the products of centered numbers, `(N, 6)`."""
    x, y = x - x.mean(), y - y.mean()
    return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)


def _pearson(sums: Floats) -> Floats:
    n, x, y, xx, yy, xy = sums.T
    return np.asarray((xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n)))


def _spearman(x: Floats, y: Floats, groups: Ids) -> Floats:
    """Return Spearman's correlation without each group, to first order.

    With mid-ranks F and G in [-1/2, 1/2] it is `C / sqrt(V W)` for the means C of FG, V of FF and W of GG. An example
    changes each mean by its own product and by the ranks of the examples above it (Croux and Dehon, Influence functions
    of the Spearman and Kendall correlation measures, Statistical Methods & Applications 2010).
    """
    f, g = _ranks(x), _ranks(y)
    c, v, w = (f * g).mean(), (f * f).mean(), (g * g).mean()
    of_c = f * g + _mean_above(x, g) + _mean_above(y, f) - 3 * c
    of_v, of_w = f * f + 2 * _mean_above(x, f) - 3 * v, g * g + 2 * _mean_above(y, g) - 3 * w
    correlation = c / np.sqrt(v * w)
    influence = of_c / np.sqrt(v * w) - correlation / 2 * (of_v / v + of_w / w)
    sums = np.bincount(groups, weights=influence)
    return np.asarray(correlation - sums / len(x) * len(sums) / (len(sums) - 1))


def _ranks(x: Floats) -> Floats:
    """Return the share of smaller numbers plus half of the share of equal ones, less 1/2."""
    ordered = np.sort(x)
    both = np.searchsorted(ordered, x, "left") + np.searchsorted(ordered, x, "right")
    return np.asarray(both / (2 * len(x)) - 0.5)


def _mean_above(x: Floats, values: Floats) -> Floats:
    """Return `(sum of values where x is larger + half of the sum where x is equal) / N` for each element of x."""
    order = np.argsort(x, kind="stable")
    sums, ordered = np.concatenate([[0.0], np.cumsum(values[order])]), x[order]
    below = sums[np.searchsorted(ordered, x, "left")] + sums[np.searchsorted(ordered, x, "right")]
    return np.asarray((sums[-1] - below / 2) / len(x))


def _of_counts(value: Callable[[Floats], Floats], arrays: Mapping[str, Array], groups: Ids) -> Floats:
    """Return a function of the counts `(G, 3, C)` without each group, computed in blocks."""
    return np.concatenate([value(block) for block in _counts_without(_class_counts(arrays, groups))])


def _class_counts(arrays: Mapping[str, Array], groups: Ids) -> csr_array:
    """Return how many examples of each group are right, true and predicted of each class, `(G, 3 C)`.

    For a segmentation these are numbers of pixels, for several labels numbers of labels.
    """
    if "confusion" in arrays:
        counts = arrays["confusion"].astype(np.float64)
        parts = [np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2), counts.sum(axis=1)]
        return _summed(np.concatenate(parts, axis=1), groups)
    labels, predictions = arrays["labels"], arrays["predictions"]
    if labels.ndim == 2:
        predictions, labels = _real_numbers(arrays)
        return _summed(np.concatenate([labels * predictions, labels, predictions], axis=1), groups)
    classes, codes = np.unique(np.concatenate([labels, predictions]), return_inverse=True)
    true, predicted = np.split(codes, 2)
    right = true == predicted
    columns = np.concatenate([true[right], len(classes) + true, 2 * len(classes) + predicted])
    rows = np.concatenate([groups[right], groups, groups])
    shape = (int(groups.max()) + 1, 3 * len(classes))
    return csr_array(coo_array((np.ones(len(rows)), (rows, columns)), shape=shape))


def _summed(counts: Array, groups: Ids) -> csr_array:
    rows, columns = counts.nonzero()
    shape = (int(groups.max()) + 1, counts.shape[1])
    return csr_array(coo_array((counts[rows, columns].astype(np.float64), (groups[rows], columns)), shape=shape))


def _counts_without(counts: csr_array) -> Iterator[Floats]:
    total, step = np.asarray(counts.sum(axis=0)).ravel(), max(1, MOST_VALUES // counts.shape[1])
    for start in range(0, counts.shape[0], step):
        block = total - counts[start : start + step].toarray()
        yield block.reshape(len(block), 3, -1)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Return the quotient; 0 where the divisor is 0."""
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=below > 0)


def _f1(counts: Floats, average: str, arrays: Mapping[str, Array]) -> Floats:
    """Return `2 TP / (2 TP + FP + FN)`, averaged over classes as scikit-learn does."""
    right, true, predicted = counts.transpose(1, 0, 2)
    if average == "micro":
        return _ratio(2 * right.sum(axis=1), (true + predicted).sum(axis=1))
    scores = _ratio(2 * right, true + predicted)
    if average == "binary":
        classes = np.union1d(arrays["labels"], arrays["predictions"])
        return np.asarray(scores[:, classes == 1].sum(axis=1))
    if average == "weighted":
        return _ratio((scores * true).sum(axis=1), true.sum(axis=1))
    several_labels = arrays["labels"].ndim == 2
    occur = np.full(scores.shape, True) if several_labels else true + predicted > 0
    return np.asarray(scores.sum(axis=1) / occur.sum(axis=1))


def _matthews(counts: Floats) -> Floats:
    """Return Gorodkin's correlation coefficient.

    With s examples, c of them right, p predictions and t labels of each class, it is
    `(c s - sum p t) / sqrt((s^2 - sum p^2) (s^2 - sum t^2))`, or 0 if the predictions or the labels are constant.
    """
    right, true, predicted = counts.transpose(1, 0, 2)
    total = true.sum(axis=1)
    below = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
    return _ratio(right.sum(axis=1) * total - (predicted * true).sum(axis=1), np.sqrt(np.maximum(below, 0)))


def _mean_iou(counts: Floats) -> Floats:
    right, true, predicted = counts.transpose(1, 0, 2)
    return np.asarray((right / (true + predicted - right)).mean(axis=1))


def _pixel_accuracy(counts: Floats) -> Floats:
    right, true, _ = counts.transpose(1, 0, 2)
    return np.asarray(right.sum(axis=1) / true.sum(axis=1))


SUMMED = ("entities", "words")
"""First arrays of the metrics that depend only on the sum of an array over the examples."""
OF_COUNTS: Mapping[Any, Callable[[Floats], Floats]] = {
    metrics.matthews_correlation: _matthews, metrics.mean_iou: _mean_iou, metrics.pixel_accuracy: _pixel_accuracy,
}  # fmt: skip
AVERAGES: Mapping[Any, str] = {metrics.f1: "binary", metrics.f1_micro: "micro"}
"""The average of F1 over classes, where a recipe does not choose it."""
