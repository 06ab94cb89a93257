"""The schema is the reference of a recipe's keys."""

import ast
import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from zoo.recipes import schema
from zoo.recipes.schema import Claim, Recipe, Stage, Teacher, Term


@pytest.mark.parametrize("kind", [Recipe, Stage, Teacher, Term, Claim])
def test_every_key_of_a_recipe_is_documented(kind: type) -> None:
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    documented = {
        node.target.id
        for node, following in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(following, ast.Expr)
    }
    assert {field.name for field in fields(kind) if field.compare} == documented


def test_the_example_of_the_schema_is_a_recipe(tmp_path: Path) -> None:
    example = str(schema.__doc__).partition("\n\n")[2].partition("\n\n")[2]
    path = tmp_path / "example.yaml"
    path.write_text(inspect.cleandoc(example))
    assert schema.load_recipe(path).name == "digits-resnet8"
