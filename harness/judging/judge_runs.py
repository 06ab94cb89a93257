"""From records to judgements: what the runs of entries say of their claims. Nothing here imports torch."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from harness.judging.paired import Flips, flips
from harness.judging.retraining import default_seeds
from harness.judging.types import Judgement, Measured, Verdict, not_run, overall
from harness.judging.verdict import in_family, judge, judge_all, with_published
from harness.records.record import FILE, Mode, Record, Result, read_record, verify_files
from zoo.errors import IntegrityError, UsageError, ZooError, first_line
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.schema import CORRELATIONS, Claim

RecordedRun = tuple[Path, Record]
CLASSES_OF_TOP5 = 5


@dataclass(frozen=True, kw_only=True)
class EntryRuns:
    """The runs of one entry for its claims of a mode, or why there are none."""

    entry: Entry
    mode: Mode
    runs: tuple[RecordedRun, ...] = ()
    published: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Scores that files beside the weights hold."""
    skipped: str = ""
    """Why nothing was run."""
    error: ZooError | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """An entry's verdict, the judgements of its claims and the records behind them; or the error that ended it."""

    entry: Entry
    mode: Mode
    verdict: Verdict
    judgements: tuple[Judgement, ...] = ()
    records: tuple[Path, ...] = ()
    findings: tuple[str, ...] = ()
    """What was noticed that a reader of the scores should know."""
    error: ZooError | None = None

    @property
    def counts(self) -> bool:
        """Whether a claim that was asked for gates; where all are only reported the exit code leaves them out."""
        asked = [one.claim for one in self.judgements if one.claim.of == self.mode]
        return not asked or any(claim.gates for claim in asked)


def judge_entries(ran: Iterable[EntryRuns], evidence: Path) -> list[Outcome]:
    """The outcomes of entries, in their order; re-trainings adjusted over all claims of their suite, run or not.

    Each entry is judged by itself, so that a verdict does not depend on what was run beside it. `evidence` is the
    folder of committed records, whose predictions of the same weights are compared with; what is wrong with these is
    the entry's error.
    """
    shipped = catalogue.entries()  # a recipe of a suite is then read once, however many of its entries are judged
    return [_judged(one, evidence, shipped) for one in ran]


def _judged(ran: EntryRuns, evidence: Path, shipped: list[Entry]) -> Outcome:
    if not ran.runs:
        return _outcome(ran, ())
    claims = [with_published(claim, ran.published) for claim in ran.entry.recipe.claims]
    try:
        asked = [(claim, measured(claim, ran.runs, evidence)) for claim in claims if claim.of == ran.mode]
    except ZooError as error:
        return _outcome(replace(ran, runs=(), error=error), ())
    found = iter(judge_all(asked, family_size(suite_of(ran.entry, shipped)) if ran.mode == "retrain" else 1))
    return _outcome(ran, tuple(next(found) if claim.of == ran.mode else _other(claim) for claim in claims))


def suite_of(entry: Entry, shipped: Iterable[Entry]) -> list[Entry]:
    """The entries of its suite; a recipe of the user's own is alone."""
    return [entry] if entry.suite == catalogue.LOCAL else [other for other in shipped if other.suite == entry.suite]


def family_size(suite: Iterable[Entry]) -> int:
    """Over how many claims the re-trainings of a suite are adjusted, at least one."""
    return max(1, sum(in_family(claim) for entry in suite for claim in _claims(entry)))


def default_seeds_of(entry: Entry) -> list[int]:
    """The seeds that an entry is trained with by default: as many as its claims need, from 0 on."""
    return list(range(max((default_seeds(claim) for claim in _claims(entry) if claim.of == "retrain"), default=3)))


def measured(claim: Claim, runs: Iterable[RecordedRun], evidence: Path | None = None) -> Measured | None:
    """What runs say of a claim, one value each; None where one of them has nothing on its split and metric.

    Runs with the seeds of references are left out: no claim is judged by the runs that it came from.
    """
    runs = [run for run in runs if not run[1].identity.is_reference]
    read = [(path, record, record.result(claim.split, claim.selection)) for path, record in runs]
    found = [(path, record, result) for path, record, result in read if result and claim.metric in result.metrics]
    if not found or len(found) < len(read):
        return None
    path, record, result = found[0]
    compared = _recorded(path, record, result, evidence) if claim.of == "weights" and evidence else None
    return Measured(
        split=claim.split,
        metric=claim.metric,
        n=result.n,
        values=tuple(_or_nan(result.metrics[claim.metric]["value"]) for _, _, result in found),
        one_prediction=max(_or_nan(result.metrics[claim.metric]["one_prediction"]) for _, _, result in found),
        precision=record.identity.numerics["precision"],
        selection=result.selection,
        baseline=_baseline(claim, path, record, result) if claim.of == "retrain" else None,
        flips=compared[0] if compared else None,
        recorded_in=compared[1] if compared else "fp32",
    )


