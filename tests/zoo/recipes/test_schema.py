"""The schema is the reference of a recipe's keys."""

import ast
import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from tests.helpers.project import TINY, Write, Zoo
from zoo.errors import RecipeError
from zoo.recipes import schema
from zoo.recipes.claim import Claim
from zoo.recipes.schema import Recipe, load_recipe
from zoo.recipes.stage import Stage, Teacher, Term


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


WRITTEN = {"0.8456": 4, "0.90": 2, "8.460e-1": 4, "-1e-1": 1, "0.5, decimals: 3": 3, "1.0": 1, ".5": 1, "1e-30": 16}


@pytest.mark.parametrize("text", WRITTEN)
def test_decimals_are_those_of_the_value_as_it_is_written(zoo: Zoo, recipe_file: Write, text: str) -> None:
    path = recipe_file(f"{TINY}claims: [{{of: weights, split: test, metric: pearson, value: {text}, source: s}}]\n")
    (claim,) = load_recipe(path).claims
    assert (claim.decimals, claim.has_inferred_decimals) == (WRITTEN[text], "decimals" not in text)
    shown = f"# claims[0]: decimals is {claim.decimals}, from the value {text}" in zoo("show", path).out
    assert shown == claim.has_inferred_decimals


@pytest.mark.parametrize("text", ["1", "0", "1.", "0x1", "0.01e2"])
def test_a_value_without_decimals_says_nothing_about_its_rounding(recipe_file: Write, text: str) -> None:
    """Half a unit of zero decimals would be 0.5."""
    path = recipe_file(f"{TINY}claims: [{{of: weights, split: test, metric: accuracy, value: {text}, source: s}}]\n")
    with pytest.raises(RecipeError, match="has no decimals: add the key 'decimals'"):
        load_recipe(path)


def test_all_problems_of_a_recipe_are_reported_at_once(zoo: Zoo, recipe_file: Write) -> None:
    claims = """\
claims:
  - {of: weights, split: test, metric: accuracy, value: 84.5, source: s, failures: -1, seeds: 0, log: x}
  - {of: retrain, split: test, metric: accuracy, value: 0.5, source: s, sigma: 2, color: red}
"""
    teacher = "    teacher: {model: cifar_resnet, run: x, seed: -1}\n    criterion"
    wrong = recipe_file(
        TINY + claims, ("    criterion", teacher), ("epochs: 1", "epochs: 0"), ("use: SGD, lr", "use: SGDD, lr"),
        ("loss: CrossEntropy", "loss: CrossEntropi"), ("depth: 8", "deep: 8"), ("name: tiny", "name: '-'"),
    )  # fmt: skip
    err = zoo("check", wrong).err
    for problem in (
        "84.5 is not a fraction", "failures must be at least 0", "seeds and n must be at least 1", "not both",
        "unknown key 'color'", "sigma must be above 0", "one of the keys", "'seed' goes with", "epochs and batch_size",
        "did you mean SGD", "did you mean CrossEntropy", "no argument 'deep'", "'-' cannot be a name",
    ):  # fmt: skip
        assert problem in err, (problem, err)
