"""Tables of the committed records: one row per claim, and the gains of distillation. Never imports torch."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd
from scipy import stats

from harness.auditing.audit import audit
from harness.auditing.types import ClaimAudit
from harness.judging.judge_runs import family_size
from harness.judging.measure import measure_claim, runs_of_one_kind
from harness.judging.types import Judgement, excluded_text, not_run
from harness.judging.verdict import fill_published_value, judge_all
from harness.records.find_runs import read_all
from harness.records.record import FIRST_REFERENCE_SEED, Record, RecordedRun
from zoo.claims.recipe_claims import audited_claims, claims_of_entry
from zoo.recipes.catalogue import Entry, entries
from zoo.recipes.claim import Claim
from zoo.text_tables import counted

NO_RECORD = "No run of the current recipe is recorded."
ONLY_REFERENCES = "Only reference runs of the current recipe are recorded, and they cannot judge their own mean."
JudgedClaim = tuple[Entry, Judgement, list[RecordedRun]]
"""An entry, the judgement of one of its claims, and the records behind the judgement."""


def rows(evidence: Path, chosen: Sequence[Entry] | None = None) -> pd.DataFrame:
    """Return one row per claim, of all shipped entries or of the chosen ones, judged by the records in a folder."""
    return to_frame(judge_records(evidence, chosen))


def to_frame(judged: list[JudgedClaim]) -> pd.DataFrame:
    """Return judged claims as a table."""
    entries = {judged_claim[0].name: judged_claim[0] for judged_claim in judged}
    audits = {name: _audits(entry) for name, entry in entries.items()}
    return pd.DataFrame([_row(*judged_claim, audits[judged_claim[0].name]) for judged_claim in judged])


def judge_records(evidence: Path, chosen: Sequence[Entry] | None = None) -> list[JudgedClaim]:
    """Judge claims by the records in a folder, in the order of their suites. Shipped entries are one family of tests.

    Args:
        evidence: The folder of the records.
        chosen: The entries; None for all shipped entries.
    """
    records, shipped = read_all(evidence), entries()
    of_suites = sorted(shipped if chosen is None else chosen, key=lambda entry: entry.suite)
    others = [entry for entry in of_suites if not entry.is_shipped]
    catalogue = [entry for entry in of_suites if entry.is_shipped]
    judged = _judge_entries(others, family_size(others), records, evidence)
    judged += _judge_entries(catalogue, family_size(shipped), records, evidence)
    return sorted(judged, key=lambda judged_claim: judged_claim[0].suite)


def without_claims(chosen: Sequence[Entry], claims: pd.DataFrame) -> list[Entry]:
    """Return the entries that none of these rows is about."""
    claimed = set(claims["entry"]) if len(claims) else set()
    return [entry for entry in chosen if entry.name not in claimed]


def gains(evidence: Path, chosen: Sequence[Entry] | None = None) -> pd.DataFrame:
    """Return what distillation gains: each entry `A_from_B` against `A`, paired by the seeds of the reference runs."""
    records = read_all(evidence)
    by_name = {entry.name: entry for entry in (entries() if chosen is None else chosen)}
    pairs = [(entry, by_name.get(name.split("_from_")[0])) for name, entry in by_name.items() if "_from_" in name]
    return pd.DataFrame([row for entry, plain in pairs if plain and (row := paired_gain(entry, plain, records))])


def paired_gain(entry: Entry, plain: Entry, records: list[RecordedRun]) -> dict[str, Any] | None:
    """Return the mean difference over common seeds, with the 95 % interval of Student's t for paired samples.

    Args:
        entry: The distilled student.
        plain: The same student, trained without a teacher.
        records: All committed records.

    Returns:
        A row, or None if neither entry has a claim or they have fewer than two seeds in common.
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
    """Return the claim whose metric and split compare the two entries: the first retraining claim of either."""
    claims = [*entry.recipe.claims, *plain.recipe.claims]
    return next((claim for claim in claims if claim.of == "retrain"), None)


def reference_runs(entry: Entry, claim: Claim, records: list[RecordedRun]) -> dict[int, float]:
    """Return the scores of the recorded reference runs for a claim: seed -> value."""
    return {seed: value for seed, value in training_scores(entry, claim, records) if seed >= FIRST_REFERENCE_SEED}


