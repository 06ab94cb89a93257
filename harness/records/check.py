"""Check a record against the files beside it: their digests, and the scores, computed again from the predictions."""

import math
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness import metrics
from harness.metrics import Array, Metric, measure, reads
from harness.records.arrays import read_arrays, rows_not_finite
from harness.records.record import Record, Result, results_digest, verify_files
from zoo.errors import IntegrityError
from zoo.recipes.reader import short_name

TOLERANCE = 1e-9
"""How much a score may differ by the rounding of another version of numpy or scikit-learn."""
ADVICE = "restore the record, or make the run again with --fresh"
OWN_MODULES = ("harness.metrics", "harness.evaluate_metrics")
"""The modules whose metrics can be computed again without code that a user must trust."""


def verify_record(path: Path, record: Record) -> None:
    """Check that a record says what its files say.

    The metrics of this project are computed again from the predictions. A metric of another package is not: its code
    would have to be trusted.

    Raises:
        IntegrityError: A file or a result differs from its digest, or a score from that of the predictions.
    """
    verify_files(path, record)
    if record.results_sha256 and record.results_sha256 != results_digest(record.results):
        raise IntegrityError(f"{path}: the results are not those that were recorded; {ADVICE}")
    for result in record.results:
        arrays = read_arrays(path.parent / result.predictions["file"])
        for problem in _wrong_scores(record, result, arrays):
            raise IntegrityError(f"{path}: {problem}; {ADVICE}")


def _wrong_scores(record: Record, result: Result, arrays: Mapping[str, Array]) -> Iterator[str]:
    """Yield what the result says that its predictions do not."""
    n = len(next(iter(arrays.values())))
    if n != result.n:
        yield f"{result.split}: recorded {result.n:,} examples, but {n:,} were predicted"
    undefined = rows_not_finite(arrays) > 0
    for name, recorded in result.metrics.items():
        metric = _recorded_metric(record, name)
        if metric is None or not set(reads(metric)) <= set(arrays):
            continue
        value, step = (math.nan, math.nan) if undefined else _measure(metric, arrays)
        for key, found in (("value", value), ("one_prediction", step)):
            if not _is_equal(recorded[key], found):
                what = f"{name} on {result.split!r}" + (", one prediction" if key == "one_prediction" else "")
                yield f"{what}: recorded {recorded[key]}, but the predictions beside it give {found:.6g}"


def _recorded_metric(record: Record, name: str) -> Metric | None:
    """Return a metric of this project with the arguments of the recipe; None for one of another package."""
    call = next((call for call in record.recipe.get("metrics") or () if short_name(call) == name), name)
    use = call["use"] if isinstance(call, Mapping) else str(call)
    arguments = {key: value for key, value in call.items() if key != "use"} if isinstance(call, Mapping) else {}
    module, _, attribute = use.rpartition(".")
    if module not in ("", *OWN_MODULES) or not hasattr(metrics, attribute):
        return None
    metric: Any = getattr(metrics, attribute)
    return partial(metric, **arguments) if arguments else metric


def _measure(metric: Metric, arrays: Mapping[str, Array]) -> tuple[float, float]:
    """Return the value of a metric and the effect of one prediction; NaN if it cannot be computed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return measure(metric, arrays)
    except (TypeError, ValueError, IndexError):
        return math.nan, math.nan


def _is_equal(recorded: float | None, found: float) -> bool:
    if recorded is None or not math.isfinite(found):
        return recorded is None and not math.isfinite(found)
    return abs(recorded - found) <= TOLERANCE
