"""Find recorded predictions of the published weights: they show a change even where the score stays the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.judging.measure import read_decisions
from harness.metrics import Array
from harness.records.check import verify_record
from harness.records.record import FILE, read_record
from harness.runs.experiment import Experiment
from zoo.tasks.base import content_hash

RecordedArrays = Mapping[str, Mapping[str, Array]]
"""Split -> the arrays of a predictions file of the same weights on the same rows."""


def recorded_predictions(experiment: Experiment, evidence: Path) -> dict[str, dict[str, Array]]:
    """Return the arrays of committed evaluations of these weights on these rows, by split."""
    by_split: dict[str, dict[str, Array]] = {}
    for path in sorted((evidence / experiment.entry.name).glob(f"weights-*/{FILE}")):
        record, weights = read_record(path), experiment.recipe.weights
        if weights and record.weights == experiment.sources.fetch(weights).sha256:
            verify_record(path, record)
            rows = record.identity.sources["data"]
            scored = [result for result in record.results if result.split in experiment.task.scored]
            same_rows = [result for result in scored if _has_rows(experiment, result.split, rows)]
            by_split |= {result.split: read_decisions(path, result) for result in same_rows}
    return {split: arrays for split, arrays in by_split.items() if "predictions" in arrays}


def _has_rows(experiment: Experiment, split: str, recorded: Mapping[str, Any]) -> bool:
    return bool(recorded.get(split, {}).get("sha256") == content_hash(experiment.task.load(split)))
