"""Collect what the page of an entry shows: claims, runs, environments, and the commands to run them again."""

import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from harness.judging.chosen_rows import subset_text
from harness.judging.types import Judgement, worst_verdict
from harness.records.record import FIRST_REFERENCE_SEED, Record, RecordedRun
from leaderboard import table
from leaderboard.cells import Row, claim_anchors, claim_cells, format_range, format_score, sort_values
from leaderboard.flips import compare_records
from leaderboard.methods import recipe_summary
from leaderboard.predictions import predictions_of
from leaderboard.strip_plot import Kind, PlottedRun, strip_plot
from zoo.fetch.source_types import UserFolder, parse_or_none
from zoo.recipes.catalogue import Entry
from zoo.text_tables import counted

RECORDS = "records"
"""The folder of the records in the site."""
Judged = tuple[Judgement, list[RecordedRun]]
"""The judgement of a claim and the records behind it."""


def page_context(
    entry: Entry, rows: Sequence[Row], judged: Sequence[Judged], records: list[RecordedRun]
) -> dict[str, Any]:
    """Return the values that the template of an entry's page shows.

    Args:
        entry: The entry.
        rows: Its rows of `leaderboard.table.rows`.
        judged: Its judged claims, in the order of `rows`.
        records: All of its records.
    """
    recipe = entry.path.read_text(encoding="utf-8")
    ordered = sorted(records, key=lambda run: (run[1].identity.mode == "retrain", run[1].identity.seed or 0))
    environments = _environments(record for _, record in ordered)
    judgements = [judgement for judgement, _ in judged]
    findings = [record.findings for _, record in ordered] + [judgement.findings for judgement in judgements]
    return {
        "name": entry.name,
        "suite": entry.suite,
        "about": recipe_summary(recipe),
        "verdict": entry_verdict(judgements) if judgements else None,
        "claims": [
            {
                **row,
                **claim_cells(row),
                "anchor": anchor,
                "values": sort_values(row),
                "records": [_link(record) for _, record in used],
            }
            for row, anchor, (_, used) in zip(rows, claim_anchors(rows), judged, strict=True)
        ],
        "plots": [plot for judgement in judgements if (plot := runs_plot(entry, judgement, records))],
        "predictions": predictions_of(entry, records),
        "records": [_record(entry, record, environments) for _, record in ordered],
        "environments": [*environments.values()],
        "findings": [*dict.fromkeys(finding for group in findings for finding in group)],
        "flips": compare_records(entry, records),
        "commands": commands(entry),
        "recipe": recipe,
    }


def record_file(record: Record) -> str:
    """Return the path of a record's copy in the site."""
    return f"{RECORDS}/{record.entry}/{record.identity.folder}.json"


def entry_verdict(judgements: Iterable[Judgement]) -> str:
    """Return the worst verdict of the claims that count; claims of test servers and reported claims do not."""
    gating = (judgement for judgement in judgements if judgement.claim.gates)
    return worst_verdict(judgement for judgement in gating if judgement.claim.of != "test-server")


def commands(entry: Entry) -> list[tuple[str, str]]:
    """Return the commands that make the runs of an entry again and judge its claims, each with its purpose."""
    source = parse_or_none(str(entry.recipe.task.args.get("data") or ""))
    data = f" --data {source.name}=DIR" if isinstance(source, UserFolder) else ""
    argument = shlex.quote(entry.argument)
    claims = [claim for claim in entry.recipe.claims if claim.of == "retrain"]
    shown = []
    if entry.recipe.weights:
        shown.append(("Evaluate the published weights and judge them", f"zoo reproduce {argument}{data}"))
    if entry.recipe.stages and not claims:
        shown.append(("Train it", f"zoo train {argument}{data}"))
    elif entry.recipe.stages:
        again = f"zoo reproduce {argument} --train --seeds {max(claim.seeds for claim in claims)}{data}"
        shown.append(("Train with other seeds than the reference runs and judge the mean", again))
        if (runs := max(claim.reference_runs for claim in claims)) > 1:
            first = f"--seeds {runs} --first-seed {FIRST_REFERENCE_SEED}"
            shown.append(("Repeat the reference runs", f"zoo reproduce {argument} --train {first}{data}"))
    return shown


def runs_plot(entry: Entry, judgement: Judgement, records: list[RecordedRun]) -> dict[str, Any] | None:
    """Return the plot of a retraining's runs with the ranges that judge them; None if there are no runs."""
    claim, band, equivalent = judgement.claim, judgement.band, judgement.equivalent
    if claim.of != "retrain":
        return None
    runs = [
        PlottedRun(seed=seed, value=value, kind=_kind(seed, value, judgement))
        for seed, value in table.training_scores(entry, claim, records)
    ]
    plot = strip_plot(claim.metric, claim.split, runs, claim.value, band, equivalent, claim.printed_decimals)
    if plot is None:
        return None
    spans = {"band": band or (None, None), "equivalent": equivalent or (None, None)}
    ranges = {name: format_range(low, high, claim.printed_decimals) for name, (low, high) in spans.items()}
    return {"drawn": plot, "metric": claim.metric, "split": claim.split, "verdict": judgement.verdict, **ranges}


def _kind(seed: int, value: float, judgement: Judgement) -> Kind:
    if seed >= FIRST_REFERENCE_SEED:
        return "reference"
    return "set aside" if value in judgement.set_aside else "judged"


def _record(entry: Entry, record: Record, environments: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        **_link(record),
        "is_reference": record.identity.is_reference,
        "is_current": record.identity.digest == entry.recipe.digest,
        "scores": [
            {"metric": name, "split": result.split, "n": subset_text(result.scoring, result.n) or f"{result.n:,}",
             "selection": result.selection, "value": format_score(score["value"])}
            for result in record.results
            for name, score in result.metrics.items()
        ],
        "commit": (record.environment["commit"] or "no commit")[:7],
        "date": record.created[:10],
        "seconds": f"{record.cost['seconds']:,.1f}",
        "environment": environments[_environment_key(record)]["number"],
        "folder": record.identity.folder,
    }  # fmt: skip


def _link(record: Record) -> dict[str, str]:
    """Return the name of a run and the file of its record."""
    seed = record.identity.seed
    return {"seed": "published weights" if seed is None else f"seed {seed}", "file": record_file(record)}


def _environments(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """Return the distinct environments of records, numbered from 1, by their key."""
    numbered: dict[str, dict[str, Any]] = {}
    for record in records:
        fields = record.environment
        threads = counted(fields["threads"], "thread")
        packages = fields["packages"]
        summary = f"torch {packages.get('torch', '?')}, Python {fields['python']}, {fields['device']}, {threads}"
        machine = {name: fields[name] for name in sorted(fields) if name not in ("commit", "dirty", "packages")}
        shown = {"number": len(numbered) + 1, "summary": summary, "machine": machine, "packages": packages}
        numbered.setdefault(_environment_key(record), shown)
    return numbered


def _environment_key(record: Record) -> str:
    """Return a text that identifies an environment, whatever the commit of the code."""
    fields = {name: value for name, value in record.environment.items() if name not in ("commit", "dirty")}
    return json.dumps(fields, sort_keys=True)
