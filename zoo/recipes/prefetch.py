"""Find everything that entries download, and download it ahead of time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from zoo.errors import MissingError, ZooError
from zoo.fetch.fetched import Fetched
from zoo.fetch.source_types import HubRepo, LocalFile, ParsedSource, RecipeRepo, parse_or_none, pinned_source
from zoo.fetch.sources import Sources
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import Entry
from zoo.recipes.load_model import architecture
from zoo.recipes.reader import Call
from zoo.recipes.schema import Recipe
from zoo.recipes.walk import walk_sources
from zoo.tasks.base import Task

WORKERS = 8
PUBLISHED = "zoo.yaml"
"""The recipe's file in a repository that publishes one."""


@dataclass(frozen=True)
class Need:
    """A source, and what it is read for."""

    source: str
    want: str
    """See `zoo.fetch.sources.Sources.fetch`."""
    optional: bool = False
    """Whether it may be missing in the repository."""
    recipe_repo: str | None = None
    """The repository that the recipe is published in; see `zoo.fetch.sources.Sources.recipe_repo`."""

    @property
    def parsed(self) -> ParsedSource | None:
        """The source as a typed value; None if it is malformed, which `zoo check` reports."""
        return parse_or_none(self.source)


def needs(entry: Entry, builder: Builder, *, train: bool) -> Iterator[Need]:
    """Yield everything that an entry reads. Nothing is downloaded.

    Args:
        entry: The entry.
        builder: Builds the tasks, which know what data they read.
        train: Whether to include what a training reads, besides what an evaluation of the published weights does.
    """
    repo = entry.recipe_repo
    if repo:
        yield Need(repo, PUBLISHED)
    at_entry = builder.at(repo, entry.folder)
    for need in _recipe_needs(entry.recipe, at_entry, train=train):
        is_read_elsewhere = need.parsed == RecipeRepo() if repo else isinstance(need.parsed, LocalFile)
        source = str(at_entry.sources.resolve(need.source)) if is_read_elsewhere else need.source
        yield replace(need, source=source, recipe_repo=None if repo and is_read_elsewhere else repo)


def _recipe_needs(recipe: Recipe, builder: Builder, *, train: bool) -> Iterator[Need]:
    if recipe.weights is not None:
        yield Need(recipe.weights, "weights")
        yield from (Need(recipe.weights, claim.log, optional=True) for claim in recipe.claims if claim.log)
    parts: list[tuple[str, Any]] = [("weights", recipe.model if train else _read_of(recipe.model, recipe.weights))]
    for task, tokenizer in recipe.readings if train else recipe.readings[:1]:
        parts.append(("tokenizer", tokenizer))
        yield from _task_needs(task, tokenizer, builder)
    for stage in recipe.stages if train else ():
        for teacher in stage.all_teachers.values():
            if teacher.model is None:
                other = catalogue.select_teacher(str(teacher.entry or teacher.run), builder.sources.recipe_repo).recipe
                yield from _recipe_needs(other, builder, train=teacher.run is not None)
            else:
                parts.append(("weights", _read_of(teacher.model, teacher.weights)))
                yield from [Need(teacher.weights, "weights")] if teacher.weights else []
    for want, part in parts:
        yield from (Need(named.text, want) for named in walk_sources(part, "model"))


def _task_needs(task: Call, tokenizer: Call | None, builder: Builder) -> Iterator[Need]:
    """Yield the data that a task reads. It is built without its tokenizer, which may have to be downloaded."""
    without_tokenizer = {} if tokenizer is None else {"tokenizer": None}
    for source, want in builder.instance(task, "task", Task, **without_tokenizer).sources:
        yield Need(source.name, want)


def _read_of(model: Call, weights: str | None) -> Call | None:
    """Return the part of a model's call whose sources are read if it is built for these weights."""
    if weights is None:
        return model
    has_configuration = isinstance(parse_or_none(weights), HubRepo | RecipeRepo)
    return None if has_configuration else architecture(model)


def prefetch(
    wanted: Iterable[Need], sources: Sources, started: Callable[[int], None] = lambda size: None
) -> list[tuple[Need, Fetched | ZooError]]:
    """Fetch everything, several files at once.

    Args:
        wanted: What to fetch.
        sources: Fetches.
        started: Called once with the number of bytes that have to be downloaded.

    Returns:
        For each need the files, or the error. Optional needs that are missing are left out.
    """
    distinct = list(dict.fromkeys(wanted))
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            return _fetch_all(distinct, sources, started, pool)
        except KeyboardInterrupt:  # give up running downloads, and start no others
            sources.hub.deadline, sources.urls.stopped = 0.0, True
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_all(
    needs: list[Need], sources: Sources, started: Callable[[int], None], pool: Executor
) -> list[tuple[Need, Fetched | ZooError]]:
    def of(recipe_repo: str | None) -> Sources:
        return replace(sources, recipe_repo=recipe_repo) if recipe_repo else sources

    downloads = dict.fromkeys((pinned_source(n.parsed), n.want, n.recipe_repo) for n in needs if n.parsed)
    sizes = list(pool.map(lambda item: attempt(partial(of(item[2]).download_size, *item[:2])), downloads))
    started(sum(size for size in sizes if isinstance(size, int)))
    pairs: list[tuple[Need, Any]] = []
    for optional in (False, True):  # that an optional file is missing is remembered only for a commit in use
        same = [need for need in needs if need.optional == optional]
        results = pool.map(lambda need: attempt(partial(of(need.recipe_repo).fetch, need.source, need.want)), same)
        pairs += zip(same, results, strict=True)
    return [(need, result) for need, result in pairs if not (need.optional and isinstance(result, MissingError))]


def attempt(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the ZooError that it raises."""
    try:
        return call()
    except ZooError as error:
        return error
