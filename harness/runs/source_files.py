"""The files that a run reads: as inputs of the run cache, and as revisions that its record names."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.training.teacher import TeacherWeights
from zoo import paths
from zoo.fetch.source_types import parse_or_none
from zoo.fetch.sources import Sources
from zoo.recipes.catalogue import Entry
from zoo.recipes.schema import Recipe
from zoo.recipes.walk import recipe_sources, walk_sources


def recipe_inputs(entry: Entry, sources: Sources) -> Iterator[Path]:
    """Yield the files that were read and decide what a recipe computes.

    These are the recipe, the lock and the trusted revisions, and the files of all sources that the recipe names. The
    files of its teachers are not included.
    """
    yield from (entry.path, paths.lock(), sources.lock.path, paths.trusted())
    yield from [sources.cache.trusted] if sources.cache else ()
    named = {source.text for source in recipe_sources(entry.recipe)}
    named |= {str(sources.resolve(name)) for name in named if parse_or_none(name) is not None}
    fetched = list(sources.fetched.values())  # a copy: another thread may fetch the next entry's
    yield from (path for file in fetched if file.source in named for path in file.paths)
    yield from filter(None, (sources.folder(name) for name in named))


def base_folders(recipe: Recipe, sources: Sources) -> dict[str, Path]:
    """Return the folders of the repositories that a recipe's model starts from, by source, as far as they were read."""
    found: dict[str, Path] = {}
    for named in walk_sources(recipe.model, "model"):
        fetched = sources.fetched.get((sources.resolve(named.text), "weights"))
        if fetched is not None and fetched.path.is_dir():
            found[named.text] = fetched.path
    return found


def revisions(recipe: Recipe, sources: Sources, teachers: Iterable[TeacherWeights]) -> dict[str, dict[str, str]]:
    """Return the commits of the repositories that were read for a recipe, and whether the lock pins them."""
    named: set[str | None] = {source.text for source in recipe_sources(recipe)}
    named |= {teacher.weights.source for teacher in teachers if teacher.weights}
    named |= {sources.recipe_repo} if sources.recipe_repo else set()
    read = [file for file in list(sources.fetched.values()) if file.revision and file.source in named]
    return {
        file.source: {"revision": str(file.revision), "pinned": "lock" if file.locked else "first use"} for file in read
    }
