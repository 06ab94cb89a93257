"""Convert metrics: zoo's to `evaluate.Metric` for use in other scripts, and `evaluate.Metric` to zoo's for recipes.

    from harness.evaluate_metrics import as_evaluate
    as_evaluate("f1").compute(predictions=[0, 1], references=[0, 1])

Nothing is downloaded. Importing `evaluate` takes seconds, so this module is imported only where a recipe needs it.
"""

from typing import Any

import datasets
import evaluate
import numpy as np

from harness import metrics
from harness.metrics import Array, Metric
from zoo.errors import UsageError, did_you_mean

REAL_VALUED = ("pearson", "spearman")
NAMES = ("accuracy", "f1", "matthews_correlation", *REAL_VALUED)


class PlainMetric(evaluate.Metric):  # type: ignore[misc]
    """A function of `harness.metrics` behind the `evaluate` interface; `config_name` is the function's name."""

    def _info(self) -> evaluate.MetricInfo:
        # int64 features would silently cut a float prediction to a whole number
        kind = "float64" if self.config_name in REAL_VALUED else "int64"
        return evaluate.MetricInfo(
            description=getattr(metrics, self.config_name).__doc__,
            citation="",
            features=datasets.Features({name: datasets.Value(kind) for name in ("predictions", "references")}),
        )

    def _compute(self, *, predictions: Any, references: Any, **options: Any) -> dict[str, float]:
        function = getattr(metrics, self.config_name)
        return {self.config_name: function(np.asarray(predictions), np.asarray(references), **options)}


def as_evaluate(name: str) -> evaluate.Metric:
    """Return a metric of `harness.metrics` as an `evaluate.Metric`. Raises UsageError for an unknown name."""
    if name not in NAMES:
        raise UsageError(f"Unknown metric {name!r}{did_you_mean(name, list(NAMES))}")
    return PlainMetric(config_name=name)


def from_evaluate(metric: evaluate.Metric) -> Metric:
    """Return an `evaluate.Metric` as a plain function of predictions and labels.

    The function raises UsageError if the metric returns no number, or if it would truncate real-valued predictions.

    Raises:
        UsageError: It is an object of another class.
    """
    if not isinstance(metric, evaluate.EvaluationModule):
        raise UsageError(f"{type(metric).__name__} is not a metric: a class must derive from evaluate.Metric")

    def compute(predictions: Array, labels: Array) -> float:
        feature = getattr(metric.features, "get", lambda _: None)("predictions")
        if np.issubdtype(predictions.dtype, np.floating) and "int" in str(getattr(feature, "dtype", "")):
            raise UsageError(f"the metric {metric.name} reads whole numbers; it would truncate real-valued predictions")
        numbers = list(metric.compute(predictions=predictions, references=labels).values())
        if not numbers or not np.isscalar(numbers[0]):
            raise UsageError(f"the metric {metric.name} returns no single number: {numbers}")
        return float(numbers[0])  # type: ignore[arg-type]

    compute.measured_by = type(metric)  # type: ignore[attr-defined]  # a record hashes its source
    return compute
