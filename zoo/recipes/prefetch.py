"""What entries read from elsewhere: all of it at once, ahead of time; and the lock that says which bytes it is."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, MissingError, UsageError, ZooError
from zoo.fetch import urls
from zoo.fetch.hub import SCHEME
from zoo.fetch.lock import Pin, Pins, read_lock
from zoo.fetch.sources import HERE, Fetched, Sources
from zoo.fetch.urls import Urls
from zoo.recipes import catalogue
from zoo.recipes.build import Builder, named_sources
from zoo.recipes.catalogue import Entry
from zoo.recipes.load_model import architecture
from zoo.recipes.reader import Call
from zoo.recipes.schema import Recipe

WORKERS = 8
ELSEWHERE = (SCHEME, *urls.SCHEMES)
"""What is downloaded."""
PUBLISHED = "zoo.yaml"
"""The file in a repository that is a recipe."""
HUGGING_FACE = "https://huggingface.co"


@dataclass(frozen=True)
class Need:
    """A source, and for what it is read."""

    source: str
    want: str
    optional: bool = False
    """Whether nothing fails where the repository does not have it."""


def needs(entry: Entry, builder: Builder, *, train: bool) -> Iterator[Need]:
    """All that an evaluation of the published weights reads from elsewhere, and with `train` all that a training does.

    The tokenizer is not built for it, so nothing is downloaded.
    """
    if entry.here:
        yield Need(entry.here, PUBLISHED)
    for need in _needs(entry.recipe, builder.at(entry.here), train=train):
        yield replace(need, source=entry.here) if need.source == HERE and entry.here else need


def _needs(recipe: Recipe, builder: Builder, *, train: bool) -> Iterator[Need]:
    if recipe.weights is not None:
        yield Need(recipe.weights, "weights")
        yield from (Need(recipe.weights, claim.log, optional=True) for claim in recipe.claims if claim.log)
    parts: list[tuple[str, Any]] = [("weights", recipe.model if train else _read_of(recipe.model, recipe.weights))]
    for task, tokenizer in recipe.readings if train else recipe.readings[:1]:
        parts.append(("tokenizer", tokenizer))
        given = {} if tokenizer is None else {"tokenizer": None}
        yield from (Need(source.name, want) for source, want in builder.build(task, "task", **given).sources)
    for stage in recipe.stages if train else ():
        for teacher in stage.all_teachers.values():
            if teacher.model is None:
                other = catalogue.one(str(teacher.entry or teacher.run)).recipe
                yield from _needs(other, builder, train=teacher.run is not None)
            else:
                parts.append(("weights", _read_of(teacher.model, teacher.weights)))
                yield from [Need(teacher.weights, "weights")] if teacher.weights else []
    for want, part in parts:
        yield from (Need(source, want) for _, source, _ in named_sources(part, "model"))


def _read_of(model: Call, weights: str | None) -> Call | None:
    """What of a model's own call is read where it is built for these weights; a repository's have their own."""
    if weights is None:
        return model
    return None if weights.startswith(SCHEME) else architecture(model)


def prefetch(
    wanted: Iterable[Need], sources: Sources, started: Callable[[int], None] = lambda size: None
) -> list[tuple[Need, Fetched | ZooError]]:
    """Fetch everything, several at once; `started` is told the size of what is not there yet, in bytes."""
    distinct = list(dict.fromkeys(wanted))
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            return _fetched(distinct, sources, started, pool)
        except KeyboardInterrupt:  # what is asked for now is given up, and the rest not begun
            sources.hub.deadline, sources.urls.stopped = 0.0, True
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetched(
    needs: list[Need], sources: Sources, started: Callable[[int], None], pool: Executor
) -> list[tuple[Need, Fetched | ZooError]]:
    asked = dict.fromkeys((urls.address(need.source), need.want) for need in needs)
    sizes = list(pool.map(lambda one: _tried(partial(sources.missing, *one)), asked))
    started(sum(size for size in sizes if isinstance(size, int)))
    pairs: list[tuple[Need, Any]] = []
    for optional in (False, True):  # a repository that has none of it is in use by then, so that is remembered
        these = [need for need in needs if need.optional == optional]
        got = pool.map(lambda need: _tried(partial(sources.fetch, need.source, need.want)), these)
        pairs += zip(these, got, strict=True)
    return [(need, one) for need, one in pairs if not (need.optional and isinstance(one, MissingError))]


def _tried(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ZooError as error:
        return error


def unlocked(entries: Iterable[Entry], builder: Builder) -> list[str]:
    """What is wrong between the lock and the recipes, a line each: a source that it lacks, or that nobody names.

    Asks nobody. What is not publicly known (a revision, a digest) may be missing of a source that is there.
    """
    lock = builder.sources.lock
    named = {need.source for entry in entries for need in needs(entry, builder, train=True)}
    problems = []
    for source in sorted(named):
        if said := builder.sources.problem(source):
            problems.append(said)
        elif source.startswith("embedded:"):
            said = _tried(partial(builder.sources.fetch, source))
            problems += [str(said)] if isinstance(said, ZooError) else []
        elif source.startswith(ELSEWHERE) and urls.address(source) not in {**lock.others, **lock.pins}:
            said = f"{lock.path}: {urls.address(source)} is named by a recipe and not in the lock"
            problems += [] if said in problems else [said]
    read = set(map(urls.address, named))
    unnamed = [source for source in lock.pins if source.startswith(ELSEWHERE) and source not in read]
    return problems + [f"{lock.path}: {source} is in the lock and named by no recipe" for source in sorted(unnamed)]


def relock(entries: Iterable[Entry], builder: Builder) -> tuple[Pins, Pins]:
    """The pins of a lock as they are, and as they are now at the Hub: every file that the entries read is downloaded.

    What is known of a commit, or of no particular one, stays known. Raises UsageError where another Hub's bytes would
    enter the project's own lock, IntegrityError where a file is not the one whose digest is known, and any other first
    error met; nothing is written.
    """
    lock, hub = builder.sources.lock, builder.sources.hub
    if lock.path.resolve() == read_lock().path.resolve() and hub.endpoint != HUGGING_FACE:
        raise UsageError(f"{lock.path} is for {HUGGING_FACE}, not for {hub.shown}: --lock FILE writes another")
    with tempfile.TemporaryDirectory() as folder:
        blank = replace(lock, pins={**lock.pins, **_without_commits(lock.pins)}, own=Path(folder) / "trusted.json")
        fresh = replace(builder, sources=Sources(lock=blank, hub=hub, urls=Urls(folder=Path(folder)), data={}))
        wanted = {n for entry in entries for n in needs(entry, fresh, train=True) if n.source.startswith(ELSEWHERE)}
        for _, got in prefetch(sorted(wanted, key=lambda need: (need.source, need.want)), fresh.sources):
            if isinstance(got, ZooError):
                raise got
        names = {entry.here: entry.named for entry in entries}
        found = {names.get(source) or source: pin for source, pin in blank.all_trusted().items()}
    for source, pin in found.items():
        known = lock.locked(source)
        for name, file in pin.files.items() if pin.revision == known.revision else ():
            if name in known.files and (fault := known.files[name].refuses(str(file.sha256), file.size or 0)):
                raise IntegrityError(f"{source}: {name}: expected {fault}, found sha256 {file.sha256}")
    return lock.pins, {**lock.pins, **{source: pin.over(lock.locked(source)) for source, pin in found.items()}}


def _without_commits(pins: Pins) -> Pins:
    """What is pinned of the Hub's repositories without their commits: digests known of no particular one."""
    hub = {source: pin for source, pin in pins.items() if source.startswith(SCHEME)}
    return {source: pin if pin.revision is None else Pin() for source, pin in hub.items()}
