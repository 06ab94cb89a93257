"""Print results of commands, as JSON with a `schema` or as text. Imports nothing heavy."""

import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zoo import text_tables
from zoo.claims.claim_names import claim_names
from zoo.cli.exit_codes import OF_VERDICT
from zoo.cli.next_steps import next_step
from zoo.recipes.catalogue import Entry
from zoo.recipes.claim import Claim
from zoo.recipes.options import RunOptions, SourceOptions
from zoo.safe_text import one_line, printable
from zoo.text_tables import counted, finite, fitted, number

if TYPE_CHECKING:
    from harness.judging.judge_runs import Outcome
    from harness.judging.types import Judgement

SCHEMA = 2
"""The version of the JSON. It is raised when keys are renamed or removed."""
CLAIM_KEYS = (
    "of", "split", "metric", "value", "decimals", "n", "precision", "selection", "sigma", "prior", "reference_runs",
    "failures", "gates", "seeds", "source",
)  # fmt: skip


def emit(data: Mapping[str, Any], text: str, *, as_json: bool, colors: bool = False) -> None:
    """Print the result of a command on stdout.

    Args:
        data: The result for JSON, without its schema.
        text: The result for a person; nothing is printed if it is empty.
        as_json: Which of the two to print.
        colors: Whether `text` may set colors.
    """
    if as_json:
        printed = json.dumps({"schema": SCHEMA, **data}, indent=1, allow_nan=False)
        print(printed.replace("##[", "#\\u0023["))  # a workflow command of GitHub, wherever in a line
    elif text:
        print(printable(text, colors=colors))


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], flexible: Sequence[int] = (-1,)) -> str:
    """Return a table as wide as the terminal; the text of its `flexible` columns is wrapped to fit."""
    return fitted(list(rows), headers, terminal_width(), flexible)


def fits_terminal(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> bool:
    """Return whether a table fits the terminal without wrapped cells."""
    width = terminal_width()
    return width is None or max(map(len, fitted(list(rows), headers, None).splitlines())) <= width


def terminal_width() -> int | None:
    """Return the number of columns in COLUMNS, else of the terminal; None if stdout is not a terminal either."""
    if sys.stdout.isatty() or re.fullmatch("0*[1-9][0-9]{0,3}", os.environ.get("COLUMNS", "")):
        return shutil.get_terminal_size().columns
    return None


def has_colors() -> bool:
    """Return whether stdout shows colors: by NO_COLOR and FORCE_COLOR, else if it is a terminal that knows them."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")


def wrapped(text: str, indent: str) -> str:
    """Return a paragraph, indented, as wide as the terminal."""
    return text_tables.wrapped(text, terminal_width(), indent)


def verification_data(outcomes: Iterable["Outcome"], options: RunOptions, sources: SourceOptions) -> dict[str, Any]:
    """Return the JSON of `verify` and `reproduce` with these options."""
    outcomes = list(outcomes)
    entries = [
        {
            "entry": outcome.entry.name,
            "title": outcome.entry.title,
            "suite": outcome.entry.suite,
            "verdict": outcome.verdict,
            "error": str(outcome.error) if outcome.error else None,
            "claims": [
                {"name": name, **judgement_data(judgement, outcome.mode)}
                for name, judgement in named_judgements(outcome.entry, outcome.judgements)
            ],
            "findings": list(outcome.findings),
            "next_step": next_step(outcome, options, sources),
            "records": [str(path) for path in outcome.records],
        }
        for outcome in outcomes
    ]
    return {"entries": entries, "summary": verdict_counts(outcome.verdict for outcome in outcomes)}


def named_judgements(entry: Entry, judgements: Sequence["Judgement"]) -> list[tuple[str, "Judgement"]]:
    """Return the judgements of an entry, each with the name of its claim for readers."""
    return list(zip(claim_names(entry, [judgement.claim for judgement in judgements]), judgements, strict=True))


def verdict_counts(verdicts: Iterable[str]) -> dict[str, int]:
    """Return how many entries have each verdict."""
    counts = Counter(verdicts)
    return {verdict: counts[verdict] for verdict in OF_VERDICT}


def counts_line(summary: Mapping[str, int]) -> str:
    """Return how many entries have each verdict as text, such as `6 entries: 5 reproduced, 1 not-run`."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in summary.items() if count)
    return f"{counted(sum(summary.values()), 'entry', 'entries')}{f': {counts}' if counts else ''}"


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
        "decimals": claim.printed_decimals,
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
        "excluded_loss": judgement.excluded_loss,
        "counts": asdict(judgement.counts) if judgement.counts else None,
        "verdict": judgement.verdict,
        "label": judgement.label,
        "chance": judgement.chance,
        "why": judgement.why,
        "gates": claim.gates,
        "source": claim.source,
    }


def claim_line(judgement: "Judgement", name: str = "") -> str:
    """Return a judged claim on one line, with its name for readers; by default its metric and its split."""
    claim, scores = judgement.claim, f"claimed {judgement.claim.printed_value}"
    if judgement.measured is not None:
        scores += f", measured {number(judgement.measured, claim.printed_decimals)}"
    return f"{claim.of}: {one_line(name or f'{claim.metric} on {claim.split}')}: {scores}: {judgement.label}"


def without_nan(rows: Iterable[Mapping[Any, Any]]) -> list[dict[Any, Any]]:
    """Return rows of a table as JSON can hold them: NaN becomes null."""
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]  # noqa: PLR0124
