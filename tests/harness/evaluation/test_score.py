"""Metrics of a user, as they are called to score a split."""

from typing import Any

import numpy as np
import pytest

from harness.evaluation.evaluate import score
from harness.metrics import Metric
from zoo.errors import UsageError

ARRAYS = {"predictions": np.array([1, 0, 1]), "labels": np.array([1, 0, 0])}


@pytest.mark.parametrize("value", [None, {"error": 1.0}, "0.5", np.ones(3), np.True_])
def test_a_metric_that_returns_no_number_is_an_error_that_names_it(value: Any) -> None:
    with pytest.raises(UsageError, match=r"the metric 'mine' must take \(predictions, labels\) and return a number: "):
        score("test", ARRAYS, {"mine": lambda predictions, labels: value})


def test_a_metric_that_takes_other_arguments_is_an_error_that_names_it() -> None:
    no_metric: Metric = lambda: 0.5  # noqa: E731
    with pytest.raises(UsageError, match=r"the metric 'mine' must take .* 0 positional arguments but 2 were given"):
        score("test", ARRAYS, {"mine": no_metric})


def test_an_exception_of_a_metric_keeps_its_own_message() -> None:
    def mine(predictions: Any, labels: Any) -> float:
        raise TypeError("no such class")

    with pytest.raises(TypeError, match=r"^no such class$"):
        score("test", ARRAYS, {"mine": mine})
