"""Records and claims as tables: one row a claim, and the paired gains over a plain student. Never imports torch."""

import math
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd
from scipy import stats

from harness.judging.judge_runs import RecordedRun, family_size, measure_claim
from harness.judging.types import Judgement, not_run
from harness.judging.verdict import fill_published_value, judge_all
from harness.records.record import FIRST_REFERENCE_SEED, Record, read_all
from zoo.recipes.catalogue import Entry, entries
from zoo.recipes.schema import Claim

NO_RECORD = "no committed record of this recipe"
ONLY_REFERENCES = "no committed run of this recipe but those of the reference, which judge nothing"
JudgedClaim = tuple[Entry, Judgement, list[RecordedRun]]
"""A claim of an entry as it is judged, and by which records."""


def rows(evidence: Path, suite: str | None = None) -> pd.DataFrame:
    """One row for each claim of each entry, or of a suite's, judged by the records of the entry's present recipe."""
    return to_frame(judge_records(evidence, suite))


def to_frame(found: list[JudgedClaim]) -> pd.DataFrame:
    """What `judged` returns as a table."""
    return pd.DataFrame([_row(*one) for one in found])


def judge_records(evidence: Path, suite: str | None = None) -> list[JudgedClaim]:
    """Each claim of each entry, or of a suite's, as it is judged, and by which records; each suite is judged as one."""
    records = read_all(evidence)
    suites = sorted({entry.suite for entry in entries()}) if suite is None else [suite]
    return [one for name in suites for one in _judged(name, records, evidence)]


def gains(evidence: Path) -> pd.DataFrame:
    """What distillation adds: each `A_from_B` against `A`, paired by the seed of the reference runs."""
    records = read_all(evidence)
    known = {entry.name: entry for entry in entries()}
    pairs = [(entry, known.get(name.split("_from_")[0])) for name, entry in known.items() if "_from_" in name]
    return pd.DataFrame([row for entry, plain in pairs if plain and (row := gain(entry, plain, records))])


def gain(entry: Entry, plain: Entry, records: list[RecordedRun]) -> dict[str, Any] | None:
    """The mean difference over the seeds that both have, with the 95 % interval of Student's t for paired samples.

    None where nothing is claimed of either, or they share fewer than two seeds.
    """
    claim = comparison_claim(entry, plain)
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


def comparison_claim(entry: Entry, plain: Entry) -> Claim | None:
    """What tells which score the two are compared by: the first claim of a re-training, else the plain student's."""
    claims = [*entry.recipe.claims, *plain.recipe.claims]
    return next((claim for claim in claims if claim.of == "retrain"), None)


def reference_runs(entry: Entry, claim: Claim, records: list[RecordedRun]) -> dict[int, float]:
    """Seed -> value of the recorded reference runs of a claim's metric."""
    return {seed: value for seed, value in training_scores(entry, claim, records) if seed >= FIRST_REFERENCE_SEED}


def training_scores(entry: Entry, claim: Claim, records: list[RecordedRun]) -> list[tuple[int, float]]:
    """Seed and value of every recorded training of a claim's metric, of the recipe as it now is."""
    found = []
    for _, record in _own(entry, claim, records, "retrain"):
        result = record.result(claim.split, claim.selection)
        value = result.metrics[claim.metric]["value"] if result else None
        found.append((record.identity.seed or 0, math.nan if value is None else value))
    return found


def _judged(suite: str, records: list[RecordedRun], evidence: Path) -> list[JudgedClaim]:
    chosen = [entry for entry in entries() if entry.suite == suite]
    claims = [(entry, _with_published(entry, claim, records)) for entry in chosen for claim in entry.recipe.claims]
    used = [_used(entry, claim, records) for entry, claim in claims]
    pairs = [(claim, measure_claim(claim, runs, evidence)) for (_, claim), runs in zip(claims, used, strict=True)]
    found = judge_all(pairs, family_size(chosen))
    given = zip(claims, found, used, strict=True)
    return [
        (entry, one if runs or claim.of == "test-server" else not_run(claim, _lacking(entry, claim, records)), runs)
        for (entry, claim), one, runs in given
    ]


def _lacking(entry: Entry, claim: Claim, records: list[RecordedRun]) -> str:
    return ONLY_REFERENCES if _own(entry, claim, records, claim.of) else NO_RECORD


def _row(entry: Entry, judgement: Judgement, used: list[RecordedRun]) -> dict[str, Any]:
    claim, value, training_scores = judgement.claim, judgement.measured, judgement.values
    low, high = judgement.band or judgement.equivalent or (math.nan, math.nan)
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
        "measured": value,
        "difference": math.nan if value is None or claim.value is None else value - claim.value,
        "spread": stdev(training_scores) if len(training_scores) > 1 else math.nan,
        "n": len(used),
        "low": low,
        "high": high,
        "sigma_from": judgement.sigma_from,
        "verdict": judgement.verdict,
        "why": judgement.why,
        "findings": "; ".join(judgement.findings),
        "environment": _environment(used[-1][1]) if used else "",
        "date": max(record.created for _, record in used)[:10] if used else "",
    }


def _with_published(entry: Entry, claim: Claim, records: list[RecordedRun]) -> Claim:
    """The claim with the value that a record found in the log beside the weights."""
    logs = [r.published for _, r in records if r.entry == entry.name and r.identity.digest == entry.recipe.digest]
    return fill_published_value(claim, next(filter(None, logs), {}))


def _used(entry: Entry, claim: Claim, records: list[RecordedRun]) -> list[RecordedRun]:
    """The records by which a claim is judged; a re-training's are those that are not the reference itself."""
    if claim.of == "test-server":
        return []
    own = _own(entry, claim, records, claim.of)
    return [run for run in own if not run[1].identity.is_reference]


def _own(entry: Entry, claim: Claim, records: list[RecordedRun], mode: str) -> list[RecordedRun]:
    """The entry's records in this mode, of the recipe as it now is, with the claim's metric on its split."""
    own = [run for run in records if (run[1].entry, run[1].identity.mode) == (entry.name, mode)]
    digest = entry.recipe.digest if own else ""
    return [
        (path, record)
        for path, record in own
        if record.identity.digest == digest
        and (result := record.result(claim.split, claim.selection))
        and claim.metric in result.metrics
    ]


def _environment(record: Record) -> str:
    where = record.environment
    commit = (where["commit"] or "no commit")[:7]
    threads = f"{where['threads']} thread{'s' if where['threads'] != 1 else ''}"
    return f"{commit}, torch {where['packages'].get('torch', '?')}, {where['device']}, {threads}"
