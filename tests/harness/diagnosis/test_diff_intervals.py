"""Intervals and tests of `zoo diff`: the jackknife, groups of examples that share a text, and coverage."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats

from harness import metrics
from harness.diagnosis.diff.groups import Groups, group_by_texts, single_groups
from harness.diagnosis.diff.intervals import CLUSTERED, JACKKNIFE, Interval, paired
from harness.diagnosis.diff.leave_out import without_each_group
from harness.judging.paired import Array, changes_of_correctness, group_sign_test
from harness.metric_changes import confusion_matrix, largest_matthews_change
from harness.metrics import Metric, reads

Arrays = dict[str, Array]
N = 48
THIRDS = np.arange(N) // 3


def noisy(labels: Array, share_right: float, classes: int, random: np.random.Generator) -> Array:
    """Return labels of which some are replaced by random classes."""
    return np.where(random.random(labels.shape) < share_right, labels, random.integers(0, classes, labels.shape))


def examples(kind: str) -> Arrays:
    random = np.random.default_rng(0)
    if kind == "confusion":
        return {"confusion": random.integers(1, 50, (N, 3, 3))}
    if kind == "real":
        labels = random.normal(size=N).round(1)
        return {"labels": labels, "predictions": (labels + random.normal(size=N)).round(1)}
    classes, shape = (2, (N, 4)) if kind == "multilabel" else (int(kind), (N,))
    labels = random.integers(0, classes, shape)
    ranked = np.argsort(random.random((N, 9)), axis=1)
    return {"labels": labels, "predictions": noisy(labels, 0.5, classes, random), "ranked": ranked}


def f1(average: str) -> Metric:
    return partial(metrics.f1, average=average)


CASES: list[tuple[str, Metric]] = [
    *product(["2", "4"], [metrics.accuracy, metrics.top5_accuracy, metrics.matthews_correlation]),
    *product(["2", "4", "multilabel"], [f1("macro"), f1("micro"), f1("weighted")]),
    *product(["multilabel"], [metrics.accuracy, metrics.f1_micro, f1("samples")]),
    *product(["confusion"], [metrics.mean_iou, metrics.pixel_accuracy]),
    *[("2", metrics.f1), ("real", metrics.pearson)],
]


@pytest.mark.parametrize(("kind", "metric"), CASES)
def test_leaving_out_groups_gives_the_metric_of_the_other_examples(kind: str, metric: Metric) -> None:
    arrays = examples(kind)
    left_out = [metric(*(arrays[name][group != THIRDS] for name in reads(metric))) for group in range(N // 3)]
    assert without_each_group(metric, arrays, THIRDS) == pytest.approx(left_out, abs=1e-12)


def test_leaving_out_groups_gives_spearmans_correlation_to_first_order() -> None:
    arrays = examples("real")
    found = without_each_group(metrics.spearman, arrays, np.arange(N))
    exact = [
        metrics.spearman(*(np.delete(arrays[name], row) for name in ("predictions", "labels"))) for row in range(N)
    ]
    assert np.std(found) == pytest.approx(np.std(exact), rel=0.03)
    assert np.corrcoef(found, exact)[0, 1] > 0.999


def value(metric: Metric, arrays: Mapping[str, Array]) -> float:
    """Return the metric; for two classes the Matthews correlation is Pearson's, which numpy computes fast."""
    predictions, labels = arrays["predictions"], arrays["labels"]
    if metric is metrics.matthews_correlation and np.ptp(labels) == np.ptp(predictions) == 1:
        return float(np.corrcoef(predictions, labels)[0, 1])
    return metric(predictions, labels)


def largest_change(metric: Metric, arrays: Mapping[str, Array]) -> float:
    """Return the largest change by one prediction: `harness.metrics.one_prediction`, without its slow trials."""
    if metric is metrics.matthews_correlation:
        return largest_matthews_change(confusion_matrix(arrays["predictions"], arrays["labels"]))
    return 1 / len(arrays["labels"])


def interval_of(
    metric: Metric, a: Mapping[str, Array], b: Mapping[str, Array], groups: Groups | None = None, *, step: float = 0.0
) -> Interval:
    """Return the interval of two sets of predictions, which must have one."""
    n = len(a["labels"])
    before, after = (value(metric, arrays) for arrays in (a, b))
    step = step or max(largest_change(metric, arrays) for arrays in (a, b))
    interval = paired(metric, a, b, difference=after - before, step=step, groups=groups or single_groups(n))
    assert interval is not None
    return interval


def right_in(rows: Sequence[int], n: int) -> Arrays:
    """Return predictions of label 0 that are right in these rows."""
    predictions = np.ones(n, np.int64)
    predictions[list(rows)] = 0
    return {"labels": np.zeros(n, np.int64), "predictions": predictions}


