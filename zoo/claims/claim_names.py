"""The names of claims for readers: `f1 (macro) on glue mrpc validation`."""

import re
from collections import Counter
from collections.abc import Sequence

from zoo.claims.recipe_claims import data_set_of
from zoo.errors import UsageError
from zoo.recipes.catalogue import Entry
from zoo.recipes.claim import Claim
from zoo.recipes.metric_names import metric_name
from zoo.recipes.values import Call

LINE = re.compile(r"\bline \d+")
"""Where a claim stands, in the source of a claim of a model card."""
NO_TEXT = "-"
"""Stands for an empty metric or split of a claim of a model card."""


def claim_names(entry: Entry, claims: Sequence[Claim]) -> list[str]:
    """Return the name of each claim: its metric with the average, and its split, for a model card with the data set.

    Claims of a card that would have the same name have their line in the card too.
    """
    names = [f"{_metric(entry, claim)} on {_split(entry, claim)}{_rows(claim)}" for claim in claims]
    counts = Counter(names)
    return [
        f"{name} ({found[0]})" if counts[name] > 1 and (found := entry.card and LINE.findall(claim.source)) else name
        for name, claim in zip(names, claims, strict=True)
    ]


def split_name(data: str, config: str, split: str) -> str:
    """Return a split with its data set: `glue mrpc validation` of `nyu-mll/glue`."""
    named_config = "" if config == "default" else config
    return " ".join(filter(None, (data.rpartition("/")[2], named_config, split)))


def with_claim(entries: Sequence[Entry], text: str, model: str) -> list[Entry]:
    """Return the recipes of a model card that a text names: by their data set, or by a part of the name of a claim.

    Recipes that cannot be read have no names of claims, so they are returned only if no other recipe is named.

    Args:
        entries: The recipes.
        text: Such as `glue/mrpc` or `f1 (macro)`.
        model: The model, for the message.

    Raises:
        UsageError: There is no such recipe.
    """
    words = text.lower().replace("/", " ")
    exact = [entry for entry in entries if entry.part_of_card.lower() in (text.lower(), words.replace(" ", "-"))]
    named = exact or [entry for entry in entries if any(words in name.lower() for name in _names_in(entry))]
    found = named or [entry for entry in entries if not entry.is_readable]
    if not found:
        raise UsageError(f"--claim {text}: {model} has no such claim; its recipes are {recipes_list(entries)}")
    return found


def recipes_list(entries: Sequence[Entry]) -> str:
    """Return the recipes of a model card, each with its claims: `mrpc (accuracy on glue mrpc validation), ...`."""
    return "; ".join(f"{entry.part_of_card or entry.title} ({', '.join(_names_in(entry))})" for entry in entries)


def _names_in(entry: Entry) -> list[str]:
    return claim_names(entry, entry.recipe.claims) if entry.is_readable else []


def _metric(entry: Entry, claim: Claim) -> str:
    if claim.metric == NO_TEXT:
        return "(no metric)"
    calls = entry.recipe.metrics if entry.is_readable and not _is_unmapped(entry, claim) else ()
    call = next((call for call in calls if metric_name(call) == claim.metric), Call(use=claim.metric))
    name = claim.metric.removesuffix("_score") if call.use.startswith("sklearn.") else claim.metric
    average = call.args.get("average")
    return f"{name} ({average})" if isinstance(average, str) else name


def _rows(claim: Claim) -> str:
    """Return the rows of a claim that is not about all of its split."""
    return f", rows {claim.rows}" if claim.rows else ""


def _split(entry: Entry, claim: Claim) -> str:
    if entry.card is None or not entry.is_readable or _is_unmapped(entry, claim):
        return claim.split  # that of a claim without recipe begins with its data set
    data, config = data_set_of(entry.recipe.task)
    return split_name(data, config, claim.split)


def _is_unmapped(entry: Entry, claim: Claim) -> bool:
    return any(each.claim == claim for each in entry.unmapped)
