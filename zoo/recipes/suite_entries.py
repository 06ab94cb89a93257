"""Entries of generated suites, and what is known of any entry for `--where` and `zoo suite`."""

from collections.abc import Iterable

from zoo.errors import UsageError
from zoo.recipes.catalogue import Entry
from zoo.suites.generated import COLUMNS, Facts
from zoo.suites.known import StoredSuite
from zoo.suites.store import recipe_path
from zoo.suites.where import parse_where
from zoo.text_tables import counted

ACCURACIES = ("accuracy", "pixel_accuracy")


def entries_of(stored: StoredSuite) -> list[Entry]:
    """Return the entries of a generated suite."""
    return [
        Entry(
            entry.name, stored.name, recipe_path(stored.folder, entry.name), facts=entry.facts,
            not_compared=entry.not_compared, is_generated=True,
        )
        for entry in stored.suite.entries
    ]  # fmt: skip


def facts_of(entry: Entry) -> Facts:
    """Return what is known of an entry by the names in `COLUMNS`; of a recipe that cannot be read, only its name."""
    known = {"name": entry.name, "suite": entry.suite, **(entry.facts or _facts_of_recipe(entry))}
    return {column: known.get(column) for column in COLUMNS}


def filtered(entries: Iterable[Entry], where: str | None) -> list[Entry]:
    """Return the entries that an expression of `--where` selects; all of them for None. Raises UsageError."""
    if where is None:
        return list(entries)
    condition, listed = parse_where(where), list(entries)
    chosen = [entry for entry in listed if condition(facts_of(entry))]
    if not chosen and listed:
        raise UsageError(f"--where {where!r} selects none of {counted(len(listed), 'entry', 'entries')}")
    return chosen


def _facts_of_recipe(entry: Entry) -> Facts:
    if not entry.is_readable:
        return {}
    recipe = entry.recipe
    values = [claim.value for claim in recipe.claims if claim.metric in ACCURACIES]
    return {
        "model": recipe.model.use, "claims": len(recipe.claims),
        "accuracy": next((value for value in values if value is not None), None),
    }  # fmt: skip