def test_the_interval_of_accuracies_is_the_one_worked_out_by_hand() -> None:
    # 12 gained and 6 lost of 898: the variance of the mean of 12 ones, 6 minus ones and 880 zeros, and one more flip
    a, b = right_in(range(6), 898), right_in(range(6, 18), 898)
    mean, n = 6 / 898, 898
    error = ((18 - n * mean**2) / (n * (n - 1)) + 1 / n**2) ** 0.5
    interval = interval_of(metrics.accuracy, a, b)
    half = float(special.stdtrit(n - 1, 0.975)) * error
    assert (interval.standard_error, interval.kind) == (pytest.approx(error), JACKKNIFE)
    assert (interval.low, interval.high) == (pytest.approx(mean - half), pytest.approx(mean + half))
    same = interval_of(metrics.accuracy, a, a)
    assert same.high == -same.low == pytest.approx(half / error / n)  # equal predictions: the effect of one flip


def test_the_clustered_error_is_that_of_liang_and_zeger() -> None:
    a, b = right_in(range(6), N), right_in(range(4, 28), N)
    interval = interval_of(metrics.accuracy, a, b, Groups(ids=THIRDS))
    moved = (b["predictions"] == 0).astype(float) - (a["predictions"] == 0)
    residuals, count = (moved - moved.mean()).reshape(-1, 3).sum(axis=1), N // 3
    together = (9 + 1 + 7 * 9 + 1) / (3 + 1 + 7 * 3 + 1)  # by groups: 3 lost, 1 lost, seven times 3 gained, 1 gained
    error = (count / (count - 1) * np.sum(residuals**2) / N**2 + (together / N) ** 2) ** 0.5
    assert (interval.standard_error, interval.kind) == (pytest.approx(error), CLUSTERED)
    half = float(special.stdtrit(count - 1, 0.975)) * error
    assert interval.high - interval.low == pytest.approx(2 * half)


def test_one_group_or_a_metric_that_needs_an_example_has_no_interval() -> None:
    arrays = right_in([0], 4)
    one = Groups(ids=np.zeros(4, np.int64))
    assert paired(metrics.accuracy, arrays, arrays, difference=0.0, step=0.25, groups=one) is None
    lonely = {"labels": np.arange(4.0), "predictions": np.array([1.0, 0, 0, 0])}  # constant without the first example
    assert paired(metrics.pearson, lonely, lonely, difference=0.0, step=0.0, groups=single_groups(4)) is None


GROUPED_METRICS = [("2", metrics.matthews_correlation), ("4", f1("macro")), ("real", metrics.spearman)]


@pytest.mark.parametrize(("kind", "metric"), GROUPED_METRICS)
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32 - 1))
def test_intervals_do_not_depend_on_the_order_of_rows_and_copies_of_rows_change_nothing(
    kind: str, metric: Metric, seed: int
) -> None:
    random = np.random.default_rng(seed)
    arrays, order, ids = (
        examples(kind),
        random.permutation(N),
        np.unique(random.integers(0, 20, N), return_inverse=True)[1],
    )
    other = {**arrays, "predictions": random.permuted(arrays["predictions"])}

    def interval(rows: NDArray[np.int64], groups: Groups) -> Interval:
        a, b = ({name: values[rows] for name, values in side.items()} for side in (arrays, other))
        return interval_of(metric, a, b, groups, step=1 / len(rows))

    def equal(first: Interval, second: Interval) -> bool:
        ends = [(x.low, x.high, x.standard_error) for x in (first, second)]
        return ends[0] == pytest.approx(ends[1], abs=1e-9)

    rows = np.arange(N)
    grouped, single = interval(rows, Groups(ids=ids)), interval(rows, single_groups(N))
    assert equal(interval(order, Groups(ids=ids[order])), grouped)
    assert equal(interval(rows, Groups(ids=random.permutation(N))), single)  # one group for each row
    twice = interval(np.concatenate([rows, rows]), Groups(ids=np.concatenate([ids, ids])))
    assert equal(twice, grouped)  # and not smaller, as it would be with independent rows
    assert interval(np.concatenate([rows, rows]), single_groups(2 * N)).standard_error < single.standard_error


def test_examples_that_share_a_text_directly_or_in_a_chain_are_a_group() -> None:
    pairs = [("a", "b"), ("c", "d"), ("b", "e"), ("f", " "), ("g", " "), ("h", "f")]
    groups = group_by_texts(pairs)
    assert groups.ids.tolist() == [0, 1, 0, 2, 3, 2]
    assert (groups.shared, groups.sizes.tolist(), groups.effective) == ("a text", [2, 1, 2, 1], 36 / 10)
    assert group_by_texts([("a",), ("b",)]).are_single


