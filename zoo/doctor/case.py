"""A recipe with all that is known of it without asking anybody: sources and where they stand, marks, cached files."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode

from zoo.doctor import public_data
from zoo.errors import Mark, UsageError
from zoo.fetch import urls
from zoo.fetch.hub import SCHEME, Repository
from zoo.fetch.lock import FilePin
from zoo.fetch.sources import HERE, WEIGHTS, Sources, is_source
from zoo.recipes.catalogue import Entry
from zoo.recipes.reader import Call, texts
from zoo.recipes.schema import Claim, Recipe


@dataclass(frozen=True)
class Named:
    """A source that a recipe names: for weights, a tokenizer or data, and where it stands."""

    source: str
    role: str
    mark: Mark


@dataclass(frozen=True)
class Case:
    """An entry with where its bytes come from, and the marks that its values do not carry."""

    entry: Entry
    sources: Sources

    @property
    def recipe(self) -> Recipe:
        return self.entry.recipe

    @cached_property
    def data(self) -> public_data.PublicData | None:
        return public_data.known(self.recipe.task)

    @cached_property
    def named(self) -> list[Named]:
        """Every source once for each role, as it is asked for: `hub:.` as the repository that it stands for."""
        found = {(one.source, one.role): one for one in reversed(list(sources_of(self.recipe)))}
        return [Named(self.actual(one.source), one.role, one.mark) for one in reversed(found.values())]

    def actual(self, source: str) -> str:
        return self.entry.here if source == HERE and self.entry.here else source

    @cached_property
    def claims(self) -> list[tuple[Claim, Mapping[str, Mark]]]:
        """The claims, each with the marks of its keys and its own under the key ''."""
        return list(zip(self.recipe.claims, _claim_marks(self.entry.path), strict=True))

    @cached_property
    def preamble(self) -> list[tuple[Mark, str]]:
        """The comment at the top of the file."""
        found = []
        for number, line in enumerate(self.entry.path.read_text(encoding="utf-8-sig").splitlines(), 1):
            if not line.startswith("#"):
                break
            found.append((Mark(path=str(self.entry.path), line=number, column=1), line))
        return found

    def config(self, source: str) -> Mapping[str, Any] | None:
        """The `config.json` of a repository if it is in the cache, of the commit that is pinned or was seen."""
        revision = self.sources.known(source).revision
        repo = repository(source)
        path = self.sources.hub.cached(repo, revision, "config.json") if repo and revision else None
        try:
            found = json.loads(path.read_text(encoding="utf-8")) if path else None
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def sources_of(recipe: Recipe) -> Iterator[Named]:
    """Every source that the recipe itself names; what another entry names is that entry's."""
    if recipe.weights is not None:
        yield Named(recipe.weights, "weights", recipe.marks.get("weights", recipe.task.mark))
    parts: list[tuple[str, Call | None]] = [("weights", recipe.model)]
    parts += [(role, call) for task, tokenizer in recipe.readings for role, call in (("data", task), ("", tokenizer))]
    for stage in recipe.stages:
        for teacher in stage.all_teachers.values():
            parts.append(("weights", teacher.model))
            if teacher.weights is not None:
                yield Named(teacher.weights, "weights", teacher.marks.get("weights", stage.optimizer.mark))
    for role, part in parts:
        for call in calls(part):
            for key, value in call.args.items():
                named = filter(is_source, texts(value))
                yield from (Named(one, role, call.marks.get(key, call.mark)) for one in named)


def calls(value: Any) -> Iterator[Call]:
    """Every call in a value."""
    if isinstance(value, Call):
        yield value
        yield from calls(value.args)
    elif is_dataclass(value):
        for f in fields(value):
            yield from calls(getattr(value, f.name) if f.compare else None)
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from calls(item)


def _claim_marks(path: Path) -> Iterator[dict[str, Mark]]:
    """Where the keys of each claim stand, and under '' each claim: PyYAML's graph has what the values do not carry."""

    def mark(node: Any) -> Mark:
        return Mark(path=str(path), line=node.start_mark.line + 1, column=node.start_mark.column + 1)

    root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    assert isinstance(root, MappingNode)
    for claims in (item for key, item in root.value if key.value == "claims"):
        for claim in claims.value:
            yield {"": mark(claim), **{key.value: mark(key) for key, _ in claim.value}}


def repository(source: str) -> Repository | None:
    """The repository that a source names; None for any other source, and for a name that `zoo check` refuses."""
    if not source.startswith(SCHEME) or source == HERE:
        return None
    try:
        return Repository.parse(source)
    except UsageError:
        return None


def weights_pin(sources: Sources, source: str) -> FilePin:
    """What the lock itself knows of the file of weights."""
    files = sources.lock.locked(urls.address(source)).files
    if source.startswith(urls.SCHEMES):
        return files.get(urls.file_name(source), FilePin())
    pins = [pin for name, pin in files.items() if name in WEIGHTS or name.endswith(".safetensors")]
    return next((pin for pin in pins if pin.sha256), pins[0] if pins else FilePin())


def file_names(sources: Sources, source: str) -> list[str]:
    """The names of the files of weights that would be read, as far as they are known without asking."""
    if source.startswith(SCHEME):
        if repository(source) is None:
            return []
        files = sources.known(source).files
        return [] if any(name.endswith(".safetensors") for name in files) else [n for n in files if n in WEIGHTS]
    return [source.removeprefix("file:").rpartition("/")[2]] if source.startswith(("file:", *urls.SCHEMES)) else []
