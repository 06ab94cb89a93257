"""The claims that reference runs make: what the author of a recipe writes into it. Never imports torch."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from harness.records.record import Record
from zoo.recipes.claim import LEAST_SIGMA

DECIMALS = 6
"""The decimals of a mean and of a standard deviation; the test set and the seeds make both less certain than that."""


def reference_claims(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a claim about trainings for each score of the weights that reference runs kept.

    Args:
        records: The runs, each with another seed.

    Returns:
        The claims as a recipe has them, with the mean, the standard deviation and the number of the runs. None if a run
        is no reference run or has failed, if there are fewer than two, or if a score of one is undefined.
    """
    if len(records) < 2 or any(record.failure or not record.identity.is_reference for record in records):
        return []
    values: dict[tuple[str, str, str], list[float]] = {}
    for record in records:
        for result in record.results:
            for metric, score in result.metrics.items():
                if result.selection == record.kept_epoch and score["value"] is not None:
                    values.setdefault((result.split, metric, result.selection), []).append(score["value"])
    return [_claim(*of_score, runs) for of_score, runs in values.items() if len(runs) == len(records)]


def _claim(split: str, metric: str, selection: str, values: list[float]) -> dict[str, Any]:
    sigma = round(stdev(values), DECIMALS)
    return {
        "of": "retrain", "split": split, "metric": metric, "value": round(fmean(values), DECIMALS),
        **({"sigma": sigma} if sigma > LEAST_SIGMA else {}), "reference_runs": len(values), "selection": selection,
        "source": "my reference runs",
    }  # fmt: skip
