"""The shipped entries, by name, suite and glob. Imports nothing heavy; a recipe is read when it is asked for."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from zoo import paths
from zoo.errors import Mark, RecipeError, UsageError, ZooError, did_you_mean
from zoo.recipes.schema import Recipe, load_recipe

LOCAL = "local"


@dataclass(frozen=True)
class Entry:
    """One recipe file. `suite` is its folder in `configs/`, or `local` for a file of the user's."""

    name: str
    suite: str
    path: Path
    here: str | None = None
    """The source of the repository that it is published in, at its commit; the recipe calls it `hub:.`."""
    named: str | None = None
    """That source as the user named it."""

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe, read at first use; raises RecipeError."""
        recipe = load_recipe(self.path)
        if self.suite != LOCAL and recipe.name != self.name:
            mark = Mark(path=str(self.path), line=1, column=1)
            raise RecipeError.at(mark, f"the name {recipe.name!r} is not the file's, {self.name!r}")
        return recipe

    @property
    def is_readable(self) -> bool:
        """Whether its recipe can be read."""
        try:
            return self.recipe is not None
        except ZooError:
            return False


def entries() -> list[Entry]:
    """All shipped entries, by suite and name."""
    files = sorted(paths.configs().glob("*/*.yaml"))
    return [Entry(file.stem, file.parent.name, file) for file in files]


def local(path: Path, here: str | None = None, named: str | None = None) -> Entry:
    """A user's own or a published recipe, named as the recipe says, or as the file while it cannot be read."""
    entry = Entry(path.stem, LOCAL, path, here, named)
    try:
        return Entry(entry.recipe.name, LOCAL, path, here, named)
    except RecipeError:
        return entry


def select(patterns: list[str], suites: list[str] | None = None, everything: bool = False) -> list[Entry]:
    """The entries that names, suites, globs or paths of recipes select, each once, in the catalogue's order.

    Raises UsageError for one that selects nothing, naming the nearest.
    """
    known = entries()
    if everything:
        return known
    names, folders = [entry.name for entry in known], sorted({entry.suite for entry in known})
    chosen: list[Entry] = []
    for suite in suites or []:
        if suite not in folders:
            raise UsageError(f"no suite {suite!r}{did_you_mean(suite, folders)}")
        chosen += [entry for entry in known if entry.suite == suite]
    for pattern in patterns:
        found = [entry for entry in known if fnmatchcase(entry.name, pattern) or entry.suite == pattern]
        if not found and (pattern.endswith((".yaml", ".yml")) or "/" in pattern):
            found = [local(Path(pattern))]
        if not found:
            raise UsageError(f"no entry {pattern!r}{did_you_mean(pattern, names + folders)}")
        chosen += found
    return list(dict.fromkeys(chosen))


def one(pattern: str) -> Entry:
    """The one entry that is selected; raises UsageError where there are none or several."""
    found = select([pattern])
    if len(found) != 1:
        raise UsageError(f"{pattern!r} selects {len(found)} entries; name one")
    return found[0]
