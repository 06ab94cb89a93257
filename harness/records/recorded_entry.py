"""Find the recipe of a record: the shipped one, or the one beside the record. Never imports torch."""

from pathlib import Path

from harness.records.record import Record
from zoo.errors import UsageError
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry

RECIPE = "recipe.yaml"
"""The name of the recipe beside the record of a training."""


def entry_of(path: Path, record: Record) -> Entry:
    """Return the entry of a record: the shipped one if its recipe is unchanged, else the recipe beside the record.

    Raises:
        UsageError: Neither is the recipe that was run.
    """
    beside = path.parent / RECIPE
    if any(entry.name == record.entry for entry in catalogue.entries()):
        shipped = catalogue.select_one(record.entry)
        if shipped.recipe.digest == record.identity.digest:
            return shipped
    if record.imported:
        raise UsageError(f"the run of {record.entry} was imported from a log of {record.imported['tool']}")
    if not beside.is_file():
        digest = record.identity.digest[:12]
        raise UsageError(f"the recipe that was run for {record.entry} is not available: its digest is {digest}")
    return catalogue.local(beside)
