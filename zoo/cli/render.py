"""Print results of commands, as JSON with a `schema` or as text. Imports nothing heavy."""

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.cli.exit_codes import OF_VERDICT
from zoo.recipes.schema import Claim
from zoo.text_tables import finite, fitted, number

if TYPE_CHECKING:
    from harness.judging.judge_runs import Outcome
    from harness.judging.types import Judgement

SCHEMA = 2
"""The version of the JSON. It is raised when keys are renamed or removed."""
CLAIM_KEYS = (
    "of", "split", "metric", "value", "decimals", "n", "precision", "selection", "sigma", "prior", "reference_runs",
    "failures", "gates", "seeds", "source",
)  # fmt: skip


def emit(data: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Print the result of a command on stdout: `data` as JSON with its schema, or else `text` unless it is empty."""
    if as_json:
        print(json.dumps({"schema": SCHEMA, **data}, indent=1, allow_nan=False))
    elif text:
        print(text)


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], flexible: Sequence[int] = (-1,)) -> str:
    """Return a table as wide as the terminal; the text of its `flexible` columns is wrapped to fit."""
    return fitted(list(rows), headers, terminal_width(), flexible)


def terminal_width() -> int | None:
    """Return the number of columns of the terminal, or None if stdout is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def verification_data(outcomes: Iterable["Outcome"]) -> dict[str, Any]:
    """Return the JSON of `verify` and `reproduce`."""
    outcomes = list(outcomes)
    entries = [
        {
            "entry": outcome.entry.name,
            "suite": outcome.entry.suite,
            "verdict": outcome.verdict,
            "error": str(outcome.error) if outcome.error else None,
            "claims": [judgement_data(judgement, outcome.mode) for judgement in outcome.judgements],
            "findings": list(outcome.findings),
            "records": [str(path) for path in outcome.records],
        }
        for outcome in outcomes
    ]
    return {"entries": entries, "summary": verdict_counts(outcome.verdict for outcome in outcomes)}


def verdict_counts(verdicts: Iterable[str]) -> dict[str, int]:
    """Return how many entries have each verdict."""
    counts = Counter(verdicts)
    return {verdict: counts[verdict] for verdict in OF_VERDICT}


def counts_line(summary: Mapping[str, int]) -> str:
    """Return counts of verdicts as text, such as `5 reproduced, 1 not-run`."""
    return ", ".join(f"{count} {verdict}" for verdict, count in summary.items() if count)


def claim_data(claim: Claim) -> dict[str, Any]:
    """Return the JSON of a claim in a recipe."""
    return {name: getattr(claim, name) for name in CLAIM_KEYS}


def judgement_data(judgement: "Judgement", mode: str) -> dict[str, Any]:
    """Return the JSON of a judged claim. `tested` says whether a run of this mode tests it."""
    claim = judgement.claim
    return {
        "tested": claim.of == mode,
        "of": claim.of,
        "split": claim.split,
        "metric": claim.metric,
        "claimed": claim.value,
        "measured": judgement.measured,
        "values": list(judgement.values),
        "set_aside": [finite(value) for value in judgement.set_aside],
        "sigma": judgement.sigma,
        "sigma_from": judgement.sigma_from or None,
        "prediction_band": judgement.band,
        "equivalence_range": judgement.equivalent,
        "p_value": judgement.p,
        "power": judgement.power,
        "further_seeds": judgement.further_seeds,
        "verdict": judgement.verdict,
        "why": judgement.why,
        "source": claim.source,
    }


def claim_line(judgement: "Judgement") -> str:
    """Return a judged claim on one line."""
    claim = judgement.claim
    return (
        f"{claim.of}: {claim.metric} on {claim.split}: claimed {number(claim.value)},"
        f" measured {number(judgement.measured)}: {judgement.verdict}"
    )


def claims_summary(claims: Iterable[Claim]) -> str:
    """Return the first claim of each kind and metric on one line."""
    first: dict[tuple[str, str], str] = {}
    for claim in claims:
        first.setdefault((claim.of, claim.metric), f"{claim.of} {claim.metric} {number(claim.value)}")
    return "; ".join(first.values())


def without_nan(rows: Iterable[Mapping[Any, Any]]) -> list[dict[Any, Any]]:
    """Return rows of a table as JSON can hold them: NaN becomes null."""
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]  # noqa: PLR0124
