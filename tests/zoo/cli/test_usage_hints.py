"""Mistakes of a first-time user at the command line: one line each, with what to write instead."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
from huggingface_hub import constants
from PIL import Image

from tests.helpers.project import TINY, Write, Zoo
from zoo.fetch.hub_owners import owned_name
from zoo.recipes.other_files import OTHER_TABLES, TABLES
from zoo.tasks.tables import ENDINGS

MISTAKES: dict[tuple[str, ...], str] = {
    ("train", "mine.yaml", "--epochs", "3"): "`epochs` is a part of the recipe; set it in mine.yaml",
    ("train", "mine", "--learning-rate=1"): "`lr` is a part of the recipe; `zoo show ENTRY > mine.yaml` writes",
    ("train", "mine.yaml", "--seeds", "3"): "did you mean --seed?; `zoo verify`, `zoo reproduce`, `zoo plan` have it",
    ("runs", "remove", "--older", "3d"): "zoo runs remove has no option --older",
    ("verify", "--nothing"): "`zoo verify --help` lists its options",
    ("train",): "missing argument 'ENTRY'. Example: zoo train mine.yaml --out mine",
    ("list", "--model", "x"): "zoo list has no option --model; `zoo init` has it",
    ("evaluate", "x", "--as", "E", "--batch-size", "3"): "`zoo evaluate --help` lists its options",
    ("--nothing",): "zoo has no option --nothing; `zoo --help` lists its options",
    ("vrify",): "zoo: no such command 'vrify'. Did you mean 'verify'?",
    ("attest", "nothing"): "no such command 'nothing'; `zoo attest --help` lists its commands",
    ("--no-config",): "zoo: missing command; `zoo --help` lists its commands",
    ("init", "--data"): "zoo init: option '--data' requires an argument",
    ("init", "--for", "x"): "invalid value for '--for': 'x' is not one of 'train', 'verify'",
    ("init", "--json=3"): "option '--json' does not take a value",
    ("train", *(f"file_name_{number}.yaml" for number in range(60))): "zoo train takes one ENTRY",
    ("train", *("x" * 100 for _ in range(4))): "zoo train takes one ENTRY",
    ("train", "a\0b", "c"): "zoo train takes one ENTRY",
    ("publish", "mine"): "missing option '--to'. Choose from: ",
    ("init", "reviews.csv"): "write `zoo init --data reviews.csv`",
    ("init", "reviews.csv", "b.csv"): "zoo init takes options only; 'reviews.csv b.csv' is too much\n",
    ("env", "x"): "zoo env takes options only; 'x' is too much",
    ("train", "a.yaml", "b.yaml"): "zoo train takes one ENTRY; 'b.yaml' is too much",
    ("train", "my", "recipe.yaml"): "quote a path with spaces: 'my recipe.yaml'",
    ("train", "reviews.csv"): "this is a table and no recipe; `zoo init --data reviews.csv` writes a recipe",
    ("check", "data/my reviews.csv"): "`zoo init --data 'data/my reviews.csv'` writes a recipe",
    ("verify", "reviws.csv"): "no entry 'reviws.csv'; there is no such file, and a recipe ends in .yaml",
    ("train", "data/reviws.csv"): "there is no such file",
    ("show", "data"): "a folder without recipes (*.yaml); `zoo init --data 'data/my reviews.csv'` writes a recipe",
    ("check", "code"): "code is a folder without recipes (*.yaml)\n",
    ("train", "book.xlsx"): "zoo cannot read it; export it as CSV",
    ("doctor", "model.onnx"): "these are weights and no recipe, and zoo cannot read them",
    ("show", "someone/net.onnx"): "for the model of the Hub, write hf://someone/net.onnx",
    ("doctor", "run/model.safetensors"): "`zoo evaluate run/model.safetensors --as ENTRY` scores them",
    ("train", "run/record.json"): "its recipe is run/recipe.yaml",
    ("show", "curves.svg"): "this is a picture and no recipe",
    ("diff", "reviews.csv", "run"): "reviews.csv is no record of a run; name the folder of a run",
    ("verify", "roberta-large"): "for the model of the Hub, write FacebookAI/roberta-large",
    ("verify", "bert-small"): "`zoo list` shows all entries, and a model of the Hub is OWNER/NAME",
    ("verify", "--all", "digits-resnet8"): "--all selects all shipped entries; leave it out to select digits-resnet8",
    ("train", "two"): "'two' selects 2 entries; name one of them: two/a.yaml, two/b.yaml",
}


@pytest.fixture
def files(tmp_path: Path) -> None:
    """Make files that a user confuses with recipes and runs."""
    for name in (
        "reviews.csv", "data/my reviews.csv", "run/model.safetensors", "run/record.json", "curves.svg", "model.onnx",
        "book.xlsx", "code/book.xlsx", "code/.git/a.csv", "code/__pycache__/a.png", "code/more/a.py",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("a,b\n")
    for name in ("my recipe.yaml", "two/a.yaml", "two/b.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(TINY)


@pytest.mark.parametrize("words", MISTAKES, ids=lambda words: " ".join(words)[:80])
def test_a_mistake_is_one_line_that_says_what_to_write(words: Sequence[str], zoo: Zoo, files: None) -> None:
    done = zoo(*words)
    assert MISTAKES[tuple(words)] in done.err
    assert (len(done.lines), done.out) == (1, "")
    assert done.code in (2, 4)


def test_numbers_are_asked_for_in_plain_words(zoo: Zoo) -> None:
    for value, words in (("x", "write a whole number"), ("-1", "the number must be at least 0")):
        done = zoo("train", "mine.yaml", "--seed", value)
        assert done.code == 2
        assert words in done.err


def test_the_suggested_command_for_a_table_runs(zoo: Zoo, files: None) -> None:
    rows = "".join(f"film {row},{row % 2}\n" for row in range(20))
    Path("reviews.csv").write_text(f"text,label\n{rows}")
    command = zoo("train", "reviews.csv").err.split("`")[1]
    assert zoo(*shlex.split(command)[1:], "--model", "bert_classifier", "--for", "train").code == 0


@pytest.mark.parametrize("files", [["train.csv", "a.csv"], ["a/1.png", "b/1.png"], ["train/a/1.png", "train/b/1.png"]])
def test_the_suggested_command_for_a_folder_runs(files: Sequence[str], zoo: Zoo, tmp_path: Path) -> None:
    for name in files:
        (path := tmp_path / "my data" / name).parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            path.write_text("text,label\n" + "".join(f"film {row},{row % 2}\n" for row in range(20)))
        else:
            Image.new("RGB", (40, 40)).save(path)
    refused, above = zoo("check", "my data"), zoo("check", ".")
    assert (refused.code, above.code) == (4, 4)
    assert "zoo init" not in above.err
    words = shlex.split(refused.err.split("`")[1])[1:]
    model = "bert_classifier" if path.suffix == ".csv" else "cifar_resnet"
    assert zoo(*words, "--model", model, "--for", "train").code == 0


def test_a_model_of_the_hub_may_be_named_like_a_file(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    done = zoo("verify", "hf://someone/net.onnx")
    assert "revision main: not in the cache, and HF_HUB_OFFLINE is set" in done.err
    assert [command.split()[:3] for command in done.err.split("`")[1::2]] == [
        ["zoo", "fetch", "hf://someone/net.onnx"]
    ] * 2


def test_all_tables_that_messages_suggest_are_read() -> None:
    assert {*TABLES} < {*ENDINGS}
    assert not {*OTHER_TABLES} & {*ENDINGS}


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
        ("hf://xlm-clm-ende-1024", "FacebookAI/xlm-clm-ende-1024"),
        ("roberta-base-openai-detector", "openai-community/roberta-base-openai-detector"),
        ("openai-gpt", "openai-community/openai-gpt"),
        ("transfo-xl-wt103", "transfo-xl/transfo-xl-wt103"),
        ("ctrl", "Salesforce/ctrl"),
        ("bert-tiny", None),
        ("bert-small", None),
        ("bert_classifier", None),
        ("resnet18", None),
        ("someone/bert-base-uncased", None),
    ],
)  # fmt: skip
def test_models_that_the_hub_lists_without_an_owner_have_one(name: str, owned: str | None) -> None:
    assert owned_name(name) == owned