def training_scores(entry: Entry, claim: Claim, records: list[RecordedRun]) -> list[tuple[int, float]]:
    """Return seed and score of every recorded training of the current recipe for a claim; NaN if undefined."""
    scores = []
    for _, record in _current_records(entry, claim, records, "retrain"):
        result = record.result(claim.split, claim.selection)
        value = result.metrics[claim.metric]["value"] if result else None
        scores.append((record.identity.seed or 0, math.nan if value is None else value))
    return scores


def _judge_entries(
    chosen: Sequence[Entry], family: int, records: list[RecordedRun], evidence: Path
) -> list[JudgedClaim]:
    claims = [(entry, _with_log_value(entry, claim, records)) for entry in chosen for claim in entry.recipe.claims]
    found = [_judging_records(entry, claim, records) for entry, claim in claims]
    pairs = [(claim, measure_claim(claim, runs, evidence)) for (_, claim), runs in zip(claims, found, strict=True)]
    used = [runs_of_one_kind(runs)[0] for runs in found]
    judgements = judge_all(pairs, family)
    return [
        (entry, judged if runs or claim.of == "test-server" else not_run(claim, _missing(entry, claim, records)), runs)
        for (entry, claim), judged, runs in zip(claims, judgements, used, strict=True)
    ]


def _missing(entry: Entry, claim: Claim, records: list[RecordedRun]) -> str:
    """Return why no record judges a claim."""
    return ONLY_REFERENCES if _current_records(entry, claim, records, claim.of) else NO_RECORD


def _audits(entry: Entry) -> dict[Claim, ClaimAudit]:
    """Return what arithmetic says about the claims of an entry on its published weights."""
    audited = audit(claims_of_entry(entry)).claims
    return dict(zip(audited_claims(entry), audited, strict=True))


def _row(
    entry: Entry, judgement: Judgement, used: list[RecordedRun], audits: Mapping[Claim, ClaimAudit]
) -> dict[str, Any]:
    claim, value, values = judgement.claim, judgement.measured, judgement.values
    low, high = judgement.band or judgement.equivalent or (math.nan, math.nan)
    return {
        "entry": entry.name,
        "suite": entry.suite,
        "of": claim.of,
        "split": claim.split,
        "rows": str(claim.rows or ""),
        "metric": claim.metric,
        "reference": claim.value,
        "decimals": claim.printed_decimals,
        "sigma": claim.sigma,
        "reference_runs": claim.reference_runs,
        "source": claim.source,
        "audit": audits[claim].text if claim in audits else "",
        "measured": value,
        "difference": math.nan if value is None or claim.value is None else value - claim.value,
        "spread": stdev(values) if len(values) > 1 else math.nan,
        "n": len(used),
        "low": low,
        "high": high,
        "sigma_from": judgement.sigma_from,
        "verdict": judgement.verdict,
        "label": judgement.label,
        "excluded": excluded_text(judgement.excluded_loss),
        "why": judgement.why,
        "findings": "; ".join(judgement.findings),
        "environment": _environment(used[-1][1]) if used else "",
        "date": max(record.created for _, record in used)[:10] if used else "",
    }


def _with_log_value(entry: Entry, claim: Claim, records: list[RecordedRun]) -> Claim:
    """Return the claim with the value that a record found in the log beside the weights."""
    logs = [r.published for _, r in records if r.entry == entry.name and r.identity.digest == entry.recipe.digest]
    return fill_published_value(claim, next(filter(None, logs), {}))


def _judging_records(entry: Entry, claim: Claim, records: list[RecordedRun]) -> list[RecordedRun]:
    """Return the records that judge a claim: those of the current recipe that are not reference runs."""
    if claim.of == "test-server":
        return []
    current = _current_records(entry, claim, records, claim.of)
    return [run for run in current if not run[1].identity.is_reference]


def _current_records(entry: Entry, claim: Claim, records: list[RecordedRun], mode: str) -> list[RecordedRun]:
    """Return the records of an entry's current recipe in a mode that have the claim's metric on its split."""
    of_entry = [run for run in records if (run[1].entry, run[1].identity.mode) == (entry.name, mode)]
    digest = entry.recipe.digest if of_entry else ""
    return [
        (path, record)
        for path, record in of_entry
        if record.identity.digest == digest
        and (result := record.result(claim.split, claim.selection))
        and claim.metric in result.metrics
    ]


def _environment(record: Record) -> str:
    where = record.environment
    commit = (where["commit"] or "no commit")[:7]
    threads = counted(where["threads"], "thread")
    return f"{commit}, torch {where['packages'].get('torch', '?')}, {where['device']}, {threads}"
