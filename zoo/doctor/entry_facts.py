"""Collect facts about an entry without a request: its sources, positions in its file, and cached files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zoo.errors import Mark
from zoo.fetch.lock import FilePin
from zoo.fetch.repository_files import WEIGHTS
from zoo.fetch.source_types import (
    ArchiveMember,
    HubRepo,
    LocalFile,
    ParsedSource,
    RecipeRepo,
    Url,
    parse_or_none,
    parse_source,
)
from zoo.fetch.sources import Sources
from zoo.recipes import public_data
from zoo.recipes.catalogue import Entry
from zoo.recipes.claim import Claim
from zoo.recipes.schema import Recipe
from zoo.recipes.walk import recipe_sources

ROLES = {"weights": "weights", "model": "weights", "task": "data", "tokenizer": "tokenizer"}


@dataclass(frozen=True)
class UsedSource:
    """A source that an entry uses for `weights`, a `tokenizer`, `data` or something else."""

    source: ParsedSource
    role: str
    mark: Mark


@dataclass(frozen=True)
class EntryFacts:
    """An entry with the sources that it uses, and facts about them."""

    entry: Entry
    sources: Sources

    @property
    def recipe(self) -> Recipe:
        """The entry's recipe."""
        return self.entry.recipe

    @cached_property
    def data(self) -> public_data.PublicData | None:
        """The public facts about the data set of the task; None if there are none."""
        return public_data.find_public_data(self.recipe.task)

    @cached_property
    def used_sources(self) -> list[UsedSource]:
        """Every well-formed source, once for each role; `hub:.` is replaced by the repository that it stands for."""
        used: dict[tuple[ParsedSource, str], UsedSource] = {}
        for named in recipe_sources(self.recipe):
            source, role = self._resolve(named.text), ROLES.get(named.field, "")
            if source is not None:
                used.setdefault((source, role), UsedSource(source, role, named.mark))
        return list(used.values())

    @property
    def weights(self) -> ParsedSource | None:
        """The source of the published weights, if it is well-formed."""
        return self._resolve(self.recipe.weights)

    def _resolve(self, text: str | None) -> ParsedSource | None:
        source = parse_or_none(text)
        return (
            parse_source(self.entry.recipe_repo)
            if isinstance(source, RecipeRepo) and self.entry.recipe_repo
            else source
        )

    @property
    def claims(self) -> list[tuple[Claim, Mapping[str, Mark]]]:
        """The claims, each with the positions of its keys."""
        return [(claim, claim.marks) for claim in self.recipe.claims]

    @cached_property
    def header(self) -> list[tuple[Mark, str]]:
        """The lines of the comment at the top of the file."""
        lines = []
        for number, line in enumerate(self.entry.path.read_text(encoding="utf-8-sig").splitlines(), 1):
            if not line.startswith("#"):
                break
            lines.append((Mark(path=str(self.entry.path), line=number, column=1), line))
        return lines

    def config(self, repo: HubRepo) -> Mapping[str, Any] | None:
        """Return the `config.json` of a repository at the pinned commit, if it is in the cache and readable."""
        revision = self.sources.known_pin(repo).revision
        path = self.sources.hub.cached(repo, revision, "config.json") if revision else None
        try:
            content = json.loads(path.read_text(encoding="utf-8")) if path else None
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def weights_pin(self, source: HubRepo | Url | ArchiveMember) -> FilePin:
        """Return the pin that the lock has for the weights file, or for the archive that holds it."""
        files = self.sources.pins.locked(source).files
        if not isinstance(source, HubRepo):
            file = source.archive if isinstance(source, ArchiveMember) else source
            return files.get(file.short_name, FilePin())
        pins = [pin for name, pin in files.items() if name in WEIGHTS or name.endswith(".safetensors")]
        return next((pin for pin in pins if pin.sha256), pins[0] if pins else FilePin())

    def weights_names(self, source: ParsedSource) -> list[str]:
        """Return the known names of the weights files that would be read."""
        if isinstance(source, LocalFile | Url | ArchiveMember):
            return [source.short_name]
        if not isinstance(source, HubRepo):
            return []
        files = self.sources.known_pin(source).files
        has_safetensors = any(name.endswith(".safetensors") for name in files)
        return [] if has_safetensors else [name for name in files if name in WEIGHTS]
