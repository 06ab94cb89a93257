"""From an entry to its judgements: what is missing for its claims is run, recorded and judged."""

import math
from dataclasses import dataclass
from pathlib import Path

from harness.record import Mode, Record
from harness.study import Setup, Study
from harness.verdict import Judgement, Measured, Verdict, judge, not_run, overall, with_published
from zoo.catalogue import Entry
from zoo.errors import ZooError, first_line, told
from zoo.recipe import Claim


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """An entry's verdict, the judgements of its claims and the records behind them; or the error that ended it."""

    entry: Entry
    verdict: Verdict
    judgements: tuple[Judgement, ...] = ()
    records: tuple[Path, ...] = ()
    findings: tuple[str, ...] = ()
    """What was noticed that a reader of the scores should know."""
    error: ZooError | None = None


def verify(entry: Entry, mode: Mode, setup: Setup, *, seeds: list[int] | None = None) -> Outcome:
    """Run what the entry's claims of `mode` lack and judge them; an error becomes part of the outcome.

    `seeds` are those of a re-training, the claim's own number from 0 on when None.
    """
    try:
        with told(entry.name):
            return _verify(entry, mode, setup, seeds)
    except ZooError as error:
        shown: tuple[Judgement, ...] = ()
        if "recipe" in entry.__dict__:
            shown = tuple(not_run(claim, first_line(error)) for claim in entry.recipe.claims)
        return Outcome(entry=entry, verdict="not-run", judgements=shown, error=error)


def _verify(entry: Entry, mode: Mode, setup: Setup, seeds: list[int] | None) -> Outcome:
    claims = [claim for claim in entry.recipe.claims if claim.of == mode]
    study = Study(entry, setup)
    if mode == "weights" and study.recipe.weights is None:
        shown = tuple(
            not_run(claim, "there are no published weights; --train trains it") for claim in study.recipe.claims
        )
        return Outcome(entry=entry, verdict="not-run", judgements=shown)
    if mode == "weights":
        runs = [study.weights()]
    else:
        chosen = list(range(max((claim.seeds for claim in claims), default=3))) if seeds is None else seeds
        runs = [study.retrain(seed) for seed in chosen]
    published = runs[0][1].published if mode == "weights" else study.published
    judgements = tuple(
        judge(claim, measured(claim, [record for _, record in runs])) if claim.of in (mode, "test-server")
        else not_run(claim, "asked for with --train" if claim.of == "retrain" else "asked for without --train")
        for claim in (with_published(claim, published) for claim in entry.recipe.claims)
    )  # fmt: skip
    counted = [judgement for judgement in judgements if judgement.claim.of == mode]
    paths = tuple(path for path, _ in runs)
    findings = tuple(finding for _, record in runs for finding in record.findings)
    verdict = overall(counted)
    return Outcome(entry=entry, verdict=verdict, judgements=judgements, records=paths, findings=findings)


def measured(claim: Claim, records: list[Record]) -> Measured | None:
    """What the records say of a claim: one value each; None where one of them has nothing on its split and metric."""
    results = [record.result(claim.split, claim.selection) for record in records]
    found = [result for result in results if result is not None and claim.metric in result.metrics]
    if not found or len(found) < len(records):
        return None
    values = [result.metrics[claim.metric] for result in found]
    return Measured(
        split=claim.split,
        metric=claim.metric,
        n=found[0].n,
        values=tuple(_or_nan(value["value"]) for value in values),
        one_prediction=max(_or_nan(value["one_prediction"]) for value in values),
        precision=records[0].identity.numerics["precision"],
        selection=found[0].selection,
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
