"""Find everything that entries download, and download it ahead of time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from zoo.errors import Mark, MissingError, NoFileError, UsageError, ZooError, translate_errors
from zoo.fetch.fetched import Fetched
from zoo.fetch.repository_files import CONFIG, PATH
from zoo.fetch.source_types import HubRepo, LocalFile, ParsedSource, RecipeRepo, parse_or_none, pinned_source
from zoo.fetch.sources import Sources
from zoo.models.auto_classes import ENCODER
from zoo.recipes.build import Builder
from zoo.recipes.build_task import task_without_tokenizer
from zoo.recipes.catalogue import PUBLISHED, Entry
from zoo.recipes.load_model import architecture, auto_class
from zoo.recipes.reader import Call
from zoo.recipes.schema import Recipe, Teacher
from zoo.recipes.walk import recipe_sources, walk_sources
from zoo.text_tables import counted

WORKERS = 8
CARD = "card"
"""What to fetch of a model whose claims zoo reads in its card, see `zoo.fetch.repository_files.WANTS`."""


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
    recipe_folder: Path | None = field(default=None, compare=False)
    """The folder in which the source was looked up first, for messages."""
    mark: Mark | None = field(default=None, compare=False)
    """Where the recipe names the source."""

    @property
    def parsed(self) -> ParsedSource | None:
        """The source as a typed value; None if it is malformed, which `zoo check` reports."""
        return parse_or_none(self.source)

    def download_size(self, sources: Sources) -> int:
        """Return the bytes that are to be downloaded. Raise ZooError if the size is unknown."""
        at = replace(sources, recipe_repo=self.recipe_repo, recipe_folder=self.recipe_folder)
        try:
            return at.download_size(self.source, self.want)
        except MissingError:
            if self.optional:
                return 0
            raise


@dataclass(frozen=True, kw_only=True)
class DownloadSize:
    """How much has to be downloaded: the bytes that are known, and the number of parts whose size is unknown."""

    known: int
    unknown: int

    def __str__(self) -> str:
        if self.unknown and not self.known:
            return "size unknown"
        others = f" and {counted(self.unknown, 'part')} of unknown size" if self.unknown else ""
        return f"{self.known / 1e6:,.1f} MB{others} to download"


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
    if entry.card:
        yield Need(entry.card, CARD)
    at_entry = builder.at(repo, entry.folder)
    marks = {named.text: named.mark for named in recipe_sources(entry.recipe)}
    for need in _recipe_needs(entry.recipe, at_entry, train=train):
        mark = marks.get(need.source)
        read = _as_read(need, at_entry.sources)
        yield replace(read, recipe_folder=entry.folder, mark=mark)
    for stage in entry.recipe.stages if train else ():
        for teacher in stage.all_teachers.values():
            if teacher.model is None:
                yield from needs(_teacher_entry(entry, teacher), builder, train=teacher.run is not None)


def _as_read(need: Need, sources: Sources) -> Need:
    """Return a need with the source that is read: the repository of the recipe, or the place of a local file."""
    repo, value = sources.recipe_repo, need.parsed
    if repo and isinstance(value, LocalFile) and value.repository_path:
        return replace(need, source=repo, want=f"{PATH}{value.repository_path}:{need.want}")
    if isinstance(value, RecipeRepo) or (isinstance(value, LocalFile) and not repo):
        return replace(need, source=str(sources.resolve(value)))
    return replace(need, recipe_repo=repo)


def needs_of_all(entries: Iterable[Entry], builder: Builder, *, train: bool) -> tuple[list[Need], list[ZooError]]:
    """Return everything that entries read, and the errors of those that cannot be read or lack a teacher.

    Args:
        entries: The entries. An error of one of them does not stop the others.
        builder: See `needs`.
        train: See `needs`.
    """
    by_entry = [needs_or_error(entry, builder, train=train) for entry in entries]
    return [need for found, _ in by_entry for need in found], [error for _, error in by_entry if error is not None]


def needs_or_error(entry: Entry, builder: Builder, *, train: bool) -> tuple[list[Need], ZooError | None]:
    """Return everything that an entry reads, as far as it can be read, and the error that ended the reading."""
    found: list[Need] = []
    try:
        with translate_errors(entry.name):
            for need in needs(entry, builder, train=train):
                found.append(need)  # noqa: PERF402 - those before an error count
    except ZooError as error:
        return found, error
    return found, None


def _teacher_entry(entry: Entry, teacher: Teacher) -> Entry:
    """Return the entry that a teacher is. Raises UsageError, with the position of the teacher, if there is none."""
    try:
        return entry.teacher_entry(teacher)
    except UsageError as error:
        raise error.with_mark(teacher.marks.get("run" if teacher.run else "entry")) from None


def _recipe_needs(recipe: Recipe, builder: Builder, *, train: bool) -> Iterator[Need]:
    """Yield what a recipe reads, without its teachers that are entries."""
    if recipe.weights is not None:
        yield Need(recipe.weights, "weights")
        yield from (Need(recipe.weights, claim.log, optional=True) for claim in recipe.claims if claim.log)
        yield from _encoder_needs(recipe.model, [recipe.weights])
    yield from (Need(str(rows), "weights") for rows in recipe.rows.values() if rows.is_file)
    own = recipe.model if train else _read_of(recipe.model, recipe.weights, builder.sources)
    parts: list[tuple[str, Any]] = [("weights", own)]
    for task, tokenizer in recipe.readings if train else recipe.readings[:1]:
        parts.append(("tokenizer", tokenizer))
        yield from _task_needs(task, tokenizer, builder)
    for stage in recipe.stages if train else ():
        for teacher in stage.all_teachers.values():
            if teacher.model is not None:
                parts.append(("weights", _read_of(teacher.model, teacher.weights, builder.sources)))
                yield from [Need(teacher.weights, "weights")] if teacher.weights else []
                yield from _encoder_needs(teacher.model, [teacher.weights or ""])
    for want, part in parts:
        named = [source.text for source in walk_sources(part, "model")]
        yield from (Need(source, want) for source in named)
        yield from _encoder_needs(part, named) if want == "weights" else ()


def _encoder_needs(model: Call | None, sources: Iterable[str]) -> Iterator[Need]:
    """Yield the settings of sentence-transformers beside weights, if a model reads them."""
    if model is not None and auto_class(model) == ENCODER:
        repositories = [name for name in sources if isinstance(parse_or_none(name), HubRepo | RecipeRepo)]
        yield from (Need(name, "sentence_encoder", optional=True) for name in repositories)


def declared_classes(recipe: Recipe, builder: Builder) -> tuple[str, ...]:
    """Return the names of the classes of a recipe's task; none if only its data declare them, which are not read."""
    return task_without_tokenizer(recipe.task, recipe.tokenizer, builder).class_names


