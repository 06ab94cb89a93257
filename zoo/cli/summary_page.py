"""A Markdown page about many models: how many are as their cards claim, and why the others are not."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from zoo.errors import SourceError
from zoo.files import write_atomically
from zoo.safe_text import markdown
from zoo.text_tables import number

if TYPE_CHECKING:
    from harness.judging.judge_runs import Outcome

ANSWERS = {
    "reproduced": "every claim is reproduced",
    "not-reproduced": "a claim is not reproduced",
    "partly": "some claims are reproduced, the others cannot be compared",
    "not-compared": "no claim can be compared",
    "inconclusive": "a claim is inconclusive",
    "not-run": "the model could not be read or run",
}
"""What is found of a model, in the order of the page."""


def write_summary_page(path: Path, outcomes: "Sequence[Outcome]", data: Mapping[str, Any]) -> None:
    """Write the page. Raise SourceError if that is not possible.

    Args:
        path: The file.
        outcomes: The verdicts.
        data: The JSON of `zoo verify`.
    """
    try:
        write_atomically(path, summary_page(outcomes, data))
    except OSError as error:
        raise SourceError(f"{path}: cannot write the summary: {error.strerror or error}") from None


def summary_page(outcomes: "Sequence[Outcome]", data: Mapping[str, Any]) -> str:
    """Return the page."""
    models: dict[str, list[Mapping[str, Any]]] = {}
    for outcome, entry in zip(outcomes, data["entries"], strict=True):
        models.setdefault(outcome.entry.card or outcome.entry.name, []).append(entry)
    found = Counter(map(_answer, models.values()))
    claims = [claim for entry in data["entries"] for claim in entry["claims"] if claim["tested"]]
    verdicts = Counter(claim["verdict"] for claim in claims)
    blocks = [
        f"# {len(models)} models, {len(claims)} claims",
        _table([[text, found[answer]] for answer, text in ANSWERS.items() if found[answer]], ["models", "number"]),
        _table(sorted(verdicts.items()), ["claims", "number"]),
        *_section("Not reproduced", _failures(data), ["model", "claim", "claimed", "measured", "why", "finding"]),
        *_section("Not compared, by reason", _reasons(outcomes, data), ["reason", "number", "models"]),
        *_section("Not run", _errors(data), ["model", "error"]),
    ]
    return "\n\n".join(blocks) + "\n"


def _answer(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return what is found of a model, of all its entries."""
    verdicts = {claim["verdict"] for entry in entries for claim in entry["claims"] if claim["tested"]}
    verdicts |= {entry["verdict"] for entry in entries if not entry["claims"] or entry["error"]}
    for answer in ("not-reproduced", "inconclusive", "not-run"):
        if answer in verdicts:
            return answer
    return "partly" if len(verdicts) > 1 else next(iter(verdicts), "not-run")


def _failures(data: Mapping[str, Any]) -> list[list[Any]]:
    return [
        [
            entry["entry"], f"{claim['metric']} on {claim['split']}", number(claim["claimed"], claim["decimals"]),
            number(claim["measured"], claim["decimals"]), claim["why"],
            next((finding for finding in entry["findings"] if finding.startswith("label order: if ")), ""),
        ]
        for entry in data["entries"]
        for claim in entry["claims"]
        if claim["tested"] and claim["verdict"] == "not-reproduced"
    ]  # fmt: skip


def _reasons(outcomes: "Sequence[Outcome]", data: Mapping[str, Any]) -> list[list[Any]]:
    """Return each reason with the number of claims, or of models without any, and the first models."""
    counts: dict[str, list[str]] = {}
    for outcome, entry in zip(outcomes, data["entries"], strict=True):
        whys = [claim["why"] for claim in entry["claims"] if claim["tested"] and claim["verdict"] == "not-compared"]
        failure = outcome.entry.failure
        whys += [str(failure)] if failure and not entry["claims"] and entry["verdict"] == "not-compared" else []
        for why in whys:
            code, colon, _ = why.partition(": ")
            counts.setdefault(code if colon and " " not in code else "other examples", []).append(entry["entry"])
    ranked = sorted(counts.items(), key=lambda item: -len(item[1]))
    return [[code, len(names), ", ".join(list(dict.fromkeys(names))[:5])] for code, names in ranked]


def _errors(data: Mapping[str, Any]) -> list[list[Any]]:
    return [[entry["entry"], entry["error"]] for entry in data["entries"] if entry["error"]]


def _section(title: str, rows: list[list[Any]], headers: list[str]) -> list[str]:
    return [f"## {title}", _table(rows, headers)] if rows else []


def _table(rows: Iterable[Iterable[Any]], headers: list[str]) -> str:
    cells = [[markdown(cell) for cell in row] for row in rows]
    return tabulate(cells, headers, tablefmt="pipe", disable_numparse=True)
