"""Read the claims of whatever a user names: an entry, a suite, a recipe, a model of the Hub, a card or a table."""

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.claims.claim_table import ENDINGS, read_claim_table
from zoo.claims.hub_card import claims_of_card_file, claims_of_model
from zoo.claims.published import PublishedClaim, PublishedClaims
from zoo.claims.recipe_claims import claims_of_entry
from zoo.errors import NoFileError, UsageError, ZooError
from zoo.fetch.lock import Pin
from zoo.fetch.source_types import HF, HUB, HUB_NAME, HubRepo
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.suite_entries import filtered

if TYPE_CHECKING:
    from zoo.fetch.sources import Sources

CARD_ENDING = ".md"
Select = Callable[[list[str], list[str], bool], list[Entry]]
"""Returns the entries that patterns, suites, or the wish for all shipped ones select."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target that a user named, with its claims or the error of reading it."""

    name: str
    published: PublishedClaims | None = None
    error: ZooError | None = None
    is_named: bool = True
    """Whether the user named it, and not only a suite that has it."""


def read_targets(
    targets: Sequence[str],
    suites: Sequence[str],
    everything: bool,
    fetcher: "Callable[..., Sources]",
    *,
    select: Select = catalogue.select,
    where: str | None = None,
) -> Iterator[Target]:
    """Yield each target with its claims. One that cannot be read does not stop the others.

    Args:
        targets: Entries, suites, globs, recipe files, `OWNER/NAME[@REVISION]` or `hf://OWNER/NAME`, cards (`.md`) and
            tables (`.csv`, `.tsv`). A table has a target for each of its models.
        suites: Suites.
        everything: Whether to read all shipped entries.
        fetcher: Returns the object that fetches files; it is called only for models of the Hub.
        select: Returns the entries that patterns and suites select.
        where: Only entries that this expression selects. It cannot select models of the Hub, cards and tables.

    Raises:
        UsageError: No target and no suite is named, or a name selects nothing.
    """
    if not (targets or suites or everything):
        raise UsageError(
            "nothing to do: name entries, recipes, OWNER/NAME of models, README.md files or tables, or pass --suite"
            " NAME or --all"
        )
    files = [target for target in targets if target.lower().endswith((CARD_ENDING, *ENDINGS))]
    models = [target for target in targets if target not in files and _is_model(target)]
    patterns = [target for target in targets if target not in files and target not in models]
    if where is not None and (others := [*files, *models]):
        raise UsageError(f"--where selects entries; {others[0]} is none, so audit it by a command of its own")
    if patterns or suites or everything:
        for entry in filtered(select(patterns, list(suites), everything), where):
            is_named = entry.name in patterns or entry.suite == catalogue.LOCAL
            yield _read(entry.name, partial(claims_of_entry, entry), is_named)
    for file in files:
        yield from _of_file(file)
    for model in models:
        yield _read(model, partial(_of_model, model, fetcher))


def _read(name: str, read: Callable[[], PublishedClaims], is_named: bool = True) -> Target:
    try:
        return Target(name=name, published=read(), is_named=is_named)
    except ZooError as error:
        return Target(name=name, error=error, is_named=is_named)


def _of_file(file: str) -> Iterator[Target]:
    path = Path(file)
    if not path.is_file():
        yield Target(name=file, error=NoFileError(file, "no such file"))
    elif path.suffix.lower() in ENDINGS:
        yield from _by_model(_read(file, partial(read_claim_table, path)))
    else:
        yield _read(file, partial(claims_of_card_file, path))


def _by_model(target: Target) -> Iterator[Target]:
    """Yield a target for each model of a table; the first one has the problems of the table."""
    if target.published is None or len({claim.model for claim in target.published.claims}) < 2:
        yield target
        return
    models: dict[str, list[PublishedClaim]] = defaultdict(list)
    for claim in target.published.claims:
        models[claim.model].append(claim)
    for number, (model, claims) in enumerate(models.items()):
        problems = target.published.problems if number == 0 else ()
        published = replace(target.published, name=model or target.name, claims=tuple(claims), problems=problems)
        yield Target(name=published.name, published=published)


def _of_model(name: str, fetcher: "Callable[..., Sources]") -> PublishedClaims:
    """Return the claims at the named, the pinned or the newest commit; a name is pinned only if there are claims."""
    plain = name.removeprefix(HF)
    repository, sources = HubRepo.parse(f"{HUB}{plain}"), fetcher(selection=shlex.quote(plain))
    pin = sources.known_pin(repository)
    commit = repository.commit or pin.revision or sources.hub.commit(repository)
    published = claims_of_model(replace(repository, revision=commit), sources)
    if published.claims and repository.commit is None:
        sources.pins.remember(repository, pin, Pin(revision=commit))
    return published


def _is_model(target: str) -> bool:
    return target.startswith(HF) or (HUB_NAME.fullmatch(target) is not None and not Path(target).exists())
