"""What an entry's page tells: its claims, the runs behind them, where they were made, and how to run them again."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from harness.judging.judge_runs import RecordedRun as Recorded
from harness.judging.types import Judgement, overall
from harness.records.record import FIRST_REFERENCE_SEED, Record
from leaderboard import table
from leaderboard.cells import Row, cells, number, span, values
from leaderboard.flips import flips
from leaderboard.methods import about
from leaderboard.strip_plot import Kind, Run, strip_plot
from zoo.fetch.source_types import UserFolder, parse_or_none
from zoo.recipes.catalogue import Entry

RECORDS = "leaderboard/records"
"""Where the committed records are in the repository."""
SHORT = 12
"""So many digits of a key or commit tell it from all others."""
Judged = tuple[Judgement, list[Recorded]]
"""A claim's judgement, and the records it rests on."""


def context(entry: Entry, rows: Sequence[Row], judged: Sequence[Judged], records: list[Recorded]) -> dict[str, Any]:
    """All that an entry's page shows.

    `rows` are its claims' of `leaderboard.table.rows`, `judged` those of `leaderboard.table.judged`, in the same order,
    `records` all of its own.
    """
    recipe = entry.path.read_text(encoding="utf-8")
    ordered = sorted(records, key=lambda run: (run[1].identity.mode == "retrain", run[1].identity.seed or 0))
    environments = _environments(record for _, record in ordered)
    judgements = [judgement for judgement, _ in judged]
    noticed = [record.findings for _, record in ordered] + [judgement.findings for judgement in judgements]
    return {
        "name": entry.name,
        "suite": entry.suite,
        "about": about(recipe),
        "verdict": verdict(judgements),
        "claims": [{**row, **cells(row), "values": values(row)} for row in rows],
        "plots": [plot for one in judgements if (plot := _plot(entry, one, records))],
        "records": [_record(entry, record, environments) for _, record in ordered],
        "folder": f"{RECORDS}/{entry.name}",
        "environments": [*environments.values()],
        "findings": [*dict.fromkeys(finding for found in noticed for finding in found)],
        "flips": flips(entry, records),
        "commands": commands(entry),
        "recipe": recipe,
    }


def verdict(judgements: Iterable[Judgement]) -> str:
    """The gravest of the claims that count: not those of a hidden test split, nor those that are only reported."""
    return overall(one for one in judgements if one.claim.of != "test-server" and one.claim.gates)


def commands(entry: Entry) -> list[tuple[str, str]]:
    """What to type to judge the claims again, each with what it does."""
    source = parse_or_none(str(entry.recipe.task.args.get("data") or ""))
    given = f" --data {source.name}=DIR" if isinstance(source, UserFolder) else ""
    claims = [claim for claim in entry.recipe.claims if claim.of == "retrain"]
    found = []
    if entry.recipe.weights:
        found.append(("Evaluate the published weights", f"zoo reproduce {entry.name}{given}"))
    if entry.recipe.stages:
        seeds = max((claim.seeds for claim in claims), default=3)
        again = f"zoo reproduce {entry.name} --train --seeds {seeds}{given}"
        found.append(("Train again with seeds of your own, and judge", again))
    if (runs := max((claim.reference_runs for claim in claims), default=1)) > 1:
        first = f"--seeds {runs} --first-seed {FIRST_REFERENCE_SEED}"
        found.append(("Train the reference runs again", f"zoo reproduce {entry.name} --train {first}{given}"))
    return found


def _plot(entry: Entry, judgement: Judgement, records: list[Recorded]) -> dict[str, Any] | None:
    """A re-training's runs with the ranges that it is judged by; None where nothing was run."""
    claim, band, equivalent = judgement.claim, judgement.band, judgement.equivalent
    if claim.of != "retrain":
        return None
    runs = [
        Run(seed=seed, value=value, kind=_kind(seed, value, judgement))
        for seed, value in table.values(entry, claim, records)
    ]
    drawn = strip_plot(claim.metric, claim.split, runs, claim.value, band, equivalent)
    if drawn is None:
        return None
    ranges = {"band": span(*(band or (None, None))), "equivalent": span(*(equivalent or (None, None)))}
    return {"drawn": drawn, "metric": claim.metric, "split": claim.split, "verdict": judgement.verdict, **ranges}


def _kind(seed: int, value: float, judgement: Judgement) -> Kind:
    if seed >= FIRST_REFERENCE_SEED:
        return "reference"
    return "set aside" if value in judgement.set_aside else "judged"


def _record(entry: Entry, record: Record, environments: dict[str, dict[str, Any]]) -> dict[str, Any]:
    seed = record.identity.seed
    return {
        "seed": "published weights" if seed is None else f"seed {seed}",
        "is_reference": record.identity.is_reference,
        "is_current": record.identity.digest == entry.recipe.digest,
        "scores": [
            {"metric": name, "split": result.split, "n": f"{result.n:,}", "selection": result.selection,
             "value": number(found["value"])}
            for result in record.results
            for name, found in result.metrics.items()
        ],
        "key": record.identity.key[:SHORT],
        "commit": (record.environment["commit"] or "no commit")[:7],
        "date": record.created[:10],
        "seconds": f"{record.cost['seconds']:,.1f}",
        "environment": environments[_where(record)]["number"],
        "folder": record.identity.folder,
    }  # fmt: skip


def _environments(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """The different places that records were made in, numbered from 1."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        where, known = record.environment, len(found)
        threads = f"{where['threads']} thread{'s' if where['threads'] != 1 else ''}"
        packages = where["packages"]
        said = [f"torch {packages.get('torch', '?')}", f"Python {where['python']}", where["device"], threads]
        rest = {name: value for name, value in sorted(where.items()) if name not in ("commit", "dirty", "packages")}
        about = {"number": known + 1, "said": ", ".join(map(str, said)), "machine": rest, "packages": packages}
        found.setdefault(_where(record), about)
    return found


def _where(record: Record) -> str:
    """What tells one environment from another: all of it but the commit."""
    kept = {name: value for name, value in record.environment.items() if name not in ("commit", "dirty")}
    return json.dumps(kept, sort_keys=True)
