"""Check a first recipe before it is written, and the file that it is for."""

import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

from zoo.errors import RecipeError, UsageError
from zoo.first_recipe.write import BERT, FirstRecipe, vocabulary_of
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import LOCAL, Entry
from zoo.recipes.check import check_entry
from zoo.recipes.schema import NAME


def checked(recipe: FirstRecipe, model: str, builder: Builder) -> FirstRecipe:
    """Return a recipe that passes `zoo check`.

    Args:
        recipe: The recipe, which is not written yet.
        model: The model that the user has named, for the message: all else in the recipe is known to fit.
        builder: The builder for the folder that the recipe is for.

    Raises:
        UsageError: With the problems, but without their lines in a file that nobody can see.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(recipe.text, encoding="utf-8")
        try:
            check_entry(Entry(path.stem, LOCAL, path), builder)
        except RecipeError as error:
            problems = dict.fromkeys(problem.message for problem in error.problems)
            raise UsageError(f"--model {model}: {'; '.join(problems)}") from None
    return recipe


def check_out(out: Path, model: str | None) -> None:
    """Raise UsageError if a recipe cannot be written to a file.

    Args:
        out: The file. Its name becomes that of the entry.
        model: The model that the user has named; None to ask for it.
    """
    if out.exists():
        raise UsageError(f"--out {out}: the file exists; name a new one with --out")
    if out.suffix not in (".yaml", ".yml"):
        raise UsageError(f"--out {out}: the name of a recipe ends with .yaml; write --out {shlex.quote(f'{out}.yaml')}")
    if not NAME.fullmatch(out.stem):
        raise UsageError(
            f"--out {out}: {out.stem!r} would be the name of the entry; a name has at most 100 letters, digits and ._-"
            " and begins with a letter, a digit or _"
        )
    if not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.absolute().parent}")
    if model in (None, BERT):
        check_absent(vocabulary_of(out))


def check_absent(path: Path) -> None:
    """Raise UsageError if a file that the recipe needs would replace one of the user."""
    if path.exists():
        raise UsageError(f"{path}: the file exists; move it away, or pass another --out")
