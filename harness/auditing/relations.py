"""Relations between scores of one result that hold for any data and any number of rows.

- F1 is the harmonic mean of precision and recall for one class, and over all decisions (`micro`). Averaged over classes
  (`macro`, `weighted`) it is at most that, because the harmonic mean is concave.
- If every row has one label, the `micro` precision, recall and F1 and the `weighted` recall equal the accuracy.
- Top-5 accuracy is at least top-1 accuracy, and F1 of answers at least their exact match.
- Accuracy and error rate add up to 1.
- A mean over classes (`macro`) is the mean of the scores of all classes.

Passing by luck: F1 lies between precision and recall, so the chance is the share of these values that is close enough.
"""

from collections.abc import Iterator, Mapping

from harness.auditing.types import Finding, evidence
from zoo.claims.printed import Printed

Interval = tuple[float, float]
SINGLE = ("binary", "micro")


def harmonic_mean(precision: Printed, recall: Printed) -> Interval:
    """Return the smallest and the largest harmonic mean of two printed scores."""
    (low_p, high_p), (low_r, high_r) = precision.interval(loose=True), recall.interval(loose=True)
    return _harmonic(low_p, low_r), _harmonic(high_p, high_r)


def check_f1(f1: Printed, precision: Printed, recall: Printed, average: str | None) -> Finding:
    """Compare F1 with the harmonic mean of precision and recall.

    Args:
        f1: F1.
        precision: Precision, with the same average.
        recall: Recall, with the same average.
        average: The average, or None if the author does not say.
    """
    (low, high), (low_f1, high_f1) = harmonic_mean(precision, recall), f1.interval(loose=True)
    is_mean = low_f1 <= high and low <= high_f1
    if low_f1 > high:
        text = f"F1 is above the harmonic mean of precision and recall, {_span(low, high)}"
        if average is None:
            return Finding(rule="relation", verdict="inconsistent", text=f"{text}: they are not averaged alike")
        return Finding(rule="relation", verdict="impossible", text=f"{text}, which no average allows")
    if not is_mean and average in SINGLE:
        text = f"F1 is not the harmonic mean of precision and recall, {_span(low, high)}"
        return Finding(rule="relation", verdict="impossible", text=text)
    if not is_mean:
        kinds = average or "macro or weighted"
        text = f"F1 is below the harmonic mean of precision and recall, as {kinds} averages are"
        return Finding(rule="relation", verdict="uninformative", text=text)
    room = abs(precision.value - recall.value) + f1.unit
    chance = min((high - low + f1.width(loose=True)) / room, 1.0)
    text = "F1 is the harmonic mean of precision and recall"
    return Finding(rule="relation", verdict=evidence(chance), text=text, chance=chance)


def check_equal(accuracy: Printed, other: Printed, what: str) -> Finding:
    """Check that a score that must be the accuracy is it."""
    if accuracy.overlaps(other):
        chance = min(other.width(loose=True) + accuracy.width(loose=True), 1.0)
        text = f"{what} is the accuracy, as it must be"
        return Finding(rule="relation", verdict=evidence(chance), text=text, chance=chance)
    text = f"{what} must be the accuracy where each row has one label, {_short(accuracy)}"
    return Finding(rule="relation", verdict="impossible", text=text)


def check_complement(right: Printed, error: Printed) -> Finding | None:
    """Return a finding if the shares of right and of wrong rows cannot add up to all rows.

    An error rate that is 100 times too large or too small is one on another scale.
    """
    sums = [sum(ends) for ends in zip(right.interval(loose=True), error.interval(loose=True), strict=True)]
    if sums[0] <= 1 <= sums[1]:
        return None
    for factor, times in ((0.01, "100 times"), (100.0, "a hundredth of")):
        (low, high), (low_error, high_error) = right.complement.interval(), error.scaled(factor).interval()
        if right.value < 1 and low <= high_error and low_error <= high:
            text = f"the error {_short(error)} is {times} what the accuracy leaves, {_short(right.complement)}"
            return Finding(rule="scale", verdict="inconsistent", text=f"{text}: it is on another scale")
    text = f"accuracy and error ({_short(right)} and {_short(error)}) do not add up to 1"
    return Finding(rule="relation", verdict="impossible", text=text)


def check_at_least(larger: Printed, smaller: Printed, what: str) -> Finding | None:
    """Return a finding if a score is below another one that it cannot be below."""
    if larger.interval(loose=True)[1] >= smaller.interval(loose=True)[0]:
        return None
    return Finding(rule="relation", verdict="impossible", text=f"{what} ({_short(larger)} and {_short(smaller)})")


def check_mean(mean: Printed, of_classes: Mapping[str, Printed]) -> Finding:
    """Compare an average over classes (`macro`) with the scores of all classes."""
    ends = [score.interval(loose=True) for score in of_classes.values()]
    low, high = (sum(side) / len(ends) for side in zip(*ends, strict=True))
    low_mean, high_mean = mean.interval(loose=True)
    if low_mean <= high and low <= high_mean:
        chance = min(high - low + mean.width(loose=True), 1.0)
        text = f"the mean of the scores of {len(ends)} classes"
        return Finding(rule="relation", verdict=evidence(chance), text=text, chance=chance)
    text = f"the mean of the scores of {len(ends)} classes is {_span(low, high)}"
    return Finding(rule="relation", verdict="impossible", text=text)


def recall_limits(accuracy: Printed, counts: tuple[int, ...]) -> Interval:
    """Return the smallest and the largest mean recall over classes that an accuracy allows.

    The mean is largest if the small classes are right, and smallest if the large ones are.
    """
    n = sum(counts)
    low, high = accuracy.interval(loose=True)
    ordered = sorted(counts)
    return _mean_recall(max(low, 0) * n, ordered[::-1]), _mean_recall(min(high, 1) * n, ordered)


def _mean_recall(right: float, counts: list[int]) -> float:
    return sum(_recalls(right, counts)) / len(counts)


def _recalls(right: float, counts: list[int]) -> Iterator[float]:
    for count in counts:
        of_class = min(right, count)
        yield of_class / count
        right -= of_class


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a > 0 and b > 0 else 0.0


def _span(low: float, high: float) -> str:
    return f"{low:.4f} to {high:.4f}" if f"{low:.4f}" != f"{high:.4f}" else f"{high:.4f}"


def _short(score: Printed) -> str:
    return f"{score.value:.4f}"
