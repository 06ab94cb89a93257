"""Return the claims of a recipe as published claims, so that recipes and cards are audited alike."""

from zoo.claims.counts import can_be_count
from zoo.claims.published import PublishedClaim, PublishedClaims
from zoo.errors import Mark
from zoo.fetch.source_types import HubRepo, UserFolder, parse_or_none
from zoo.recipes.catalogue import Entry
from zoo.recipes.claim import SHARES, Claim
from zoo.recipes.values import Call, short_name


def claims_of_entry(entry: Entry) -> PublishedClaims:
    """Return the claims of an entry on published weights that have a value, as published claims.

    Raises:
        RecipeError: The recipe cannot be read.
    """
    return PublishedClaims(name=entry.name, claims=tuple(_published(entry, claim) for claim in audited_claims(entry)))


def audited_claims(entry: Entry) -> list[Claim]:
    """Return the claims of an entry on published weights that have a value.

    Claims on a training repeat them, or are means of several runs, which are no score of one model. Claims on rows
    whose number only a file says are left out.
    """
    claims = [claim for claim in entry.recipe.claims if claim.of == "weights" and claim.value is not None]
    return [claim for claim in claims if claim.rows is None or claim.size is not None]


def fits_rows(claim: Claim, rows: int) -> bool:
    """Return whether a claimed share can be that of this number of rows; True for a claim about no share."""
    if claim.metric not in SHARES or claim.value is None or claim.decimals is None:
        return True
    return can_be_count(claim.value, claim.decimals, rows)


def data_set_of(task: Call) -> tuple[str, str]:
    """Return the id of the data set that a task reads, and its configuration."""
    source = parse_or_none(str(task.args.get("data", "")))
    config = str(task.args.get("config") or task.args.get("name") or "")
    if isinstance(source, HubRepo):
        return source.name, config
    if isinstance(source, UserFolder):
        return source.name, ""
    return (config, "") if "data" not in task.args and config else (short_name(task), config)


def _published(entry: Entry, claim: Claim) -> PublishedClaim:
    dataset, config = data_set_of(entry.recipe.task)
    start = Mark(path=str(entry.path), line=1, column=1)
    return PublishedClaim(
        metric=claim.metric,
        text=_text(claim),
        mark=claim.marks.get("value", start),
        dataset=dataset,
        config=config,
        split=claim.split,
        n=claim.size,
        model=entry.name,
        source=claim.source,
    )


def _text(claim: Claim) -> str:
    """Return the value with the decimals that were published."""
    assert claim.value is not None
    is_float = claim.has_inferred_decimals or claim.decimals is None
    return claim.written.get("value", repr(claim.value)) if is_float else f"{claim.value:.{claim.decimals}f}"
