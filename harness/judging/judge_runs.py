"""Judge entries by their records: collect what the runs measured for each claim, and judge it. Never imports torch."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.judging.paired import Flips, find_flips
from harness.judging.retraining import default_seeds
from harness.judging.types import Judgement, Measurement, Verdict, not_run, worst_verdict
from harness.judging.verdict import fill_published_value, in_family, judge, judge_all
from harness.records.arrays import RANKS, read_arrays, rows_not_finite
from harness.records.record import FILE, Mode, Record, Result, read_record, verify_files
from zoo.errors import UsageError, ZooError, first_line
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.claim import CORRELATIONS, Claim
from zoo.recipes.public_data import full_rows
from zoo.recipes.reader import Call, short_name

RecordedRun = tuple[Path, Record]
"""The path of a record file, and the record."""


@dataclass(frozen=True, kw_only=True)
class EntryRuns:
    """The runs of one entry in one mode, or the reason why there are none."""

    entry: Entry
    mode: Mode
    runs: tuple[RecordedRun, ...] = ()
    published: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The scores in files beside the published weights: file -> metric -> score as written."""
    other_mode: "EntryRuns | None" = None
    """Earlier runs of the other mode, if they are known. They are judged and shown, and do not count."""
    skipped: str = ""
    """Why nothing was run."""
    error: ZooError | None = None
    """The error that prevented the runs."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The verdict of an entry, with the judgements of its claims and the records behind them."""

    entry: Entry
    mode: Mode
    verdict: Verdict
    judgements: tuple[Judgement, ...] = ()
    records: tuple[Path, ...] = ()
    findings: tuple[str, ...] = ()
    """Observations that a reader of the scores should know."""
    error: ZooError | None = None
    """The error that ended the entry."""

    @property
    def counts(self) -> bool:
        """Whether the entry counts for the exit code: not if all its claims of this mode are only reported."""
        claims = [judgement.claim for judgement in self.judgements if judgement.claim.of == self.mode]
        return not claims or any(claim.gates for claim in claims)

    @property
    def failed(self) -> bool:
        """Whether a claim of this mode cannot be compared because outputs are not finite or constant."""
        return any(
            judgement.failed
            for judgement in self.judgements
            if judgement.claim.gates and judgement.claim.of == self.mode
        )


def judge_entries(entry_runs: Iterable[EntryRuns], evidence: Path) -> list[Outcome]:
    """Return the outcome of each entry, in order.

    Retrainings are adjusted over all claims of their suite, whether they were run or not. Each entry is judged by
    itself, so that its verdict does not depend on the other entries of the same command.

    Args:
        entry_runs: The runs of each entry.
        evidence: The folder of committed records. Predictions are compared with the recorded predictions of the same
            weights; a damaged record becomes the error of the entry.
    """
    shipped = catalogue.entries()  # listed once, so that each recipe is read only once
    return [_judge_entry(of_entry, evidence, shipped) for of_entry in entry_runs]


def _judge_entry(entry_runs: EntryRuns, evidence: Path, shipped: list[Entry]) -> Outcome:
    try:
        judged = _judge_mode(entry_runs, evidence, shipped) if entry_runs.runs else {}
    except ZooError as error:
        entry_runs, judged = replace(entry_runs, runs=(), error=error), {}
    earlier = _judge_earlier(entry_runs.other_mode, evidence, shipped) if entry_runs.other_mode else {}
    known = judged | earlier
    claims = _claims(entry_runs.entry)
    return _outcome(entry_runs, tuple(known.get(claim) or _not_judged(claim, entry_runs) for claim in claims))


def _judge_earlier(entry_runs: EntryRuns, evidence: Path, shipped: list[Entry]) -> dict[Claim, Judgement]:
    """Judge the claims of the mode that was not run; an error is shown at them, and is none of the entry."""
    try:
        judged = _judge_mode(entry_runs, evidence, shipped)
    except ZooError as error:
        claims = [claim for claim in _claims(entry_runs.entry) if claim.of == entry_runs.mode]
        judged = {claim: not_run(claim, first_line(error)) for claim in claims}
    return {claim: replace(judgement, why=f"From earlier runs: {judgement.why}") for claim, judgement in judged.items()}


