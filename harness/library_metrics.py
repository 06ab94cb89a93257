"""Use metrics of scikit-learn and scipy in recipes: they take labels first, and scipy returns more than a number."""

from functools import partial
from typing import Any

from harness.metrics import Array, Metric
from zoo.trusted_code import is_part_of

LIBRARIES = ("sklearn", "scipy")


def is_library_metric(function: Any) -> bool:
    """Return whether a function is a metric of scikit-learn or scipy."""
    return is_part_of(str(getattr(function, "__module__", "")), LIBRARIES)


def from_library(function: Any, **options: Any) -> Metric:
    """Return a metric of a library as a plain function of predictions and labels.

    Args:
        function: The metric of the library.
        **options: Its other arguments.
    """

    def compute(predictions: Array, labels: Array, **options: Any) -> float:
        result = function(labels, predictions, **options)
        return float(getattr(result, "statistic", result))

    compute.measured_by = function  # type: ignore[attr-defined]  # a record hashes its source
    return partial(compute, **options) if options else compute
