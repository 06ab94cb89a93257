"""The claims that runs make: of the weights that a training kept, and of reference runs. Never imports torch."""

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

import yaml

from harness.judging.measure import is_constant, read_decisions
from harness.records.record import Record, RecordedRun, Result
from zoo.recipes.claim import CORRELATIONS, LEAST_SIGMA

DECIMALS = 7
"""The decimals of a score of weights: enough to tell one prediction of a million from none."""
MEAN_DECIMALS = 6
"""The decimals of a mean and of a standard deviation; the test set and the seeds make both less certain than that."""
OF_WEIGHTS = "measured by `zoo train` for these weights; see record.json"
OF_REFERENCE = "my reference runs"


def weights_claims(record: Record) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return a claim for each score of the weights of a training, and the names of scores that no claim can have."""
    claims, left_out = list[dict[str, Any]](), list[str]()
    for result, metric, value in _scores(record):
        if value is None or not _can_be_claimed(metric, value):
            left_out.append(f"{metric} on {result.split}")
            continue
        claims.append({
            "of": "weights", "split": result.split, "metric": metric, "value": round(value, DECIMALS),
            "decimals": DECIMALS, **_conditions(record, result), "source": OF_WEIGHTS,
        })  # fmt: skip
    return claims, tuple(left_out)


def reference_claims(runs: Sequence[RecordedRun]) -> list[dict[str, Any]]:
    """Return a claim about trainings for each score of the weights that reference runs kept.

    Args:
        runs: The runs, each with another seed.

    Returns:
        The claims as a recipe has them, with the mean, the standard deviation and the number of the runs. An empty list
        if there are fewer than two runs, or if one is no reference run, has failed, or has equal predictions for all
        rows: the author has to repair the recipe first.
    """
    records = [record for _, record in runs]
    if len(records) < 2 or any(record.failure or not record.identity.is_reference for record in records):
        return []
    if any(is_constant(read_decisions(path, result)) for path, record in runs for result, _, _ in _scores(record)):
        return []
    values: dict[tuple[str, str], list[float]] = {}
    for record in records:
        for result, metric, value in _scores(record):
            if value is not None and _can_be_claimed(metric, value):
                values.setdefault((result.split, metric), []).append(value)
    first = {(result.split, metric): result for result, metric, _ in _scores(records[0])}
    return [
        _of_reference(records[0], first[score], score[1], of_runs)
        for score, of_runs in values.items() if len(of_runs) == len(records)
    ]  # fmt: skip


def claim_line(claim: dict[str, Any]) -> str:
    """Return a claim in one line of YAML, as a recipe may have it."""
    return str(
        yaml.safe_dump(claim, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    ).strip()


def _of_reference(record: Record, result: Result, metric: str, values: list[float]) -> dict[str, Any]:
    sigma = round(stdev(values), MEAN_DECIMALS)
    conditions = _conditions(record, result)
    conditions.pop("n", None)
    return {
        "of": "retrain", "split": result.split, "metric": metric, "value": round(fmean(values), MEAN_DECIMALS),
        "decimals": MEAN_DECIMALS, **({"sigma": sigma} if sigma > LEAST_SIGMA else {}), "reference_runs": len(values),
        "selection": result.selection, **conditions, "source": OF_REFERENCE,
    }  # fmt: skip


def _scores(record: Record) -> Iterator[tuple[Result, str, float | None]]:
    """Yield the scores of the weights that a training kept: result, metric, value."""
    for result in record.results:
        if result.selection == record.kept_epoch:
            yield from ((result, metric, score["value"]) for metric, score in result.metrics.items())


def _can_be_claimed(metric: str, value: float) -> bool:
    """Return whether a recipe may claim a score: it is a fraction or a correlation."""
    return (-1 if metric in CORRELATIONS else 0) <= value <= 1


def _conditions(record: Record, result: Result) -> dict[str, Any]:
    """Return the keys of a claim that say how a score was measured: on which rows, at which threshold, how exactly."""
    rows = (record.recipe.get("rows") or {}).get(result.split)
    threshold = [name for name in ("threshold_from", "threshold") if name in result.scoring][:1]
    precision = record.identity.numerics["precision"]
    return {
        **({"n": result.n} if rows is None else {"rows": str(rows)}),
        **{name: result.scoring[name] for name in threshold},
        **({} if precision == "fp32" else {"precision": precision}),
    }
