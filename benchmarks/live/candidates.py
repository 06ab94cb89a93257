"""The entries that a night can verify, and those that it leaves out because their data cannot be downloaded."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from benchmarks.live.attempts import Attempt
from benchmarks.live.rotation import Candidate
from harness.records.find_runs import read_all
from zoo import paths
from zoo.fetch.source_types import DATA
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.walk import recipe_sources

SUITES = ("glue", "cifar10", "cifar100", "ilsvrc2012")
"""The suites of the 27 BERT models and the 14 vision models of Matsubara (2023)."""


def missing_data(entry: Entry) -> str | None:
    """Return why the data of an entry cannot be read here, or None."""
    names = [source.text for source in recipe_sources(entry.recipe) if source.text.startswith(DATA)]
    missing = [name for name in names if name.removeprefix(DATA) not in paths.data()]
    if not missing:
        return None
    return f"{missing[0]} is not free to download: its owner asks for an account or a licence"


def evaluable(patterns: Sequence[str]) -> list[Entry]:
    """Return the entries with a claim about published weights, of SUITES or of those that patterns select."""
    chosen = catalogue.select(list(patterns)) if patterns else catalogue.select([], list(SUITES))
    return [entry for entry in chosen if any(claim.of == "weights" for claim in entry.recipe.claims)]


def candidates(
    entries: Sequence[Entry],
    *,
    evidence: Sequence[Path],
    attempts: Mapping[str, Attempt],
    sizes: Mapping[str, int | None],
) -> list[Candidate]:
    """Return the candidates among entries.

    Args:
        entries: The entries.
        evidence: Folders of records: the committed ones, and those that an open pull request proposes.
        attempts: The entries that earlier nights tried.
        sizes: The bytes that each entry downloads.
    """
    recorded = newest_records(evidence)
    return [_candidate(entry, recorded.get(entry.name), attempts.get(entry.name), sizes) for entry in entries]


def newest_records(folders: Sequence[Path]) -> dict[str, date]:
    """Return the date of each entry's newest record of published weights."""
    newest: dict[str, date] = {}
    for _, record in (found for folder in folders for found in read_all(folder)):
        if record.identity.mode == "weights":
            created = date.fromisoformat(record.created[:10])
            newest[record.entry] = max(created, newest.get(record.entry, created))
    return newest


def _candidate(
    entry: Entry, recorded: date | None, attempt: Attempt | None, sizes: Mapping[str, int | None]
) -> Candidate:
    dates = [day for day in (recorded, attempt.succeeded if attempt else None) if day is not None]
    return Candidate(
        name=entry.name,
        suite=entry.suite,
        rows=max(claim.n or 0 for claim in entry.recipe.claims if claim.of == "weights"),
        size=sizes.get(entry.name),
        seconds=attempt.seconds if attempt else None,
        verified=max(dates, default=None),
        next_try=attempt.next_try if attempt else None,
    )
