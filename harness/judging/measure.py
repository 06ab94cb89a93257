"""Collect what runs measured for a claim. Never imports torch."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.judging.baselines import constant_value, majority_baseline, tags_baseline, without_arguments
from harness.judging.near_ties import near_ties, noise_between
from harness.judging.other_readings import other_readings
from harness.judging.paired import Flips, find_flips
from harness.judging.types import ROUNDING, Measurement
from harness.records.arrays import from_cut, read_arrays, rows_not_finite
from harness.records.record import FILE, Record, RecordedRun, Result, read_record, verify_files
from zoo.errors import UsageError
from zoo.recipes.claim import Claim
from zoo.recipes.public_data import full_rows
from zoo.recipes.values import Call
from zoo.text_tables import counted


def measure_claim(
    claim: Claim, runs: Iterable[RecordedRun], evidence: Path | None = None, look: int = 1
) -> Measurement | None:
    """Collect the values of a claim's metric from the runs, one value each.

    Runs with seeds of the reference are left out: no claim is judged by the runs that it came from. Of runs on several
    kinds of device or in several precisions, those of one kind are collected, see `runs_of_one_kind`.

    Args:
        claim: The claim.
        runs: The runs.
        evidence: The folder of committed records to compare predictions of published weights with.
        look: How many times the claim has been judged, with this time.

    Returns:
        The measurement, or None if any run lacks a result for the claim's split and metric.
    """
    chosen, left_out = runs_of_one_kind([run for run in runs if not run[1].identity.is_reference])
    results = [(path, record, record.result(claim.split, claim.selection)) for path, record in chosen]
    measured = [
        _MeasuredRun(path=path, record=record, result=result, claim=claim)
        for path, record, result in results
        if result and claim.metric in result.metrics
    ]
    if not measured or len(measured) < len(results):
        return None
    first, is_training = measured[0], claim.of == "retrain"
    not_finite = tuple(run.rows_not_finite for run in measured)
    compares = not is_training and evidence is not None and not any(not_finite)
    comparison = _compare_with_recorded(first, evidence) if compares and evidence else None
    return Measurement(
        split=claim.split, metric=claim.metric, n=first.result.n, full_n=first.full_rows,
        scoring=first.result.scoring,
        values=tuple(run.value for run in measured), one_prediction=max(run.one_prediction for run in measured),
        precision=first.record.identity.numerics["precision"], selection=first.result.selection,
        baseline=first.baseline(claim.metric) if is_training else None,
        constant=tuple(is_constant(run.arrays) for run in measured) if is_training else (),
        above_baseline=tuple(run.is_above_baseline for run in measured) if is_training else (),
        near_ties=None if is_training else first.near_ties, look=look, left_out=left_out,
        flips=comparison[0] if comparison else None, recorded_in=comparison[1] if comparison else "fp32",
        rows_not_finite=not_finite if any(not_finite) else (),
        readings=() if is_training else other_readings(claim.metric, first.arrays),
    )  # fmt: skip


def runs_of_one_kind(runs: Sequence[RecordedRun]) -> tuple[list[RecordedRun], tuple[str, ...]]:
    """Return the runs of one kind of device and precision, each seed once, and a description of the others.

    The same seed on a CPU and a GPU, or in two precisions, gives two runs that are not independent. The kind with the
    most seeds is taken, and the newest run of each seed.
    """
    by_kind: dict[str, dict[Any, RecordedRun]] = {}
    for path, record in sorted(runs, key=lambda run: run[1].created):
        numerics = record.identity.numerics
        kind = f"{numerics.get('device', 'cpu')} in {numerics['precision']}"
        by_kind.setdefault(kind, {})[record.identity.seed] = path, record
    if not by_kind:
        return [], ()
    chosen = max(by_kind, key=lambda kind: (len(by_kind[kind]), kind.startswith("cpu"), kind))
    others = tuple(f"{counted(len(of_kind), 'run')} on {kind}" for kind, of_kind in by_kind.items() if kind != chosen)
    paths = {path for path, _ in by_kind[chosen].values()}
    return [run for run in runs if run[0] in paths], others


@dataclass(frozen=True, kw_only=True)
class _MeasuredRun:
    """A run with its result for the split of a claim."""

    path: Path
    record: Record
    result: Result
    claim: Claim

    @cached_property
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return read_decisions(self.path, self.result)

    @property
    def value(self) -> float:
        return _or_nan(self.result.metrics[self.claim.metric]["value"])

    @property
    def one_prediction(self) -> float:
        return _or_nan(self.result.metrics[self.claim.metric]["one_prediction"])

    @property
    def rows_not_finite(self) -> int:
        """The number of rows whose outputs are not finite; a metric of such rows has no value."""
        return rows_not_finite(self.arrays) if math.isnan(self.value) else 0

    @property
    def full_rows(self) -> int | None:
        if "of" in self.result.scoring:
            return int(self.result.scoring["of"])
        arguments = dict(self.record.recipe["task"])
        return full_rows(Call(use=arguments.pop("use"), args=arguments), self.result.split, self.result.n)

    def baseline(self, metric: str) -> float | None:
        """Return the majority-class baseline; None for a metric that the recipe calls with arguments."""
        if not without_arguments(self.record.recipe, metric):
            return None
        if "words" in self.arrays:
            return tags_baseline(metric, self.arrays["words"])
        if "labels" not in self.arrays:
            return None
        return majority_baseline(metric, self.arrays["labels"])

    @property
    def is_above_baseline(self) -> bool:
        """Whether any other metric of the run is above its baseline."""
        others = {name: score["value"] for name, score in self.result.metrics.items() if name != self.claim.metric}
        pairs = [(value, self.baseline(name)) for name, value in others.items() if value is not None]
        return any(baseline is not None and value > baseline + ROUNDING for value, baseline in pairs)

    @property
    def near_ties(self) -> int | None:
        """The number of rows whose prediction can differ between the precisions of the claim and of the run."""
        noise = noise_between((self.claim.precision, self.record.identity.numerics["precision"]))
        if "margins" in self.arrays:
            return int(np.sum(self.arrays["margins"].astype(np.float64) <= 2 * noise))
        if "logits" not in self.arrays or np.issubdtype(self.arrays["predictions"].dtype, np.floating):
            return None
        of_labels = self.arrays["predictions"].ndim == 2
        return int(near_ties(self.arrays["logits"], noise, of_labels=of_labels).sum())


def is_constant(arrays: Mapping[str, NDArray[np.generic]]) -> bool:
    """Return whether all predictions of a result are the same although the labels are not."""
    if "words" in arrays:
        _, predicted, true = (arrays["words"].sum(axis=0) > 0).sum(axis=0)
        return bool(predicted == 1 and true > 1)
    if "predictions" not in arrays or "labels" not in arrays:
        return False
    return constant_value(arrays["predictions"]) is not None and constant_value(arrays["labels"]) is None


def read_predictions(path: Path, result: Result) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a result's prediction file, which lies beside the record file `path`.

    Raises:
        IntegrityError: The file is missing or holds no arrays.
    """
    return read_arrays(path.parent / result.predictions["file"])


def read_decisions(path: Path, result: Result) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of `read_predictions`, with the logits of a multilabel task measured from its threshold."""
    return from_cut(read_predictions(path, result), result.cut)


def _compare_with_recorded(run: _MeasuredRun, evidence: Path) -> tuple[Flips, str] | None:
    """Compare a result with the committed predictions of the same weights on the same rows.

    Returns:
        The flips and the precision of the committed record, or None if there is none or nothing can flip.
    """
    record, split = run.record, run.result.split
    for other_path in sorted((evidence / record.entry).glob(f"[!.]*/{FILE}")):
        other = read_record(other_path)
        same = other.weights == record.weights and _rows(other, split) == _rows(record, split)
        recorded = other.result(split) if same and other_path.resolve() != run.path.resolve() else None
        if recorded is not None:
            verify_files(other_path, other)
            try:
                flips = find_flips(read_decisions(other_path, recorded), run.arrays)
            except UsageError:  # a segmentation or a regression: no prediction can flip
                return None
            return flips, other.identity.numerics["precision"]
    return None


def _rows(record: Record, split: str) -> Any:
    return record.identity.sources["data"].get(split)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
