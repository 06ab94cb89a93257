"""Records and claims as tables: one row a claim, and the paired gains over a plain student. Never imports torch."""

import math
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd
from scipy import stats

from harness.record import FIRST_REFERENCE_SEED, Record, read_all
from harness.verdict import Judgement, Measured, judge, not_run, with_published
from zoo.catalogue import Entry, entries
from zoo.recipe import Claim


def rows(evidence: Path, suite: str | None = None) -> pd.DataFrame:
    """One row for each claim of each entry, or of a suite's, judged by the records of the entry's present recipe."""
    records = [record for _, record in read_all(evidence)]
    chosen = [entry for entry in entries() if suite in (None, entry.suite)]
    return pd.DataFrame([_row(entry, claim, records) for entry in chosen for claim in entry.recipe.claims])


def gains(evidence: Path) -> pd.DataFrame:
    """What distillation adds: each `A_from_B` against `A`, paired by the seed of the reference runs."""
    records = [record for _, record in read_all(evidence)]
    known = {entry.name: entry for entry in entries()}
    pairs = [(entry, known.get(name.split("_from_")[0])) for name, entry in known.items() if "_from_" in name]
    return pd.DataFrame([row for entry, plain in pairs if plain and (row := gain(entry, plain, records))])


def gain(entry: Entry, plain: Entry, records: list[Record]) -> dict[str, Any] | None:
    """The mean difference over the seeds that both have, with the 95 % interval of Student's t for paired samples.

    None where nothing is claimed of either, or they share fewer than two seeds.
    """
    claim = measured_by(entry, plain)
    if claim is None:
        return None
    distilled, alone = reference_runs(entry, claim, records), reference_runs(plain, claim, records)
    seeds = sorted(distilled.keys() & alone.keys())
    if len(seeds) < 2:
        return None
    differences = [distilled[seed] - alone[seed] for seed in seeds]
    mean, error = fmean(differences), stdev(differences) / math.sqrt(len(seeds))
    half = float(stats.t.ppf(0.975, len(seeds) - 1)) * error
    return {
        "student": plain.name,
        "distilled": entry.name,
        "metric": claim.metric,
        "plain": fmean(alone[seed] for seed in seeds),
        "distilled_mean": fmean(distilled[seed] for seed in seeds),
        "gain": mean,
        "low": mean - half,
        "high": mean + half,
        "n": len(seeds),
    }


def measured_by(entry: Entry, plain: Entry) -> Claim | None:
    """What tells which score the two are compared by: the first claim of a re-training, else the plain student's."""
    claims = [*entry.recipe.claims, *plain.recipe.claims]
    return next((claim for claim in claims if claim.of == "retrain"), None)


def reference_runs(entry: Entry, claim: Claim, records: list[Record]) -> dict[int, float]:
    """Seed -> value of the recorded reference runs of a claim's metric."""
    return {
        seed: value
        for record, value in _values(entry, claim, records, "retrain")
        if (seed := record.identity.seed) is not None and seed >= FIRST_REFERENCE_SEED
    }


def _row(entry: Entry, written: Claim, records: list[Record]) -> dict[str, Any]:
    claim = _with_published(entry, written, records)
    judgement, used = _judged(entry, claim, records)
    values = [value for _, value in used]
    return {
        "entry": entry.name,
        "suite": entry.suite,
        "of": claim.of,
        "split": claim.split,
        "metric": claim.metric,
        "reference": claim.value,
        "sigma": claim.sigma,
        "reference_runs": claim.reference_runs,
        "source": claim.source,
        "measured": judgement.measured,
        "spread": stdev(values) if len(values) > 1 else math.nan,
        "n": len(values),
        "verdict": judgement.verdict,
        "why": judgement.why,
        "environment": _environment(used[-1][0]) if used else "",
        "date": max(record.created for record, _ in used)[:10] if used else "",
    }


def _with_published(entry: Entry, claim: Claim, records: list[Record]) -> Claim:
    """The claim with the value that a record found in the log beside the weights."""
    logs = [r.published for r in records if r.entry == entry.name and r.identity.digest == entry.recipe.digest]
    return with_published(claim, next(filter(None, logs), {}))


def _judged(entry: Entry, claim: Claim, records: list[Record]) -> tuple[Judgement, list[tuple[Record, float]]]:
    """The claim judged by its records; a re-training by those that are not the reference itself."""
    if claim.of == "test-server":
        return judge(claim, None), []
    used = [
        (record, value)
        for record, value in _values(entry, claim, records, claim.of)
        if (record.identity.seed or 0) < FIRST_REFERENCE_SEED
    ]
    if not used:
        return not_run(claim, "no committed record of this recipe"), []
    results = [result for record, _ in used if (result := record.result(claim.split, claim.selection))]
    measured = Measured(
        split=claim.split,
        metric=claim.metric,
        n=results[0].n,
        values=tuple(value for _, value in used),
        one_prediction=max(result.metrics[claim.metric]["one_prediction"] or 0.0 for result in results),
        precision=used[0][0].identity.numerics["precision"],
        selection=results[0].selection,
    )
    return judge(claim, measured), used


def _values(entry: Entry, claim: Claim, records: list[Record], mode: str) -> list[tuple[Record, float]]:
    """The entry's records in this mode, of the recipe as it now is, with the claim's metric on its split."""
    found = []
    own = [record for record in records if (record.entry, record.identity.mode) == (entry.name, mode)]
    digest = entry.recipe.digest if own else ""
    for record in own:
        result = record.result(claim.split, claim.selection)
        if record.identity.digest == digest and result is not None and claim.metric in result.metrics:
            value = result.metrics[claim.metric]["value"]
            found.append((record, math.nan if value is None else value))
    return found


def _environment(record: Record) -> str:
    where = record.environment
    commit = (where["commit"] or "no commit")[:7]
    threads = f"{where['threads']} thread{'s' if where['threads'] != 1 else ''}"
    return f"{commit}, torch {where['packages'].get('torch', '?')}, {where['device']}, {threads}"