def _task_needs(task: Call, tokenizer: Call | None, builder: Builder) -> Iterator[Need]:
    """Yield the data that a task reads."""
    for source, want in task_without_tokenizer(task, tokenizer, builder).sources:
        yield Need(source.name, want)


def _read_of(model: Call, weights: str | None, sources: Sources) -> Call | None:
    """Return the part of a model's call whose sources are read if it is built for these weights.

    A repository for a model of transformers is expected to have a configuration.
    """
    source = parse_or_none(weights)
    if weights is None or source is None:
        return model if weights is None else architecture(model)
    source = sources.resolve(source)
    in_folder = isinstance(source, LocalFile) and (source.expanded / CONFIG).is_file()
    is_read = auto_class(model) is not None and (isinstance(source, HubRepo) or in_folder)
    return None if is_read else architecture(model)


def give_up_downloads(sources: Sources) -> None:
    """End downloads that other threads have started, and start no others."""
    sources.hub.deadline, sources.urls.stopped = 0.0, True


def prefetch(
    wanted: Iterable[Need], sources: Sources, started: Callable[[DownloadSize], None] = lambda size: None
) -> list[tuple[Need, Fetched | ZooError]]:
    """Fetch everything, several files at once.

    Args:
        wanted: What to fetch.
        sources: Fetches.
        started: Called once with the size of what has to be downloaded.

    Returns:
        For each need the files, or the error. Optional needs that are missing are left out.
    """
    distinct = list(dict.fromkeys(wanted))
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            return _fetch_all(distinct, sources, started, pool)
        except KeyboardInterrupt:
            give_up_downloads(sources)
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_all(
    needs: list[Need], sources: Sources, started: Callable[[DownloadSize], None], pool: Executor
) -> list[tuple[Need, Fetched | ZooError]]:
    def of(recipe_repo: str | None, recipe_folder: Path | None = None) -> Sources:
        return replace(sources, recipe_repo=recipe_repo or sources.recipe_repo, recipe_folder=recipe_folder)

    def fetch(need: Need) -> Any:
        return attempt(partial(of(need.recipe_repo, need.recipe_folder).fetch, need.source, need.want))

    downloads = dict.fromkeys((pinned_source(n.parsed), n.want, n.recipe_repo) for n in needs if n.parsed)
    sizes = list(pool.map(lambda item: attempt(partial(of(item[2]).download_size, *item[:2])), downloads))
    unknown = [size for size in sizes if isinstance(size, ZooError) and not isinstance(size, MissingError)]
    started(DownloadSize(known=sum(size for size in sizes if isinstance(size, int)), unknown=len(unknown)))
    pairs: list[tuple[Need, Any]] = []
    for optional in (False, True):  # that an optional file is missing is remembered only for a commit in use
        same = [need for need in needs if need.optional == optional]
        pairs += zip(same, pool.map(fetch, same), strict=True)
    for need, result in pairs:
        if isinstance(result, NoFileError):
            result.with_mark(need.mark)
    return [(need, result) for need, result in pairs if not (need.optional and isinstance(result, MissingError))]


def prefetch_entries(
    entries: Iterable[Entry],
    builder: Builder,
    *,
    train: bool,
    started: Callable[[DownloadSize], None] = lambda size: None,
) -> dict[Entry, ZooError]:
    """Fetch everything that entries read, and return the error of each entry that lacks something.

    Args:
        entries: The entries.
        builder: Builds their tasks and fetches their files.
        train: See `needs`.
        started: See `prefetch`.
    """
    found = {entry: needs_of_all([entry], builder, train=train) for entry in entries}
    fetched = dict(prefetch((need for wanted, _ in found.values() for need in wanted), builder.sources, started))
    failed = {need: result for need, result in fetched.items() if isinstance(result, ZooError)}
    errors = {
        entry: [*unread, *(failed[need] for need in wanted if need in failed)]
        for entry, (wanted, unread) in found.items()
    }
    return {entry: all_errors[0] for entry, all_errors in errors.items() if all_errors}


def attempt(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the ZooError that it raises."""
    try:
        return call()
    except ZooError as error:
        return error
