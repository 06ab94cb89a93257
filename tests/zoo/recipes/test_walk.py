"""Walking over a recipe finds every call and every source, wherever they are."""

from pathlib import Path

from tests.helpers.project import TINY, Write
from zoo.recipes.schema import load_recipe
from zoo.recipes.values import Call
from zoo.recipes.walk import recipe_sources, walk_calls, walk_sources

MODEL = "{use: cifar_resnet, depth: 8, width: 2, num_classes: 10, in_channels: 1}"
STARTED = f"{{use: pretrained, model: {MODEL}, weights: 'hub:a/model'}}"
TEACHER = "    teacher: {model: cifar_resnet, weights: 'file:teacher.pt'}\n"


def test_every_call_is_found_with_its_field(recipe_file: Write) -> None:
    recipe = load_recipe(recipe_file(TINY, (MODEL, STARTED)))
    assert sorted((field, call.use) for field, call in walk_calls(recipe)) == [
        ("loss", "CrossEntropy"), ("model", "cifar_resnet"), ("model", "pretrained"), ("optimizer", "SGD"),
        ("schedule", "linear"), ("task", "digits"),
    ]  # fmt: skip


def test_every_source_is_found_with_its_field_and_line(recipe_file: Write) -> None:
    text = TINY.replace("    criterion:", f"{TEACHER}    criterion:")
    recipe = load_recipe(recipe_file(f"{text}weights: embedded:x\n", (MODEL, STARTED)))
    assert [(named.text, named.field, named.mark.line) for named in recipe_sources(recipe)] == [
        ("embedded:x", "weights", 13), ("file:teacher.pt", "weights", 10), ("hub:a/model", "model", 3),
    ]  # fmt: skip


def test_sources_in_lists_and_nested_calls_are_found() -> None:
    tokenizer = Call(use="published", args={"of": "hub:a/tokenizer"})
    call = Call(use="texts", args={"files": [{"train": "file:a.csv"}, "file:b.csv"], "tokenizer": tokenizer})
    assert [(named.text, named.field) for named in walk_sources(call, "task")] == [
        ("file:a.csv", "task"), ("file:b.csv", "task"), ("hub:a/tokenizer", "tokenizer"),
    ]  # fmt: skip


def test_a_text_that_is_not_a_source_is_not_found(tmp_path: Path) -> None:
    assert list(walk_sources(Call(use="glue", args={"name": "rte", "path": str(tmp_path)}), "task")) == []
