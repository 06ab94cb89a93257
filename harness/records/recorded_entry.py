"""Find the recipe of a record: shipped, beside the record, or made of a suite or a card. Never imports torch."""

from pathlib import Path

from harness.records.record import Record
from zoo.claims.stored_recipes import find_stored_entry
from zoo.errors import UsageError
from zoo.fetch.source_types import HubRepo, parse_or_none
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.suites.known import stored_recipes

RECIPE = "recipe.yaml"
"""The name of the recipe beside the record of a training."""


def entry_of(path: Path, record: Record) -> Entry:
    """Return the entry of a record: the shipped one if its recipe is unchanged, else the recipe beside the record.

    For an entry of a generated suite, and for a model of the Hub without a recipe, it is the one in the cache that zoo
    made of the suite's catalogue or of the model's card.

    Raises:
        UsageError: None of them is the recipe that was run.
    """
    beside = path.parent / RECIPE
    if any(entry.name == record.entry for entry in catalogue.entries()):
        shipped = catalogue.select_one(record.entry)
        if shipped.recipe.digest == record.identity.digest:
            return shipped
    if record.imported:
        raise UsageError(f"the run of {record.entry} was imported from a log of {record.imported['tool']}")
    if beside.is_file():
        return catalogue.local(beside)
    found = _generated(record) or _of_card(record)
    if found is None:
        digest = record.identity.digest[:12]
        raise UsageError(f"the recipe that was run for {record.entry} is not available: its digest is {digest}")
    return found


def _generated(record: Record) -> Entry | None:
    files = stored_recipes(record.suite, record.entry)
    entries = (Entry(record.entry, record.suite, file, is_generated=True) for file in files)
    return next((e for e in entries if e.is_readable and e.recipe.digest == record.identity.digest), None)


def _of_card(record: Record) -> Entry | None:
    model = model_of(record)
    return find_stored_entry(model, record.identity.digest) if model else None


def model_of(record: Record) -> HubRepo | None:
    """Return the repository of the published weights that were scored; None if they are not on the Hub."""
    repo = parse_or_none(str(record.recipe.get("weights", "")))
    return repo if isinstance(repo, HubRepo) and repo.kind == "model" else None
