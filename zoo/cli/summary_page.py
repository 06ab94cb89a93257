"""A Markdown page about many models: how many are as their cards claim, and why the others are not."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tabulate import tabulate

from zoo.errors import SourceError
from zoo.fetch.source_types import HUB, HUGGING_FACE
from zoo.files import write_atomically
from zoo.recipes.catalogue import Entry
from zoo.safe_text import markdown
from zoo.text_tables import as_printed, counted, number

if TYPE_CHECKING:
    from harness.judging.judge_runs import Outcome

    _Pairs = Sequence[tuple[Outcome, Mapping[str, Any]]]
    """Each outcome with its JSON."""

ANSWERS = {
    "reproduced": "every claim is reproduced",
    "not-reproduced": "a claim is not reproduced",
    "partly": "some claims are reproduced, the others cannot be compared",
    "not-compared": "no claim can be compared",
    "inconclusive": "a claim is inconclusive",
    "not-run": "the model could not be read or run",
}
"""The findings about a model, in the order of the page."""
SHOWN_MODELS = 5
"""The most models that are named for a reason."""


class _Markup(str):
    """Text that is Markdown already."""

    __slots__ = ()


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
    pairs = list(zip(outcomes, data["entries"], strict=True))
    models: dict[str, list[Mapping[str, Any]]] = {}
    for outcome, entry in pairs:
        models.setdefault(outcome.entry.card or outcome.entry.name, []).append(entry)
    found = Counter(map(_answer, models.values()))
    claims = [claim for entry in data["entries"] for claim in _counted(entry)]
    verdicts = Counter(claim["verdict"] for claim in claims)
    blocks = [
        f"# {counted(len(models), 'model')}, {counted(len(claims), 'claim')}",
        _table([[text, found[answer]] for answer, text in ANSWERS.items() if found[answer]], ["models", "number"]),
        _table(sorted(verdicts.items()), ["claims", "number"]),
        *_section("Contradicted by arithmetic", _contradictions(pairs), ["model", "finding"]),
        *_section("Not reproduced", _failures(pairs), ["model", "claim", "claimed", "measured", "why", "finding"]),
        *_section("Not compared, by reason", _reasons(pairs), ["reason", "number", "models"]),
        *_section("Losses and other claims that do not count", _uncounted(pairs), ["finding", "number", "models"]),
        *_section("Not run", _errors(pairs), ["model", "error"]),
    ]
    return "\n\n".join(blocks) + "\n"


def _counted(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the claims that the command tests, without losses and other values that are no scores."""
    return [claim for claim in entry["claims"] if claim["tested"] and claim["gates"]]


def _answer(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return what is found of a model, of all its entries."""
    entries = list(entries)
    verdicts = {claim["verdict"] for entry in entries for claim in _counted(entry)}
    verdicts |= {entry["verdict"] for entry in entries if entry["error"] or not _counted(entry)}
    for answer in ("not-reproduced", "inconclusive", "not-run"):
        if answer in verdicts:
            return answer
    return "partly" if len(verdicts) > 1 else next(iter(verdicts), "not-run")


def _contradictions(pairs: "_Pairs") -> list[list[Any]]:
    return [
        [_link(outcome.entry), finding.removeprefix("audit: ")]
        for outcome, _ in pairs
        for finding in outcome.entry.audit
    ]


def _failures(pairs: "_Pairs") -> list[list[Any]]:
    return [
        [
            _link(outcome.entry), claim["name"], as_printed(claim["claimed"], claim["decimals"]),
            number(claim["measured"], claim["decimals"]), claim["why"],
            next((finding for finding in entry["findings"] if finding.startswith("label order: if ")), ""),
        ]
        for outcome, entry in pairs
        for claim in _counted(entry)
        if claim["verdict"] == "not-reproduced"
    ]  # fmt: skip


def _reasons(pairs: "_Pairs") -> list[list[Any]]:
    """Return each reason with the number of claims, or of models without any, and the first models."""
    found: list[tuple[str, Entry]] = []
    for outcome, entry in pairs:
        whys = [claim["why"] for claim in _counted(entry) if claim["verdict"] == "not-compared"]
        failure = outcome.entry.failure
        whys += [str(failure)] if failure and not entry["claims"] and entry["verdict"] == "not-compared" else []
        found += [(_code(why), outcome.entry) for why in whys]
    return _ranked(found)


def _uncounted(pairs: "_Pairs") -> list[list[Any]]:
    """Return the reasons and verdicts of the claims that are reported and not counted."""
    return _ranked(
        (_code(claim["why"]) if claim["verdict"] == "not-compared" else claim["verdict"], outcome.entry)
        for outcome, entry in pairs
        for claim in entry["claims"]
        if claim["tested"] and not claim["gates"]
    )


def _code(why: str) -> str:
    """Return the code that a reason begins with."""
    code, colon, _ = why.partition(": ")
    return code if colon and " " not in code else "other examples"


def _ranked(found: Iterable[tuple[str, Entry]]) -> list[list[Any]]:
    """Return each finding with its number and the first models, the most frequent one first."""
    of_finding: dict[str, list[Entry]] = {}
    for finding, entry in found:
        of_finding.setdefault(finding, []).append(entry)
    ranked = sorted(of_finding.items(), key=lambda item: -len(item[1]))
    links = {code: list(dict.fromkeys(map(_link, entries)))[:SHOWN_MODELS] for code, entries in ranked}
    return [[code, len(entries), _Markup(", ".join(links[code]))] for code, entries in ranked]


def _errors(pairs: "_Pairs") -> list[list[Any]]:
    return [[_link(outcome.entry), entry["error"]] for outcome, entry in pairs if entry["error"]]


def _link(entry: Entry) -> str:
    """Return the name of an entry as Markdown, that of a model card with a link if the address of the Hub is known."""
    if entry.card is None:
        return _Markup(markdown(entry.title))
    name, at, revision = entry.card.removeprefix(HUB).partition("@")
    hub = urlsplit(os.environ.get("HF_ENDPOINT", HUGGING_FACE).rstrip("/"))
    if not (hub.scheme and hub.netloc):
        return _Markup(markdown(entry.title))
    address = hub._replace(netloc=hub.netloc.rpartition("@")[2]).geturl()  # without a password
    return _Markup(f"[{markdown(entry.title)}](<{address}/{name}{f'/tree/{revision}' if at else ''}>)")


def _section(title: str, rows: list[list[Any]], headers: list[str]) -> list[str]:
    return [f"## {title}", _table(rows, headers)] if rows else []


def _table(rows: Iterable[Iterable[Any]], headers: list[str]) -> str:
    cells = [[cell if isinstance(cell, _Markup) else markdown(cell) for cell in row] for row in rows]
    return tabulate(cells, headers, tablefmt="pipe", disable_numparse=True)
