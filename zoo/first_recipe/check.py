"""Check a first recipe before it is written."""

from pathlib import Path
from tempfile import TemporaryDirectory

from zoo.errors import RecipeError, UsageError
from zoo.first_recipe.write import FirstRecipe
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import LOCAL, Entry
from zoo.recipes.check import check_entry


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
