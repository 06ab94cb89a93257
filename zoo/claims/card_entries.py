"""Published models as entries: the recipes that zoo makes of their claims, and the claims that cannot be compared."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from zoo.claims.claim_names import NO_TEXT, split_name
from zoo.claims.data_sets import find_data_set
from zoo.claims.hub_card import claims_of_model
from zoo.claims.mapping.map_claims import ClaimGroup, MappedClaims, UnmappedClaim, map_claims
from zoo.claims.mapping.reasons import Reason, UnmappedError
from zoo.claims.mapping.recipe_text import part_of_card, recipe_name, recipe_text
from zoo.claims.mapping.scores import read_score
from zoo.claims.published import PublishedClaim, PublishedClaims
from zoo.claims.stored_recipes import card_name, store_recipe
from zoo.errors import GatedError, MissingError
from zoo.fetch.lock import Pin
from zoo.fetch.source_types import HubRepo
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry, NotComparedClaim
from zoo.recipes.claim import Claim
from zoo.safe_text import one_line

MAX_TEXT = 80
"""Characters of a name of the card in a table."""


AuditClaims = Callable[[PublishedClaims], tuple[str, ...]]
"""Returns a line for each claim that arithmetic contradicts."""


def entries_of_model(
    repository: HubRepo, sources: Sources, requested: HubRepo, audit_claims: AuditClaims
) -> list[Entry]:
    """Return the entries of a published model that has no recipe: one for each recipe that zoo makes of its claims.

    All files are read at one commit: the one that the user names, the pinned one, or else the newest, which is then
    pinned if zoo can check a claim. Claims that cannot be compared, and the audit, belong to the first entry. If no
    claim can be compared, the only entry raises the reason where its recipe is used.

    Args:
        repository: The repository, perhaps at a commit.
        sources: Fetches cards and settings. No weights are downloaded.
        requested: The repository as the user wrote it.
        audit_claims: Checks the claims by arithmetic.

    Raises:
        SourceError: The repository cannot be read, or a recipe cannot be written.
    """
    pin = sources.known_pin(repository)
    commit = repository.commit or pin.revision or sources.hub.commit(repository)
    name, card = card_name(repository.name), str(requested)
    common = Entry(name, catalogue.LOCAL, Path(repository.name), requested_repo=card, card=card)
    try:
        published = claims_of_model(replace(repository, revision=commit), sources)
        mapped = map_claims(published, sources)
    except GatedError:
        return [replace(common, failure=UnmappedError(Reason.GATED, repository.name))]
    except MissingError:
        return [replace(common, failure=UnmappedError(Reason.NO_CLAIMS))]
    unmapped, audit = tuple(_not_compared(each, mapped) for each in mapped.unmapped), audit_claims(published)
    if not mapped.groups:
        return [replace(common, failure=mapped.failure or _failure_of_all(mapped), unmapped=unmapped, audit=audit)]
    if repository.commit is None:
        sources.pins.remember(repository, pin, Pin(revision=commit, wants={catalogue.PUBLISHED: ()}))
    entries = [
        replace(
            common, name=recipe_name(group, mapped), path=_write(group, mapped),
            part_of_card=part_of_card(group, mapped),
        )
        for group in mapped.groups
    ]  # fmt: skip
    entries[0] = replace(entries[0], unmapped=unmapped, audit=audit)
    return entries


def _write(group: ClaimGroup, mapped: MappedClaims) -> Path:
    text = recipe_text(group, mapped, alone=len(mapped.groups) == 1)
    return store_recipe(text, mapped.repo, mapped.published.revision)


def _failure_of_all(mapped: MappedClaims) -> UnmappedError:
    """Return the reason why no claim of a model can be compared, where there is none that can."""
    errors = [each.error for each in mapped.unmapped]
    texts = dict.fromkeys(map(str, errors))
    more = f"; and {len(texts) - 1} more reasons" if len(texts) > 1 else ""
    return UnmappedError(errors[0].reason, f"{errors[0].detail}{more}".lstrip("; "))


def _not_compared(each: UnmappedClaim, mapped: MappedClaims) -> NotComparedClaim:
    """Return a claim that cannot be compared in the form of a recipe's claim, with what is known of it."""
    claim, mark = each.claim, each.claim.mark
    is_score = each.error.reason is not Reason.NO_SCORE
    value, decimals = _score(claim) if is_score else (None, None)
    return NotComparedClaim(
        claim=Claim(
            of="weights",
            split=_short(_split(claim)),
            metric=_short(_metric(claim)),
            value=value,
            decimals=decimals,
            n=claim.n or None,
            gates=is_score or not mapped.groups,
            source=_short(f"{mapped.repo.name}, {mark.path.rpartition('/')[2]}, line {mark.line}"),
        ),
        reason=each.error.reason.code,
        why=str(each.error),
    )


def _split(claim: PublishedClaim) -> str:
    """Return the split with its data set, as zoo names the claims that it can check."""
    known = find_data_set(claim)
    data, config = (known.id, known.config) if known else (claim.dataset or claim.dataset_name, claim.config)
    return split_name(data, config, claim.split)


def _metric(claim: PublishedClaim) -> str:
    is_said = not claim.average or claim.average.lower() in claim.metric.lower()
    return claim.metric if is_said else f"{claim.metric} ({claim.average})"


def _score(claim: PublishedClaim) -> tuple[float | None, int | None]:
    """Return the value of a claim as a fraction and its decimals, or None for what is no score."""
    try:
        score = read_score(claim)
    except UnmappedError:
        return None, None
    return (float(score.value) if score.value >= 0 else None), score.decimals


def _short(text: str) -> str:
    line = one_line(text)
    return f"{line[:MAX_TEXT]}..." if len(line) > MAX_TEXT else line or NO_TEXT
