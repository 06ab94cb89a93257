"""Find everything that entries read. Nothing is downloaded."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.error_translation import translate_errors
from zoo.errors import Mark, MissingError, UsageError, ZooError
from zoo.fetch.repository_files import CONFIG, PATH
from zoo.fetch.source_types import HubRepo, LocalFile, ParsedSource, RecipeRepo, parse_or_none
from zoo.fetch.sources import Sources
from zoo.models.auto_classes import ENCODER
from zoo.recipes.build import Builder
from zoo.recipes.build_task import task_without_tokenizer
from zoo.recipes.catalogue import PUBLISHED, Entry
from zoo.recipes.load_model import architecture, auto_class
from zoo.recipes.schema import Recipe
from zoo.recipes.stage import Teacher
from zoo.recipes.values import Call
from zoo.recipes.walk import recipe_sources, walk_sources

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
    if repo and isinstance(value, LocalFile) and value.repository_path and value.repository_path not in sources.data:
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
