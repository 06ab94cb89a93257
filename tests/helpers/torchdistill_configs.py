"""The configurations of torchdistill that the tests import: written for these tests, in the shapes of real ones."""

import textwrap
from pathlib import Path

from zoo.errors import RecipeError
from zoo.importers.outcome import ImportedRecipe
from zoo.importers.torchdistill.convert import convert, import_config
from zoo.importers.torchdistill.optimization import Invocation
from zoo.importers.torchdistill.read import read_config_text

CONFIGS = Path(__file__).parents[1] / "zoo" / "importers" / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def config_file(name: str) -> Path:
    """Return the file of a configuration."""
    return CONFIGS / f"{name}.yaml"


def imported(name: str, run: Invocation | None = None) -> ImportedRecipe:
    """Return the recipe of a configuration."""
    return import_config(config_file(name), run)


def changed(name: str, *changes: tuple[str, str]) -> ImportedRecipe:
    """Return the recipe of a configuration after replacing texts in it, each of which must be there."""
    text = config_file(name).read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    config, problems = read_config_text(text, "c.yaml")
    return convert(config, problems, Path("c.yaml"), Invocation())


def obstacles(name: str, *changes: tuple[str, str]) -> list[str]:
    """Return what blocks a configuration after changes."""
    try:
        changed(name, *changes)
    except RecipeError as error:
        return str(error).splitlines()
    raise AssertionError("the configuration was converted")


def dedented(text: str) -> str:
    """Return a text without its common indentation."""
    return textwrap.dedent(text).lstrip("\n")