def majority_baseline(metric: str, labels: NDArray[np.generic]) -> float | None:
    """What a model scores that always says the most frequent class; 0 for correlations; None where that is not known.

    `labels` is `(N,)`. The F1 of two classes is `2 p / (1 + p)` where the positive one is the more frequent, else 0.
    """
    if metric in CORRELATIONS:
        return 0.0
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        return None
    shares = np.sort(np.unique(labels, return_counts=True)[1])[::-1] / len(labels)
    if metric == "accuracy":
        return float(shares[0])
    if metric == "top5_accuracy":
        return float(shares[:CLASSES_OF_TOP5].sum())
    if metric == "f1" and set(np.unique(labels)) <= {0, 1}:
        positive = float(np.mean(labels == 1))
        return 2 * positive / (1 + positive) if positive > 0.5 else 0.0
    return None


def _outcome(ran: EntryRuns, judgements: tuple[Judgement, ...]) -> Outcome:
    if not ran.runs:
        why = first_line(ran.error) if ran.error else ran.skipped
        shown = tuple(not_run(claim, why) for claim in _claims(ran.entry))
        return Outcome(entry=ran.entry, mode=ran.mode, verdict="not-run", judgements=shown, error=ran.error)
    findings = [finding for _, record in ran.runs for finding in record.findings]
    findings += [finding for judgement in judgements for finding in judgement.findings]
    return Outcome(
        entry=ran.entry,
        mode=ran.mode,
        verdict=overall(one for one in judgements if one.claim.of == ran.mode and one.claim.gates),
        judgements=judgements,
        records=tuple(path for path, _ in ran.runs),
        findings=tuple(dict.fromkeys(findings)),
    )


def _other(claim: Claim) -> Judgement:
    """The judgement of a claim of another mode than was run."""
    if claim.of == "test-server":
        return judge(claim, None)
    return not_run(claim, "asked for with --train" if claim.of == "retrain" else "asked for without --train")


def _claims(entry: Entry) -> tuple[Claim, ...]:
    return entry.recipe.claims if entry.is_readable else ()


def _recorded(path: Path, record: Record, result: Result, evidence: Path) -> tuple[Flips, str] | None:
    """The predictions against committed ones of the same weights on the same rows, and the precision of those."""
    for other_path in sorted((evidence / record.entry).glob(f"[!.]*/{FILE}")):
        other = read_record(other_path)
        same = other.weights == record.weights and _rows(other, result.split) == _rows(record, result.split)
        there = other.result(result.split) if same and other_path.resolve() != path.resolve() else None
        if there is not None:
            verify_files(other_path, other)
            try:
                found = flips(predictions(other_path, there), predictions(path, result))
            except UsageError:  # a segmentation, a regression: no prediction flips
                return None
            return found, other.identity.numerics["precision"]
    return None


def predictions(path: Path, result: Result) -> dict[str, NDArray[np.generic]]:
    """The arrays that a record keeps of a result; raises IntegrityError for a file that holds none."""
    name = path.parent / result.predictions["file"]
    try:
        with np.load(name) as file:
            return dict(file)
    except (OSError, ValueError, BadZipFile) as error:
        raise IntegrityError(f"{name}: these are no predictions: {error}") from None


def _rows(record: Record, split: str) -> Any:
    return record.identity.sources["data"].get(split)


def _baseline(claim: Claim, path: Path, record: Record, result: Result) -> float | None:
    """What always saying the most frequent class scores; not known of a metric with arguments of its own."""
    given = [call for call in record.recipe.get("metrics", []) if isinstance(call, Mapping) and len(call) > 1]
    if any(str(call["use"]).split(".")[-1] == claim.metric for call in given):
        return None
    arrays = predictions(path, result)
    return majority_baseline(claim.metric, arrays["labels"]) if "labels" in arrays else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
