"""From records to judgements: what the runs of entries say of their claims. Nothing here imports torch."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.compare import Flips, flips
from harness.judgement import Judgement, Measured, Verdict, not_run, overall
from harness.record import FILE, Mode, Record, Result, read_record
from harness.verdict import in_family, judge, judge_all, with_published
from zoo import catalogue
from zoo.catalogue import Entry
from zoo.errors import UsageError, ZooError, first_line
from zoo.recipe import Claim

Run = tuple[Path, Record]
CLASSES_OF_TOP5 = 5


@dataclass(frozen=True, kw_only=True)
class Ran:
    """The runs of one entry for its claims of a mode, or why there are none."""

    entry: Entry
    mode: Mode
    runs: tuple[Run, ...] = ()
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


def outcomes(ran: Sequence[Ran], evidence: Path) -> list[Outcome]:
    """The outcomes of entries, in their order; re-trainings adjusted over all claims of their suite, run or not.

    `evidence` is the folder of committed records, whose predictions of the same weights are compared with.
    """
    judged: dict[int, tuple[Judgement, ...]] = {}
    suite = {i: _family_name(one.entry) for i, one in enumerate(ran)}
    for _, group in groupby(sorted(suite, key=suite.__getitem__), suite.__getitem__):
        judged |= _judged({i: ran[i] for i in group if ran[i].runs}, evidence)
    return [_outcome(one, judged.get(i, ())) for i, one in enumerate(ran)]


def _judged(members: Mapping[int, Ran], evidence: Path) -> dict[int, tuple[Judgement, ...]]:
    """The judgements of entries of one suite, by their numbers."""
    claims = {i: [with_published(c, one.published) for c in one.entry.recipe.claims] for i, one in members.items()}
    asked = [(i, claim) for i, one in members.items() for claim in claims[i] if claim.of == one.mode]
    pairs = [(claim, measured(claim, members[i].runs, evidence)) for i, claim in asked]
    trained = [one.entry for one in members.values() if one.mode == "retrain"]
    found = iter(judge_all(pairs, family(suite_of(trained[0])) if trained else 1))
    return {i: tuple(next(found) if c.of == one.mode else _other(c) for c in claims[i]) for i, one in members.items()}


def suite_of(entry: Entry) -> list[Entry]:
    """The entries of its suite; a recipe of the user's own is alone."""
    return [entry] if entry.suite == catalogue.LOCAL else [e for e in catalogue.entries() if e.suite == entry.suite]


def family(suite: Iterable[Entry]) -> int:
    """Over how many claims the re-trainings of a suite are adjusted, at least one."""
    return max(1, sum(in_family(claim) for entry in suite for claim in _claims(entry)))


def seeds_of(entry: Entry) -> list[int]:
    """The seeds that an entry is trained with by default: as many as its claims say, from 0 on; none of no recipe."""
    return list(range(max((claim.seeds for claim in _claims(entry) if claim.of == "retrain"), default=3)))


def measured(claim: Claim, runs: Iterable[Run], evidence: Path | None = None) -> Measured | None:
    """What runs say of a claim, one value each; None where one of them has nothing on its split and metric."""
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


def majority(metric: str, labels: NDArray[np.generic]) -> float | None:
    """What a model scores that always says the most frequent class; 0 for correlations; None where that is not known.

    `labels` is `(N,)`. Of the F1 of two classes the positive one is said: `2 p / (1 + p)`.
    """
    if metric in ("matthews_correlation", "pearson", "spearman"):
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
        return 2 * positive / (1 + positive)
    return None


def _outcome(ran: Ran, judgements: tuple[Judgement, ...]) -> Outcome:
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


def _family_name(entry: Entry) -> tuple[str, str]:
    return entry.suite, str(entry.path) if entry.suite == catalogue.LOCAL else ""


def _claims(entry: Entry) -> tuple[Claim, ...]:
    return entry.recipe.claims if entry.is_readable else ()


def _recorded(path: Path, record: Record, result: Result, evidence: Path) -> tuple[Flips, str] | None:
    """The predictions against committed ones of the same weights on the same rows, and the precision of those."""
    for other_path in sorted((evidence / record.entry).glob(f"[!.]*/{FILE}")):
        other = read_record(other_path)
        same = other.weights == record.weights and _rows(other, result.split) == _rows(record, result.split)
        there = other.result(result.split) if same and other_path.resolve() != path.resolve() else None
        if there is not None:
            try:
                found = flips(predictions(other_path, there), predictions(path, result))
            except UsageError:  # a segmentation, a regression: no prediction flips
                return None
            return found, other.identity.numerics["precision"]
    return None


def predictions(path: Path, result: Result) -> dict[str, NDArray[np.generic]]:
    """The arrays that a record keeps of a result."""
    with np.load(path.parent / result.predictions["file"]) as file:
        return dict(file)


def recorded_predictions(entry: Entry, evidence: Path) -> dict[str, NDArray[np.generic]]:
    """Split -> what the committed evaluation of an entry's published weights predicts; nothing of one without."""
    found: dict[str, NDArray[np.generic]] = {}
    for path in sorted((evidence / entry.name).glob(f"weights-*/{FILE}")):
        results = {result.split: result for result in read_record(path).results}
        arrays = {split: predictions(path, result) for split, result in results.items()}
        found |= {split: kept["predictions"] for split, kept in arrays.items() if "predictions" in kept}
    return found


def _rows(record: Record, split: str) -> Any:
    return record.identity.sources["data"].get(split)


def _baseline(claim: Claim, path: Path, record: Record, result: Result) -> float | None:
    """What always saying the most frequent class scores; not known of a metric with arguments of its own."""
    given = [call for call in record.recipe.get("metrics", []) if isinstance(call, Mapping) and len(call) > 1]
    if any(str(call["use"]).split(".")[-1] == claim.metric for call in given):
        return None
    arrays = predictions(path, result)
    return majority(claim.metric, arrays["labels"]) if "labels" in arrays else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