def test_a_chain_of_most_examples_is_replaced_by_the_groups_of_first_texts() -> None:
    chain = [(f"premise {row // 3}", f"{row % 3 and row}") for row in range(60)]  # "0" is shared by all premises
    groups = group_by_texts(chain)
    assert groups.shared == "the first text" and groups.sizes.tolist() == [3] * 20


def drawn_pairs(n: int, right: float, random: np.random.Generator, size: int) -> tuple[Arrays, Arrays, Groups]:
    """Draw balanced labels and two equally good models that agree in half of the groups.

    A model gets all examples of a group right, or all of them wrong.
    """
    ids, labels = np.arange(n) // size, random.integers(0, 2, n)
    first, other, agree = (random.random(n // size) < share for share in (right, right, 0.5))
    models = (first[ids], np.where(agree, first, other)[ids])
    a, b = ({"labels": labels, "predictions": np.where(model, labels, 1 - labels)} for model in models)
    return a, b, Groups(ids=ids)


def covered(metric: Metric, n: int, right: float, draws: int, *, size: int = 1, clustered: bool = True) -> int:
    """Return in how many draws the interval has the true difference, which is 0."""
    random, count = np.random.default_rng(0), 0
    for _ in range(draws):
        a, b, groups = drawn_pairs(n, right, random, size)
        interval = interval_of(metric, a, b, groups if clustered else None)
        count += interval.low <= 0 <= interval.high
    return count


def at_least(covered: int, draws: int, share: float) -> bool:
    """Return whether a count does not contradict a probability of at least `share`, at the 1 % level."""
    return bool(stats.binom.cdf(covered, draws, share) > 0.01)


def test_intervals_of_the_matthews_correlation_cover_95_percent_with_71_examples() -> None:
    draws = 200  # bootstrap intervals, percentile or BCa, cover 8 of 10 with so few errors
    assert at_least(covered(metrics.matthews_correlation, 71, 0.95, draws), draws, 0.95)


def test_only_clustered_intervals_cover_95_percent_if_examples_come_in_groups() -> None:
    clustered, independent = (covered(metrics.accuracy, 120, 0.75, 100, size=4, clustered=c) for c in (True, False))
    assert at_least(clustered, 100, 0.95) and not at_least(independent, 100, 0.85)


@pytest.mark.parametrize("together", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("flips", [0.02, 0.1, 0.3])
def test_intervals_of_ten_groups_cover_95_percent_however_much_their_examples_flip_together(
    flips: float, together: float
) -> None:
    random, ids, draws, hits = np.random.default_rng(0), np.repeat(np.arange(10), 20), 100, 0
    chances = [2 * flips / 3, flips / 3, 1 - flips]  # of an example that A or B alone gets right, or both
    for _ in range(draws):
        of_group, of_example = (random.choice(3, size=size, p=chances) for size in ((10, 1), (10, 20)))
        kinds = np.where(random.random((10, 1)) < together, of_group, of_example).ravel()
        a, b = ({"labels": np.ones(200, np.int64), "predictions": (kinds != wrong).astype(int)} for wrong in (1, 0))
        interval = interval_of(metrics.accuracy, a, b, Groups(ids=ids))
        hits += interval.low <= -flips / 3 <= interval.high
    assert at_least(hits, draws, 0.95)


def test_the_interval_of_ten_groups_agrees_with_their_sign_test() -> None:
    """Before, one more flip counted as that of a whole group, which doubled the interval."""
    lost, gained = [8, 7, 6, 6, 5, 5, 4, 3, 1, 0], [0, 0, 0, 1, 0, 1, 0, 1, 0, 2]
    kinds = np.concatenate([[0] * x + [1] * y + [2] * (20 - x - y) for x, y in zip(lost, gained, strict=True)])
    a, b = ({"labels": np.ones(200, np.int64), "predictions": (kinds != wrong).astype(int)} for wrong in (1, 0))
    groups = Groups(ids=np.repeat(np.arange(10), 20))
    interval = interval_of(metrics.accuracy, a, b, groups)
    assert group_sign_test(changes_of_correctness(a, b), groups.ids) < 0.05
    assert -0.33 < interval.low < interval.high < -0.05


@pytest.mark.slow
@pytest.mark.parametrize("n", [71, 277, 408])
@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.f1, metrics.matthews_correlation])
@pytest.mark.parametrize("right", [0.75, 0.95])
def test_intervals_cover_95_percent(metric: Any, n: int, right: float) -> None:
    assert at_least(covered(metric, n, right, 1000), 1000, 0.945)