def _judge_mode(entry_runs: EntryRuns, evidence: Path, shipped: list[Entry]) -> dict[Claim, Judgement]:
    """Judge the claims that runs of this mode test."""
    entry, mode = entry_runs.entry, entry_runs.mode
    claims = [claim for claim in entry.recipe.claims if claim.of == mode]
    filled = [fill_published_value(claim, entry_runs.published) for claim in claims]
    pairs = [(claim, measure_claim(claim, entry_runs.runs, evidence)) for claim in filled]
    family = family_size(suite_of(entry, shipped)) if mode == "retrain" else 1
    return dict(zip(claims, judge_all(pairs, family), strict=True))


def suite_of(entry: Entry, shipped: Iterable[Entry]) -> list[Entry]:
    """Return the shipped entries of the entry's suite; a recipe that is not shipped is a suite by itself."""
    return [entry] if entry.suite == catalogue.LOCAL else [other for other in shipped if other.suite == entry.suite]


def family_size(suite: Iterable[Entry]) -> int:
    """Return the number of claims, at least one, over which the retrainings of a suite are adjusted."""
    return max(1, sum(in_family(claim) for entry in suite for claim in _claims(entry)))


def default_seeds_of(entry: Entry) -> list[int]:
    """Return the default seeds of an entry: 0, 1, 2, ..., the largest number that one of its claims needs."""
    return list(range(max((default_seeds(claim) for claim in _claims(entry) if claim.of == "retrain"), default=3)))


def measure_claim(claim: Claim, runs: Iterable[RecordedRun], evidence: Path | None = None) -> Measurement | None:
    """Collect the values of a claim's metric from the runs, one value each.

    Runs with seeds of the reference are left out: no claim is judged by the runs that it came from.

    Args:
        claim: The claim.
        runs: The runs.
        evidence: The folder of committed records to compare predictions of published weights with.

    Returns:
        The measurement, or None if any run lacks a result for the claim's split and metric.
    """
    judged = [run for run in runs if not run[1].identity.is_reference]
    results = [(path, record, record.result(claim.split, claim.selection)) for path, record in judged]
    measured = [(path, record, result) for path, record, result in results if result and claim.metric in result.metrics]
    if not measured or len(measured) < len(results):
        return None
    path, record, result = measured[0]
    not_finite = tuple(_rows_not_finite(path, result, claim.metric) for path, _, result in measured)
    compares = claim.of == "weights" and evidence is not None and not any(not_finite)
    comparison = _compare_with_recorded(path, record, result, evidence) if compares and evidence else None
    return Measurement(
        split=claim.split,
        metric=claim.metric,
        n=result.n,
        full_n=_full_rows(record, result),
        values=tuple(_or_nan(result.metrics[claim.metric]["value"]) for _, _, result in measured),
        one_prediction=max(_or_nan(result.metrics[claim.metric]["one_prediction"]) for _, _, result in measured),
        precision=record.identity.numerics["precision"],
        selection=result.selection,
        baseline=_baseline(claim, path, record, result) if claim.of == "retrain" else None,
        flips=comparison[0] if comparison else None,
        recorded_in=comparison[1] if comparison else "fp32",
        rows_not_finite=not_finite if any(not_finite) else (),
    )


def majority_baseline(metric: str, labels: NDArray[np.generic]) -> float | None:
    """Return the score of a model that always predicts the most frequent class.

    The F1 score of two classes is `2 p / (1 + p)` if the positive class, with share p, is the more frequent one, else
    0. A correlation is 0.

    Args:
        metric: The metric's name.
        labels: The labels, `(N,)`.

    Returns:
        The score, or None if it is unknown for this metric.
    """
    if metric in CORRELATIONS:
        return 0.0
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        return None
    shares = np.sort(np.unique(labels, return_counts=True)[1])[::-1] / len(labels)
    if metric == "accuracy":
        return float(shares[0])
    if metric == "top5_accuracy":
        return float(shares[:RANKS].sum())
    if metric == "f1" and set(np.unique(labels)) <= {0, 1}:
        positive = float(np.mean(labels == 1))
        return 2 * positive / (1 + positive) if positive > 0.5 else 0.0
    return None


