"""All confusion matrices of two classes that give the printed scores.

A matrix has four counts: with P rows of the positive class and N of the other one, the true positives TP and the true
negatives TN determine it. The accuracy leaves E = FP + FN errors, so E + 1 matrices for each E; every further score
must agree with one of them. F1 of the positive class, for example, implies TP = E F1 / (2 (1 - F1)).

Passing by luck: of the values that the matrices so far allow for a score, those that one of them really gives. A score
without an accuracy is compared with the possible values within 0.05 around it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zoo.claims.printed import Printed

Counts = NDArray[np.int64]
Values = NDArray[np.float64]
MOST_MATRICES = 500_000
"""More matrices are not enumerated: the scores have too few digits to say anything."""
WINDOW = 0.05
OTHER_CLASS = "binary of the other class"
DEFINITIONS = ("binary", "macro", "weighted", "micro", OTHER_CLASS)
"""The definitions of F1, precision and recall to try, in this order, if the author declares none."""
MIXED = "mixed"
"""Each of F1, precision and recall has a definition of its own."""
CLASSES = ("class 1", "class 0")
"""The definitions of scores of one class: of the positive one, and of the other one."""


@dataclass(frozen=True)
class Matrices:
    """Candidates for the confusion matrix of two classes; class 1 is the positive one."""

    tp: Counts
    fp: Counts
    fn: Counts
    tn: Counts

    def __len__(self) -> int:
        return len(self.tp)

    def where(self, chosen: NDArray[np.bool_]) -> "Matrices":
        """Return some of the matrices."""
        return Matrices(self.tp[chosen], self.fp[chosen], self.fn[chosen], self.tn[chosen])

    def swapped(self) -> "Matrices":
        """Return the matrices with the other class as the positive one."""
        return Matrices(self.tn, self.fn, self.fp, self.tp)


@dataclass(frozen=True, kw_only=True)
class Score:
    """A printed score and what it may mean."""

    name: str
    printed: Printed
    definition: str | None = ""
    """The definition of F1, precision and recall: one of `DEFINITIONS` or `CLASSES`; None if the author declares
    none, and empty for other scores."""

    def meanings(self, hypothesis: str) -> tuple[str, ...]:
        """Return what the score means under a hypothesis on the scores whose definition is not declared."""
        if self.definition is None:
            return DEFINITIONS if hypothesis == MIXED else (hypothesis,)
        if self.definition == "binary":
            return {MIXED: ("binary", OTHER_CLASS), OTHER_CLASS: (OTHER_CLASS,)}.get(hypothesis, ("binary",))
        return (self.definition,)

    @property
    def is_accuracy(self) -> bool:
        """Whether the score is the share of right rows, perhaps by another name."""
        is_weighted_recall = self.name == "recall" and self.definition == "weighted"
        return self.name == "accuracy" or self.definition == "micro" or is_weighted_recall


@dataclass(frozen=True, kw_only=True)
class MatrixFit:
    """The matrices that give all scores, and what they mean then."""

    matrices: Matrices
    definition: str
    """The definition of the scores for which the author declares none."""
    is_loose: bool
    chances: Mapping[int, float]
    """Place of a score, without the accuracy -> the chance that a random value passes, given those before it."""

    @property
    def chance(self) -> float:
        """The chance that all scores pass by luck."""
        return float(np.prod([*self.chances.values()]))


def enumerate_matrices(negatives: int, positives: int, accuracy: Printed | None, *, loose: bool) -> Matrices | None:
    """Return all matrices of this many rows with this accuracy; None if they are too many."""
    if accuracy is None:
        if (negatives + 1) * (positives + 1) > MOST_MATRICES:
            return None
        tp, tn = (grid.ravel() for grid in np.meshgrid(np.arange(positives + 1), np.arange(negatives + 1)))
        return Matrices(tp, negatives - tn, positives - tp, tn)
    n, (low, high) = negatives + positives, accuracy.interval(loose=loose)
    errors = np.arange(max(n - np.floor(high * n), 0), min(n - np.ceil(low * n), n) + 1, dtype=np.int64)
    first, last = np.maximum(errors - negatives, 0), np.minimum(errors, positives)
    lengths = last - first + 1
    if lengths.sum() > MOST_MATRICES:
        return None
    of_error = np.repeat(errors, lengths)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    fn = np.repeat(first, lengths) + np.arange(len(of_error)) - starts
    fp = of_error - fn
    return Matrices(positives - fn, fp, fn, negatives - fp)


def fit_matrices(scores: Sequence[Score], negatives: int, positives: int) -> MatrixFit | Literal["none", "too many"]:
    """Find the matrices that give all scores, under the first hypothesis that allows any.

    Scores without a declared definition are taken to have a common one, else each may have its own.

    Returns:
        The fit; `none` if no matrix gives the scores; `too many` if there are too many to try.
    """
    accuracy = next((score for score in scores if score.is_accuracy), None)
    others = [score for score in scores if score is not accuracy]
    for is_loose in (False, True):
        every = enumerate_matrices(negatives, positives, accuracy.printed if accuracy else None, loose=is_loose)
        if every is None:
            return "too many"
        chances = np.zeros(len(others))
        for hypothesis in _hypotheses(others):
            matrices, of_this = _filter(every, others, hypothesis, loose=is_loose, bounded=accuracy is not None)
            chances += of_this
            if len(matrices):
                named = {n: min(float(chance), 1.0) for n, chance in enumerate(chances)}
                return MatrixFit(matrices=matrices, definition=hypothesis, is_loose=is_loose, chances=named)
    return "none"


def _hypotheses(scores: Sequence[Score]) -> list[str]:
    if any(score.definition is None for score in scores):
        return [*DEFINITIONS, MIXED]
    return ["binary", OTHER_CLASS] if any(score.definition == "binary" for score in scores) else ["binary"]


def _filter(
    matrices: Matrices, scores: Sequence[Score], hypothesis: str, *, loose: bool, bounded: bool
) -> tuple[Matrices, Values]:
    """Return the matrices that give all scores, and the chance that each score passes by luck."""
    chances = np.ones(len(scores))
    for place, score in enumerate(scores):
        low, high = score.printed.interval(loose=loose)
        passes, chances[place] = np.zeros(len(matrices), dtype=bool), 0.0
        for name in score.meanings(hypothesis):
            values, is_bounded = value_of(score.name, name, matrices), bounded or place > 0
            chances[place] += _chance(score.name, values, score.printed, loose=loose, bounded=is_bounded)
            passes |= (values >= low) & (values <= high)
        matrices = matrices.where(passes)
    return matrices, chances


def _chance(name: str, values: Values, score: Printed, *, loose: bool, bounded: bool) -> float:
    """Return the share of printed values, among those that are possible, that some matrix gives."""
    if not bounded:
        values = values[np.abs(values - score.value) <= WINDOW]
    if not len(values):
        return 0.0
    lowest, highest = float(values.min()), float(values.max())
    if not bounded:
        least = -1.0 if name == "matthews_correlation" else 0.0
        lowest, highest = max(score.value - WINDOW, least), min(score.value + WINDOW, 1.0)
    step = score.width(loose=loose)
    hit = len(np.unique(np.floor(values / step)))
    return min(hit / max((highest - lowest) / step, 1.0), 1.0)


def value_of(name: str, definition: str, matrices: Matrices) -> Values:
    """Return a score of each matrix, as scikit-learn computes it: 0 where it is undefined.

    Args:
        name: The metric.
        definition: One of `DEFINITIONS` or `CLASSES` for F1, precision and recall.
        matrices: The matrices.
    """
    if name in _ONE_DEFINITION:
        return _ONE_DEFINITION[name](matrices)
    metric, n = _OF_CLASS[name], matrices.tp + matrices.fp + matrices.fn + matrices.tn
    if definition == "micro":
        return (matrices.tp + matrices.tn) / n
    if definition in ("binary", CLASSES[0]):
        return metric(matrices)
    other = metric(matrices.swapped())
    if definition in (OTHER_CLASS, CLASSES[1]):
        return other
    share = (matrices.tp + matrices.fn) / n if definition == "weighted" else np.full(len(n), 0.5)
    return share * metric(matrices) + (1 - share) * other


def _ratio(above: Values | Counts, below: Values | Counts) -> Values:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)


def _accuracy(m: Matrices) -> Values:
    return (m.tp + m.tn) / (m.tp + m.fp + m.fn + m.tn)


def _recall(m: Matrices) -> Values:
    return _ratio(m.tp, m.tp + m.fn)


def _precision(m: Matrices) -> Values:
    return _ratio(m.tp, m.tp + m.fp)


def _f1(m: Matrices) -> Values:
    return _ratio(2 * m.tp, 2 * m.tp + m.fp + m.fn)


def _matthews(m: Matrices) -> Values:
    tp, fp, fn, tn = (counts.astype(np.float64) for counts in (m.tp, m.fp, m.fn, m.tn))
    return _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def _balanced(m: Matrices) -> Values:
    return (_recall(m) + _recall(m.swapped())) / 2


_ONE_DEFINITION: Mapping[str, Callable[[Matrices], Values]] = {
    "accuracy": _accuracy, "matthews_correlation": _matthews, "balanced_accuracy": _balanced,
}  # fmt: skip
_OF_CLASS: Mapping[str, Callable[[Matrices], Values]] = {"f1": _f1, "precision": _precision, "recall": _recall}
JOINT = (*_ONE_DEFINITION, *_OF_CLASS)
"""The metrics that a confusion matrix determines."""
