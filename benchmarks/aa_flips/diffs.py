"""Decide whether `zoo diff` reports a difference, for records and for simulated predictions."""

from collections.abc import Mapping

from harness import metrics
from harness.diagnosis.diff.groups import single_groups
from harness.diagnosis.diff.intervals import paired
from harness.diagnosis.diff.types import MetricChange, SplitDiff
from harness.judging.paired import find_flips
from harness.metrics import Array


def finds_difference(split: SplitDiff) -> bool:
    """Return whether the test finds that a run is better, or the interval of a metric excludes 0."""
    intervals = [change.interval for change in split.metrics if change.interval]
    return split.better is not None or any(not interval.low <= 0 <= interval.high for interval in intervals)


def compare_accuracies(a: Mapping[str, Array], b: Mapping[str, Array]) -> SplitDiff:
    """Compare predictions `(N,)` of independent examples with the same labels, as `zoo diff` does for two records."""
    n, flips = len(a["labels"]), find_flips(a, b)
    values = [float(metrics.accuracy(side["predictions"], side["labels"])) for side in (a, b)]
    interval = paired(
        metrics.accuracy, a, b, difference=values[1] - values[0], step=1 / n, groups=single_groups(n)
    )  # fmt: skip
    change = MetricChange(metric="accuracy", a=values[0], b=values[1], interval=interval)
    return SplitDiff(split="test", selections=("last", "last"), n=n, metrics=(change,), flips=flips, drift=None)
