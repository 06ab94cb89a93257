"""The shipped entries, by name, suite and glob. Recipes are read on demand, and nothing heavy is imported."""

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo import paths
from zoo.errors import Mark, RecipeError, SourceError, UsageError, ZooError, did_you_mean
from zoo.fetch.hub_owners import owned_name
from zoo.fetch.source_types import HF, HUB
from zoo.recipes.claim import Claim
from zoo.recipes.other_files import RECORD, instead_of_recipe, is_other_file
from zoo.recipes.schema import Recipe, load_recipe
from zoo.recipes.stage import Teacher
from zoo.text_tables import first_of

LOCAL = "local"
MAX_NAMED = 5
"""The most entries that a command in a message names."""
GLOB_OF_PATHS = re.compile(r"(?=.*/).*[*?\[]")
ENDINGS = (".yaml", ".yml")
PUBLISHED = "zoo.yaml"
"""The recipe's file in a repository that publishes one."""


@dataclass(frozen=True, kw_only=True)
class NotComparedClaim:
    """A claim of a published model that no recipe can check."""

    claim: Claim
    """The claim, as far as it could be read."""
    reason: str
    """The code of the reason, see `zoo.claims.mapping.reasons`."""
    why: str
    """The reason in words."""


@dataclass(frozen=True)
class Entry:
    """A recipe file with its name and suite."""

    name: str
    suite: str
    """The file's folder in `configs/`, or a generated suite (`zoo.suites.known`); `local` for any other file."""
    path: Path
    recipe_repo: str | None = None
    """The source of the repository that the recipe is published in, at its commit; `hub:.` in the recipe means it."""
    requested_repo: str | None = None
    """The same repository as the user wrote it, perhaps without the commit."""
    failure: ZooError | None = None
    """The error to raise where the recipe is used: it could not be downloaded."""
    students: tuple[str, ...] = field(default=(), compare=False)
    """If it is trained as a teacher, the entries that learn from it, directly or through other teachers."""
    card: str | None = field(default=None, compare=False)
    """The model, as a source, of whose card zoo has made the recipe; None for any other recipe. If such a recipe does
    not fit the model or the data, that is no mistake of the user, and its claims are not compared."""
    part_of_card: str = field(default="", compare=False)
    """Which of several recipes of the same model card it is, such as `mrpc`; empty if the card has only one."""
    unmapped: tuple[NotComparedClaim, ...] = field(default=(), compare=False)
    """The claims of the card that no recipe can check."""
    audit: tuple[str, ...] = field(default=(), compare=False)
    """The claims of the card that arithmetic contradicts, each with what it found."""
    is_generated: bool = False
    """Whether its recipe was made from a catalogue of others, so that it is not among the shipped ones."""
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Facts from the catalogue of a generated suite, by the names in `zoo.suites.generated.COLUMNS`."""
    not_compared: str = field(default="", compare=False)
    """Why its claims cannot be compared with anything, so that nothing is run."""

    @property
    def title(self) -> str:
        """The name for readers: that of the recipe; for a model card OWNER/NAME, and which of several recipes it is."""
        if self.card is None:
            return self.name
        model = self.card.removeprefix(HUB)
        return f"{model} ({self.part_of_card})" if self.part_of_card else model

    @property
    def is_shipped(self) -> bool:
        """Whether its recipe is in `configs/`."""
        return self.suite != LOCAL and not self.is_generated

    @property
    def folder(self) -> Path | None:
        """The folder that relative paths in a user's recipe refer to; None for a recipe that names no such paths."""
        return self.path.parent if self.suite == LOCAL and (self.recipe_repo or self.card) is None else None

    @property
    def argument(self) -> str:
        """The argument that selects the entry in a command: its name, its file, or the repository that publishes it.

        A model whose card has several recipes is the argument of each; `zoo explain --claim` names one of them.
        """
        if self.requested_repo is not None:
            return hub_argument(self.requested_repo)
        return str(self.path) if self.suite == LOCAL else self.name

    def teacher_entry(self, teacher: Teacher) -> "Entry":
        """See the function `teacher_entry`."""
        return teacher_entry(teacher, self.folder, self.recipe_repo, (*self.students, self.name))

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe, read when it is first used. Raises RecipeError, SourceError and `failure`."""
        if self.failure is not None:
            raise self.failure
        recipe = load_recipe(self.path)
        if self.suite != LOCAL and recipe.name != self.name:
            mark = Mark(path=str(self.path), line=1, column=1)
            raise RecipeError.at(mark, f"the name {recipe.name!r} is not the file's, {self.name!r}")
        return recipe

    @property
    def is_readable(self) -> bool:
        """Whether the recipe can be read."""
        try:
            return self.recipe is not None
        except ZooError:
            return False


def entries() -> list[Entry]:
    """Return all shipped entries, by suite and name."""
    files = sorted(paths.configs().glob("*/*.yaml"))
    return [Entry(file.stem, file.parent.name, file) for file in files]


def local(path: Path, recipe_repo: str | None = None, requested_repo: str | None = None) -> Entry:
    """Return the entry of a recipe file that is not shipped.

    Args:
        path: The file. Its name is the entry's until the recipe can be read, which has a name too.
        recipe_repo: See `Entry.recipe_repo`.
        requested_repo: See `Entry.requested_repo`.
    """
    entry = Entry(path.stem, LOCAL, path, recipe_repo, requested_repo)
    try:
        return Entry(entry.recipe.name, LOCAL, path, recipe_repo, requested_repo)
    except ZooError:  # raised again where the recipe is used, so that other entries are not stopped
        return entry


def select(
    patterns: list[str],
    suites: list[str] | None = None,
    everything: bool = False,
    *,
    generated: Sequence[Entry] = (),
    suite_names: Collection[str] = (),
) -> list[Entry]:
    """Return the selected entries, each once, in the order of the patterns, else of the catalogue.

    Args:
        patterns: Names of entries or suites, globs, and paths of recipe files or of folders with recipes.
        suites: Suites. Alone they select all their entries; with patterns, only entries that a pattern selects too.
        everything: Whether to select all shipped entries.
        generated: Entries of generated suites that can be selected besides the shipped ones.
        suite_names: The names of all generated suites, for messages.

    Raises:
        UsageError: A pattern or suite selects nothing; the message names the nearest.
    """
    known = entries()
    if everything:
        return known
    known += generated
    names, folders = [entry.name for entry in known], sorted({*suite_names, *(entry.suite for entry in known)})
    for suite in suites or []:
        if suite not in folders:
            raise UsageError(f"no suite {suite!r}{did_you_mean(suite, folders)}")
    of_suites = [entry for entry in known if entry.suite in (suites or [])]
    chosen: list[Entry] = [] if patterns else of_suites
    for pattern in patterns:
        _check_pattern(pattern)
        matches = [entry for entry in known if fnmatchcase(entry.name, pattern) or entry.suite == pattern]
        path = Path(pattern)
        is_path = (
            pattern.endswith(ENDINGS) or "/" in pattern or path.is_dir() or (is_other_file(path) and path.exists())
        )
        if not matches and is_path:
            matches = _local_entries(path)
        if not matches:
            raise UsageError(f"no entry {pattern!r}{_hint(pattern, names + folders)}")
        selected = [entry for entry in matches if not suites or entry in of_suites]
        if not selected:
            raise UsageError(f"{pattern!r} selects no entry of the suite {' or '.join(suites or [])}")
        chosen += selected
    return list(dict.fromkeys(chosen))


def _check_pattern(pattern: str) -> None:
    """Raise UsageError for a glob of models of the Hub, or of files that the shell did not expand."""
    if GLOB_OF_PATHS.match(pattern) and not Path(pattern).exists():
        raise UsageError(
            f"{pattern!r}: a pattern selects entries by their names, and no models of the Hub; use `zoo verify"
            " --search` or `--from` for models, and let the shell expand patterns of files"
        )


def _hint(pattern: str, names: list[str]) -> str:
    """Return a hint on what a name may mean that selects nothing."""
    found = next((f"{pattern}{ending}" for ending in ENDINGS if Path(f"{pattern}{ending}").is_file()), None)
    if found is not None:
        return f"; there is a recipe file {found} here: write {found}"
    if is_other_file(Path(pattern)):
        return "; there is no such file, and a recipe ends in .yaml"
    similar, owned = did_you_mean(pattern, names), owned_name(pattern)
    of_hub = f"; for the model of the Hub, write {owned}" if owned else ""
    return similar + of_hub or "; `zoo list` shows all entries, and a model of the Hub is OWNER/NAME"


def _local_entries(path: Path) -> list[Entry]:
    """Return the entry of a recipe file, or those of all recipes in a folder.

    For a folder without recipes, or a file that is no recipe, it is an entry that cannot be read, so that it does not
    stop other entries. Of a downloaded repository with an uploaded run, only the published recipe counts, as on the
    Hub: the other one is that of the training.
    """
    recipes = [file for file in sorted(path.iterdir()) if file.suffix in ENDINGS] if path.is_dir() else []
    if path / PUBLISHED in recipes and (path / RECORD).is_file():
        recipes = [path / PUBLISHED]
    if not recipes and (other := instead_of_recipe(path)):
        kind = SourceError if path.is_dir() else UsageError  # as for a folder without recipes and without data
        return [Entry(path.stem, LOCAL, path, failure=kind(f"{path}: {other}"))]
    return [local(recipe) for recipe in recipes or [path]]


def hub_argument(source: str) -> str:
    """Return the argument that selects a repository of the Hub: with `hf://` if it may be taken for a file."""
    name = source.removeprefix(HUB).removeprefix(HF)
    return f"{HF}{name}" if is_other_file(Path(name)) else name


def selection_of(entries: Sequence[Entry], *, everything: bool = False) -> str:
    """Return the arguments of a command that select at least these entries: by name, or many by their suites.

    Args:
        entries: The entries.
        everything: Whether they were selected with `--all`, which then replaces the names of many.
    """
    names = {hub_argument(entry.card) if entry.card else entry.argument: entry for entry in entries}
    if len(names) > MAX_NAMED:
        if everything:
            return "--all"
        names = {name if entry.suite == LOCAL else entry.suite: entry for name, entry in names.items()}
    return shlex.join(names)


def teacher_entry(teacher: Teacher, folder: Path | None, recipe_repo: str | None, students: tuple[str, ...]) -> Entry:
    """Return the entry that a teacher is: the one that its `entry` or `run` names.

    Args:
        teacher: The teacher.
        folder: See `Entry.folder`. The file of a recipe is looked up there first, then in the working directory.
        recipe_repo: See `Entry.recipe_repo`. A published recipe may name only shipped entries.
        students: The entries that learn from it, directly or through other teachers.

    Raises:
        UsageError: There is no such entry, or it is to be trained and is its own teacher's teacher.
    """
    name = str(teacher.entry or teacher.run)
    names = [entry.name for entry in entries()]
    if recipe_repo is not None and name not in names:
        hint = did_you_mean(name, names) or "; `zoo list` shows them"
        raise UsageError(f"{name!r} is not a shipped entry; a published recipe may name no other as a teacher{hint}")
    is_file = name not in names and name.endswith(ENDINGS)
    found = _recipe_file(name, folder) if is_file else select_one(name)
    if teacher.run is not None and found.name in students:
        raise UsageError(f"{' <- '.join((*students, found.name))}: an entry cannot be its own teacher's teacher")
    return replace(found, students=students) if teacher.run is not None else found


def _recipe_file(name: str, folder: Path | None) -> Entry:
    folders = dict.fromkeys([*([folder.absolute()] if folder else []), Path.cwd()])
    found = next((path for path in (place / name for place in folders) if path.is_file()), None)
    if found is None:
        raise UsageError(f"there is no recipe file {name} in {' or in '.join(map(str, folders))}")
    return local(found.resolve())


def select_one(pattern: str) -> Entry:
    """Return the one entry that a pattern selects; raises UsageError if it selects none or several."""
    return only_one(pattern, select([pattern]))


def only_one(pattern: str, matches: Sequence[Entry]) -> Entry:
    """Return the entry that a pattern selects; raises UsageError if it selects several."""
    if len(matches) != 1:
        names = first_of([entry.argument for entry in matches], MAX_NAMED)
        raise UsageError(f"{pattern!r} selects {len(matches)} entries; name one of them: {names}")
    return matches[0]
