"""Mistakes of a first-time user at the command line: one line each, with what to write instead."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.project import TINY, Write, Zoo
from zoo.fetch.hub_owners import owned_name

MISTAKES: dict[tuple[str, ...], str] = {
    ("train", "mine.yaml", "--epochs", "3"): "`epochs` is a part of the recipe; set it in mine.yaml",
    ("train", "mine", "--learning-rate=1"): "`lr` is a part of the recipe; `zoo show ENTRY > mine.yaml` writes",
    ("train", "mine.yaml", "--seeds", "3"): "did you mean --seed?; `zoo verify`, `zoo reproduce`, `zoo plan` have it",
    ("runs", "remove", "--older", "3d"): "zoo runs remove has no option --older",
    ("verify", "--nothing"): "`zoo verify --help` lists its options",
    ("train",): "missing argument 'ENTRY'. Example: zoo train mine.yaml --out mine",
    ("publish", "mine"): "missing option '--to'. Choose from: ",
    ("init", "reviews.csv"): "write `zoo init --data reviews.csv`",
    ("env", "x"): "zoo env takes options only; 'x' is too much",
    ("train", "a.yaml", "b.yaml"): "zoo train takes one ENTRY; 'b.yaml' is too much",
    ("train", "my", "recipe.yaml"): "quote a path with spaces: 'my recipe.yaml'",
    ("train", "reviews.csv"): "this is a table and no recipe; `zoo init --data reviews.csv` writes a recipe",
    ("check", "data/my reviews.csv"): "`zoo init --data 'data/my reviews.csv'` writes a recipe",
    ("verify", "reviws.csv"): "no entry 'reviws.csv'; there is no such file, and a recipe ends in .yaml",
    ("train", "data/reviws.csv"): "there is no such file",
    ("show", "data"): "a folder without recipes (*.yaml); `zoo init --data data` writes a recipe",
    ("doctor", "run/model.safetensors"): "`zoo evaluate run/model.safetensors --as ENTRY` scores them",
    ("train", "run/record.json"): "its recipe is run/recipe.yaml",
    ("show", "curves.svg"): "this is a picture and no recipe",
    ("diff", "reviews.csv", "run"): "reviews.csv is no record of a run; name the folder of a run",
    ("verify", "roberta-large"): "for the model of the Hub, write FacebookAI/roberta-large",
    ("verify", "--all", "digits-resnet8"): "--all selects all shipped entries; leave it out to select digits-resnet8",
    ("train", "two"): "'two' selects 2 entries; name one of them: two/a.yaml, two/b.yaml",
}


@pytest.fixture
def files(tmp_path: Path) -> None:
    """Make files that a user confuses with recipes and runs."""
    for name in ("reviews.csv", "data/my reviews.csv", "run/model.safetensors", "run/record.json", "curves.svg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a,b\n")
    for name in ("my recipe.yaml", "two/a.yaml", "two/b.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(TINY)


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_line_that_says_what_to_write(words: Sequence[str], zoo: Zoo, files: None) -> None:
    done = zoo(*words)
    assert MISTAKES[tuple(words)] in done.err
    assert (len(done.lines), done.out) == (1, "")
    assert done.code in (2, 4)


def test_numbers_are_asked_for_in_plain_words(zoo: Zoo) -> None:
    for value, words in (("x", "write a whole number"), ("-1", "the number must be at least 0")):
        done = zoo("train", "mine.yaml", "--seed", value)
        assert done.code == 2
        assert words in " ".join(done.err.replace("│", " ").split())


def test_the_suggested_command_for_a_table_runs(zoo: Zoo, files: None) -> None:
    rows = "".join(f"film {row},{row % 2}\n" for row in range(20))
    Path("reviews.csv").write_text(f"text,label\n{rows}")
    command = zoo("train", "reviews.csv").err.split("`")[1]
    assert zoo(*shlex.split(command)[1:], "--model", "bert_classifier", "--for", "train").code == 0


def test_a_shown_recipe_can_be_changed_and_trained(zoo: Zoo, recipe_file: Write) -> None:
    recipe = zoo("show", recipe_file()).out.replace("epochs: 1", "epochs: 2")
    Path("mine.yaml").write_text(recipe)
    assert "epochs: 2" in recipe
    assert zoo("check", "mine.yaml").code == 0


@pytest.mark.parametrize(
    ("name", "owned"),
    [
        ("bert-base-uncased", "google-bert/bert-base-uncased"),
        ("distilbert-base-cased", "distilbert/distilbert-base-cased"),
        ("xlm-roberta-base", "FacebookAI/xlm-roberta-base"),
        ("gpt2", "openai-community/gpt2"),
        ("bert-tiny", None),
        ("bert_classifier", None),
        ("resnet18", None),
        ("someone/bert-base-uncased", None),
    ],
)  # fmt: skip
def test_models_that_the_hub_lists_without_an_owner_have_one(name: str, owned: str | None) -> None:
    assert owned_name(name) == owned
