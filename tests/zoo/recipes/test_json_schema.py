"""The JSON Schema of recipes: what editors accept is what zoo reads. Recipes of a newer schema are refused."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from tests.helpers.project import ROOT, TINY, Write, Zoo
from zoo import paths
from zoo.errors import RecipeError
from zoo.recipes.catalogue import entries
from zoo.recipes.schema import Recipe, load_recipe
from zoo.recipes.values import to_data

SCHEMA = json.loads(paths.json_schema("recipe").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_file_is_that_of_the_dataclasses() -> None:
    VALIDATOR.check_schema(SCHEMA)
    command = [sys.executable, ROOT / "docs" / "write_recipe_schema.py", "--check"]
    assert subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False).returncode == 0, (
        "run: python docs/write_recipe_schema.py"
    )


def test_every_shipped_recipe_is_valid() -> None:
    for entry in entries():
        VALIDATOR.validate(to_data(entry.recipe))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("task"), lambda data: data.update(color="red"), lambda data: data.update(name=3),
        lambda data: data["stages"][0].update(epochs="many"), lambda data: data["stages"][0].update(split=[]),
        lambda data: data["claims"][0].update(of="weight"), lambda data: data["claims"][0].pop("source"),
        lambda data: data.update(model={"depth": 8}), lambda data: data.update(rows={"test": {}}),
        lambda data: data.update(schema=2), lambda data: data.update(schema=0),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_refused_by_the_schema_and_by_zoo(
    change: Callable[[dict[str, Any]], object], recipe_file: Write
) -> None:
    data = json.loads(json.dumps(to_data(next(e for e in entries() if e.name == "digits-resnet8").recipe)))
    assert VALIDATOR.is_valid(data)
    change(data)
    assert not VALIDATOR.is_valid(data)
    with pytest.raises(RecipeError):
        load_recipe(recipe_file(json.dumps(data)))


def test_a_recipe_of_a_newer_schema_is_refused_with_the_advice_to_upgrade(zoo: Zoo, recipe_file: Write) -> None:
    """Its unknown keys are not reported: they are no mistakes."""
    path = recipe_file(f"{TINY}color: red\nschema: 2\n")
    refused = zoo("check", path)
    line = len(TINY.splitlines()) + 2
    assert refused.code == 2
    assert f"{path}:{line}:9: the recipe has schema 2, but zoo" in " ".join(refused.err.split())
    assert "upgrade zoo: run `git pull` in its clone, or upgrade the package zoo-reproduce" in " ".join(
        refused.err.split()
    )
    assert "color" not in refused.err


def test_the_schema_does_not_change_the_digest_of_a_recipe(recipe_file: Write) -> None:
    plain = load_recipe(recipe_file(TINY))
    assert load_recipe(recipe_file(f"{TINY}schema: {Recipe.NEWEST_SCHEMA}\n")).digest == plain.digest


@pytest.mark.parametrize("kind", ["recipe", "record"])
def test_the_schemas_are_printed(kind: str, zoo: Zoo) -> None:
    printed = zoo("schema", kind)
    assert (printed.code, json.loads(printed.out)) == (0, json.loads(paths.json_schema(kind).read_text()))


def test_only_formats_with_a_schema_can_be_named(zoo: Zoo) -> None:
    assert (refused := zoo("schema", "page")).code == 2
    assert re.search("not one of 'recipe', 'record'", refused.err)
