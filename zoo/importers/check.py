"""Check a recipe that was made from a configuration, as `zoo check` does."""

import tempfile
from pathlib import Path

from zoo.importers.outcome import ImportedRecipe
from zoo.importers.recipe_text import text_of
from zoo.recipes.build import Builder
from zoo.recipes.check import check_recipe
from zoo.recipes.schema import Recipe, load_recipe


def check_imported(imported: ImportedRecipe, builder: Builder | None = None) -> Recipe:
    """Return the recipe after checking it as `zoo check` does. Local files that it names need not exist.

    Raises:
        RecipeError: With all problems, and positions in the recipe that would be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{imported.name}.yaml"
        path.write_text(text_of(imported), encoding="utf-8")
        recipe = load_recipe(path)
        check_recipe(recipe, (builder or Builder()).at(None, Path.cwd()))
    return recipe
