"""What commands print: tables, and JSON that carries a `schema`. Values in, text out; nothing heavy is imported."""

import json
import math
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from zoo.errors import UsageError, did_you_mean
from zoo.recipes.schema import Claim

SCHEMA = 1
CODES = {"reproduced": 0, "not-reproduced": 1, "inconclusive": 3, "not-compared": 3, "not-run": 3}
"""Verdict -> exit code."""


def failing(text: str | None) -> frozenset[str] | None:
    """The verdicts of `--fail-on`; None where nothing is given. Raises UsageError for a word that is none."""
    if text is None:
        return None
    words, known = [word.strip() for word in text.split(",")], [verdict for verdict, code in CODES.items() if code]
    for word in words:
        if word not in (*known, "none"):
            raise UsageError(f"--fail-on: {word!r} is no verdict that can fail{did_you_mean(word, known)}")
    return frozenset(words)


def verification(outcomes: Iterable[Any]) -> dict[str, Any]:
    """What `verify --json` prints."""
    entries = [
        {
            "entry": o.entry.name,
            "suite": o.entry.suite,
            "verdict": o.verdict,
            "error": str(o.error) if o.error else None,
            "claims": [judgement_data(judgement, o.mode) for judgement in o.judgements],
            "findings": list(o.findings),
            "records": [str(path) for path in o.records],
        }
        for o in outcomes
    ]
    counts = Counter(str(outcome.verdict) for outcome in outcomes)
    return {"entries": entries, "summary": {verdict: counts[verdict] for verdict in CODES}}


def claim_data(claim: Claim) -> dict[str, Any]:
    names = (
        "of",
        "split",
        "metric",
        "value",
        "decimals",
        "n",
        "precision",
        "selection",
        "sigma",
        "prior",
        "reference_runs",
        "failures",
        "gates",
        "seeds",
        "source",
    )
    return {name: getattr(claim, name) for name in names}


def judgement_data(judgement: Any, mode: str) -> dict[str, Any]:
    claim = judgement.claim
    return {
        "asked": claim.of == mode,
        "of": claim.of,
        "split": claim.split,
        "metric": claim.metric,
        "claimed": claim.value,
        "measured": judgement.measured,
        "values": list(judgement.values),
        "set_aside": list(judgement.set_aside),
        "sigma": judgement.sigma,
        "sigma_from": judgement.sigma_from or None,
        "band": judgement.band,
        "equivalent": judgement.equivalent,
        "p": judgement.p,
        "power": judgement.power,
        "further_seeds": judgement.further_seeds,
        "verdict": judgement.verdict,
        "why": judgement.why,
        "source": claim.source,
    }


def verify_rows(outcome: Any) -> list[list[str]]:
    rows = [
        [
            outcome.entry.name,
            j.claim.split,
            j.claim.metric,
            number(j.claim.value),
            number(j.measured),
            str(len(outcome.records)),
            j.verdict,
        ]
        for j in outcome.judgements
        if j.claim.of == outcome.mode
    ]
    return rows or [[outcome.entry.name, "", "", "", "", "", outcome.verdict]]


def terminal() -> int | None:
    """How many columns the terminal has; None where stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted(
    rows: Sequence[Sequence[Any]], headers: Sequence[str], columns: int | None, flexible: Sequence[int] = (-1,)
) -> str:
    """A table whose `flexible` columns share what the others leave of so many columns."""
    natural = [max(len(str(cell)) for cell in cells) for cells in zip(headers, *rows, strict=True)]
    shared = {at % len(headers) for at in flexible}
    left = (columns or 0) - sum(width + 2 for at, width in enumerate(natural) if at not in shared)
    wanted = sum(natural[at] + 2 for at in shared)
    widths = [
        max(left * (width + 2) // wanted - 2, 12) if columns is not None and at in shared and wanted > left else None
        for at, width in enumerate(natural)
    ]
    return tabulate(rows, headers=headers, disable_numparse=True, maxcolwidths=widths)


def claim_line(judgement: Any) -> str:
    claim = judgement.claim
    return (
        f"{claim.of}: {claim.metric} on {claim.split}: claimed {number(claim.value)},"
        f" measured {number(judgement.measured)}: {judgement.verdict}"
    )


def summary(claims: Iterable[Claim]) -> str:
    first: dict[tuple[str, str], str] = {}
    for claim in claims:
        first.setdefault((claim.of, claim.metric), f"{claim.of} {claim.metric} {number(claim.value)}")
    return "; ".join(first.values())


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def plain(rows: list[dict[Any, Any]]) -> list[dict[Any, Any]]:
    """Rows of a table as JSON can hold them: what is not a number is null."""
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]  # noqa: PLR0124


def print_json(data: dict[str, Any]) -> None:
    print(json.dumps({"schema": SCHEMA, **data}, indent=1, allow_nan=False))
