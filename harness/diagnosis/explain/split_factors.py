"""Other splits that a claim may be about."""

from dataclasses import replace

from torch import Tensor

from harness.diagnosis.explain.candidates import Candidates, Untried
from harness.diagnosis.explain.variant import Change, Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from zoo.claims.recipe_claims import fits_rows
from zoo.errors import ZooError, first_line
from zoo.fetch.source_types import HubRepo, parse_or_none
from zoo.recipes.claim import Claim
from zoo.recipes.values import short_name
from zoo.tasks.tables import splits_of_repository
from zoo.text_tables import number

MOST_ROWS = 20_000
"""The most rows of another split to evaluate."""


def splits(runner: VariantRunner, claims: tuple[Claim, ...]) -> Candidates:
    """Try the other splits of the data set whose size the claims fit, if their labels are public.

    Args:
        runner: The entry.
        claims: The claims that failed, or that fit no number of rows of their split.
    """
    name, call, known = claims[0].split, runner.experiment.recipe.task, runner.task.splits
    others = [split for split in dict.fromkeys((*known, *_splits_of_hub(runner))) if split != name]
    for other in others:
        task = None if other in known else replace(call, args={**call.args, "splits": [*known, other]})
        variant = Variant(changes=(Change("split", "", name, other),), split=(name, other), task=task)
        try:
            rows = runner.split(name, variant)
            reason = _hidden_labels(rows.labels, other) or _why_not(
                len(rows), other, [claim for claim in claims if claim.split == name]
            )
        except ZooError as error:
            reason = first_line(error)
        yield Untried("split", reason) if reason else variant
    if not others:
        yield Untried("split", "the task has no other split")


def _hidden_labels(labels: Tensor, split: str) -> str:
    """Return that labels are hidden, or an empty text. Data sets have -1, or one class, in the place of hidden ones."""
    is_hidden = labels.numel() > 1 and bool((labels == labels.flatten()[0]).all())
    return f"the labels of {split} are hidden: all are {labels.flatten()[0].item():g}" if is_hidden else ""


def _why_not(rows: int, split: str, claims: list[Claim]) -> str:
    """Return why claims cannot be about a split with this number of rows, or an empty text."""
    if rows > MOST_ROWS:
        return f"{split} has {rows:,} rows; at most {MOST_ROWS:,} are tried"
    for claim in claims:
        if claim.size is not None and claim.size != rows:
            return f"{split} has {rows:,} rows, and the claim is about {claim.size:,}"
        if not fits_rows(claim, rows):
            return f"{number(claim.value, claim.printed_decimals)} is no share of the {rows:,} rows of {split}"
    return ""


def _splits_of_hub(runner: VariantRunner) -> tuple[str, ...]:
    """Return the splits of a data set of the Hub; none for other data, or if they cannot be read."""
    call = runner.experiment.recipe.task
    if short_name(call) != "text_classification" or not isinstance(parse_or_none(str(call.args["data"])), HubRepo):
        return ()
    (source, want), *_ = runner.task.sources
    return splits_of_repository(source.fetch(want), call.args.get("config"))