def without_arguments(recipe: Mapping[str, Any], metric: str) -> bool:
    """Return whether a recipe, as data, calls a metric without arguments: only then its baseline is known."""
    calls = [call for call in recipe.get("metrics", []) if isinstance(call, Mapping) and len(call) > 1]
    return all(short_name(call) != metric for call in calls)


def read_predictions(path: Path, result: Result) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a result's prediction file, which lies beside the record file `path`.

    Raises:
        IntegrityError: The file is missing or holds no arrays.
    """
    return read_arrays(path.parent / result.predictions["file"])


def _full_rows(record: Record, result: Result) -> int | None:
    arguments = dict(record.recipe["task"])
    return full_rows(Call(use=arguments.pop("use"), args=arguments), result.split, result.n)


def _rows_not_finite(path: Path, result: Result, metric: str) -> int:
    """Return how many rows have outputs that are not finite; a metric of such rows has no value."""
    return rows_not_finite(read_predictions(path, result)) if result.metrics[metric]["value"] is None else 0


def _outcome(entry_runs: EntryRuns, judgements: tuple[Judgement, ...]) -> Outcome:
    gating = [j for j in judgements if j.claim.gates and j.claim.of == entry_runs.mode]
    findings = [finding for _, record in entry_runs.runs for finding in record.findings]
    findings += [f"{path.parent.name} failed: {record.failure}" for path, record in entry_runs.runs if record.failure]
    findings += [finding for judgement in judgements for finding in judgement.findings]
    return Outcome(
        entry=entry_runs.entry,
        mode=entry_runs.mode,
        verdict=worst_verdict(gating) if entry_runs.runs else "not-run",
        judgements=judgements,
        records=tuple(path for path, _ in entry_runs.runs),
        findings=tuple(dict.fromkeys(findings)),
        error=entry_runs.error,
    )


def _not_judged(claim: Claim, entry_runs: EntryRuns) -> Judgement:
    """Return the judgement of a claim without runs: its mode was not run, or its entry failed or was skipped."""
    if claim.of == "test-server":
        return judge(claim, None)
    if claim.of == entry_runs.mode or not entry_runs.runs:
        return not_run(claim, first_line(entry_runs.error) if entry_runs.error else entry_runs.skipped)
    option = "with --train" if claim.of == "retrain" else "without --train"
    return not_run(claim, f"Not part of this command; run it {option} to judge this claim.")


def _claims(entry: Entry) -> tuple[Claim, ...]:
    return entry.recipe.claims if entry.is_readable else ()


def _compare_with_recorded(path: Path, record: Record, result: Result, evidence: Path) -> tuple[Flips, str] | None:
    """Compare a result with the committed predictions of the same weights on the same rows.

    Returns:
        The flips and the precision of the committed record, or None if there is none or nothing can flip.
    """
    for other_path in sorted((evidence / record.entry).glob(f"[!.]*/{FILE}")):
        other = read_record(other_path)
        same = other.weights == record.weights and _rows(other, result.split) == _rows(record, result.split)
        recorded = other.result(result.split) if same and other_path.resolve() != path.resolve() else None
        if recorded is not None:
            verify_files(other_path, other)
            try:
                flips = find_flips(read_predictions(other_path, recorded), read_predictions(path, result))
            except UsageError:  # a segmentation or a regression: no prediction can flip
                return None
            return flips, other.identity.numerics["precision"]
    return None


def _rows(record: Record, split: str) -> Any:
    return record.identity.sources["data"].get(split)


def _baseline(claim: Claim, path: Path, record: Record, result: Result) -> float | None:
    """Return the majority-class baseline; None for a metric that the recipe calls with arguments."""
    if not without_arguments(record.recipe, claim.metric):
        return None
    arrays = read_predictions(path, result)
    return majority_baseline(claim.metric, arrays["labels"]) if "labels" in arrays else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
