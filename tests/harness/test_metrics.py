"""Metrics: values, the largest effect of one prediction, and the conversion to and from `evaluate.Metric`."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import metrics
from harness.metrics import accuracy, f1, matthews_correlation, one_prediction, pearson, spearman
from zoo.errors import UsageError

PREDICTIONS, LABELS = np.array([1, 0, 1, 1, 0, 1]), np.array([1, 0, 0, 1, 1, 1])


def test_metrics_match_values_worked_out_by_hand() -> None:
    assert accuracy(PREDICTIONS, LABELS) == pytest.approx(4 / 6)
    assert f1(PREDICTIONS, LABELS) == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    # tp 3, tn 1, fp 1, fn 1
    assert matthews_correlation(PREDICTIONS, LABELS) == pytest.approx((3 * 1 - 1 * 1) / math.sqrt(4 * 4 * 2 * 2))
    assert pearson(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 8.0])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2.0, 9.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(0.5)


def test_undefined_correlations_are_nan_and_undefined_scores_are_zero_without_a_warning() -> None:
    assert math.isnan(pearson(np.zeros(4), np.arange(4.0)))
    assert math.isnan(spearman(np.arange(4.0), np.ones(4)))
    assert f1(np.zeros(3, int), np.zeros(3, int)) == 0
    assert matthews_correlation(np.zeros(3, int), np.array([0, 1, 0])) == 0


@settings(max_examples=40)
@given(rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=3, max_size=12), data=st.data())
def test_no_single_prediction_changes_a_metric_by_more_than_its_step(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    predictions, labels = np.array(rows).T
    for metric in (accuracy, f1, matthews_correlation):
        step = one_prediction(metric, predictions, labels)
        changed = predictions.copy()
        row = data.draw(st.integers(0, len(labels) - 1))
        others = [label for label in set(labels) | set(predictions) if label != predictions[row]]
        if others:
            changed[row] = data.draw(st.sampled_from(others))
            assert abs(metric(changed, labels) - metric(predictions, labels)) <= step + 1e-12


def test_the_step_of_an_accuracy_is_one_example_and_of_a_correlation_5e_4() -> None:
    assert one_prediction(accuracy, PREDICTIONS, LABELS) == pytest.approx(1 / 6)
    assert one_prediction(pearson, PREDICTIONS.astype(np.float32), LABELS.astype(np.float32)) == 5e-4


@pytest.fixture(scope="module")
def adapter() -> Any:
    return pytest.importorskip("harness.evaluate_metrics")


@pytest.mark.parametrize("name", ["accuracy", "f1", "matthews_correlation"])
def test_a_converted_metric_computes_the_same_number(name: str, adapter: Any) -> None:
    computed = adapter.as_evaluate(name).compute(predictions=PREDICTIONS, references=LABELS)
    assert computed == {name: getattr(metrics, name)(PREDICTIONS, LABELS)}


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_a_converted_correlation_does_not_truncate_real_valued_predictions(name: str, adapter: Any) -> None:
    predictions, labels = np.array([0.2, 0.9, 0.4, 3.5]), np.array([0.1, 0.8, 0.7, 4.0])
    computed = adapter.as_evaluate(name).compute(predictions=predictions, references=labels)
    assert computed[name] == pytest.approx(getattr(metrics, name)(predictions, labels), abs=0)


def test_an_evaluate_metric_in_a_recipe_computes_the_same_number(adapter: Any) -> None:
    theirs = adapter.from_evaluate(adapter.as_evaluate("f1"))
    assert theirs(PREDICTIONS, LABELS) == f1(PREDICTIONS, LABELS)


def test_an_evaluate_metric_refuses_to_truncate_real_valued_predictions(adapter: Any) -> None:
    theirs = adapter.from_evaluate(adapter.as_evaluate("f1"))
    with pytest.raises(UsageError, match="would truncate real-valued predictions"):
        theirs(PREDICTIONS.astype(np.float32), LABELS)


def test_an_unknown_metric_suggests_the_nearest_name(adapter: Any) -> None:
    with pytest.raises(UsageError, match="did you mean accuracy"):
        adapter.as_evaluate("acuracy")
