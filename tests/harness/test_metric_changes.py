"""The largest change by one prediction, from counts, equals that of trying every prediction."""

import time
from functools import partial
from itertools import product

import numpy as np
import pytest

from harness import metrics
from harness.metric_changes import MOST_TRIALS, confusion_matrix, largest_f1_change, largest_matthews_change
from harness.metrics import Array, Metric, f1, matthews_correlation, one_prediction


def rows_of(classes: int, rows: int, seed: int, right: float = 0.6) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, rows)
    predictions = np.where(random.random(rows) < right, labels, random.integers(0, classes, rows))
    return predictions, labels


def largest_by_trial(metric: Metric, predictions: Array, labels: Array) -> float:
    before, changes = metric(predictions, labels), [0.0]
    for row, other in product(range(len(labels)), np.union1d(predictions, labels)):
        changed = predictions.copy()
        changed[row] = other
        changes.append(abs(metric(changed, labels) - before))
    return max(changes)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_the_largest_change_of_f1_is_that_of_all_trials(average: str, seed: int) -> None:
    """With few rows some classes are only predicted once, and vanish from the average."""
    predictions, labels = rows_of(5, 12, seed)
    expected = largest_by_trial(partial(f1, average=average), predictions, labels)
    assert largest_f1_change(confusion_matrix(predictions, labels), average) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_largest_change_of_the_matthews_correlation_is_that_of_all_trials(seed: int) -> None:
    predictions, labels = rows_of(4, 12, seed)
    expected = largest_by_trial(matthews_correlation, predictions, labels)
    assert largest_matthews_change(confusion_matrix(predictions, labels)) == pytest.approx(expected, abs=1e-12)


def test_constant_predictions_have_a_matthews_correlation_of_zero() -> None:
    predictions, labels = np.zeros(6, dtype=np.int64), np.array([0, 0, 0, 1, 1, 2])
    expected = largest_by_trial(matthews_correlation, predictions, labels)
    assert largest_matthews_change(confusion_matrix(predictions, labels)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", [partial(f1, average="macro"), matthews_correlation], ids=["f1", "matthews"])
def test_metrics_of_77_classes_take_seconds(metric: Metric) -> None:
    predictions, labels = rows_of(77, 3080, 0)
    started = time.process_time()
    assert 0 < metrics.one_prediction(metric, predictions, labels) < 0.01
    assert time.process_time() - started < 5


def test_another_metric_of_many_classes_is_tried_with_a_sample() -> None:
    calls = []

    def share(predictions: Array, labels: Array) -> float:
        calls.append(1)
        return float(np.mean(predictions == labels))

    predictions, labels = rows_of(77, 3080, 0)
    assert one_prediction(share, predictions, labels) == pytest.approx(1 / 3080)
    assert len(calls) <= MOST_TRIALS + 1
