"""`zoo init` writes a recipe that passes `zoo check`, or says what is wrong with the data."""

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from tests.helpers.project import CompletedCommand, Zoo
from zoo.first_recipe.found import FoundData
from zoo.first_recipe.write import first_recipe

REVIEWS = "id,review,verdict\n" + "".join(
    f'{row},"{"good, fine" if row % 2 else "bad, dull"} film {row}",{"good" if row % 2 else "bad"}\n'
    for row in range(40)
)


def make(zoo: Zoo, data: str, *args: str, model: str = "bert_classifier") -> str:
    """Run `zoo init` and `zoo check`, and return the recipe."""
    done = zoo("init", "--data", data, "--model", model, "--for", "train", *args)
    assert done.code == 0, done.err
    assert zoo("check", "mine.yaml").code == 0
    return Path("mine.yaml").read_text(encoding="utf-8")


def test_a_recipe_for_a_csv_file_is_trained_without_a_network(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    recipe = make(zoo, "reviews.csv")
    assert "text: review, label: verdict, classes: [bad, good]" in recipe
    assert "holdout: {of: train" in recipe
    assert zoo("train", "mine.yaml", "--out", "mine").code == 0
    assert zoo("init", "--data", "reviews.csv").code == 2  # mine.yaml exists


def test_a_model_of_the_hub_is_not_downloaded(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    assert "init: hub:prajjwal1/bert-tiny, num_labels: 2" in make(zoo, "reviews.csv", model="prajjwal1/bert-tiny")


def test_columns_of_a_file_without_header_have_numbers(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("".join(f"text {row},{row % 2}\n" for row in range(40)))
    recipe = make(zoo, "rows.csv")
    assert "text: 0" in recipe
    assert "header: false" in recipe


def test_a_header_that_may_be_a_row_is_noted_in_the_recipe(zoo: Zoo, tmp_path: Path) -> None:
    rows = "".join(f"text {row},{'good' if row % 2 else 'bad'}\n" for row in range(20))
    (tmp_path / "rows.csv").write_text(f"film,good\n{rows}")
    assert "for a row write `header: false`" in make(zoo, "rows.csv")


def test_a_line_with_a_column_that_the_user_names_is_a_header(zoo: Zoo, tmp_path: Path) -> None:
    rows = "".join(f"text {row},{'good' if row % 2 else 'bad'}\n" for row in range(20))
    (tmp_path / "rows.csv").write_text(f"a film,good\n{rows}")
    assert "label: good" in make(zoo, "rows.csv", "--label", "good")


def test_splits_are_found_beside_the_file_for_training(zoo: Zoo, tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.csv").write_text(REVIEWS)
    recipe = make(zoo, "train.csv")
    assert "validation: file:dev.csv" in recipe
    assert "holdout" not in recipe


def test_a_thousand_classes_are_left_to_the_data(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "many.csv").write_text("text,label\n" + "".join(f"t {n},c{n % 1000}\n" for n in range(2000)))
    recipe = make(zoo, "many.csv")
    assert "num_labels: 1000" in recipe
    assert "c999" not in recipe


@pytest.mark.parametrize("is_split", [True, False])
def test_folders_of_images_become_an_image_task(zoo: Zoo, tmp_path: Path, is_split: bool) -> None:
    for folder in ("train/rose", "train/tulip", "val/rose", "val/tulip") if is_split else ("rose", "tulip"):
        (tmp_path / "flowers" / folder).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (40, 40), (number, 0, 0)).save(tmp_path / "flowers" / folder / f"{number}.png")
    recipe = make(zoo, "flowers", model="cifar_resnet")
    assert ("holdout" in recipe) != is_split
    assert "classes: [rose, tulip]" in recipe


def test_a_published_score_becomes_a_claim(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    arguments = ("init", "--data", "reviews.csv", "--model", "someone/model", "--for", "verify")
    assert zoo(*arguments).code == 2
    done = zoo(*arguments, "--score", "0.93", "--source", "its card")
    assert "zoo verify mine.yaml" in done.out
    assert zoo("check", "mine.yaml").code == 0
    assert "value: 0.93" in Path("mine.yaml").read_text(encoding="utf-8")


BAD: dict[bytes, str] = {
    b"": "the file is empty",
    b"text,label\n": "bad.csv: 0 rows of train; a recipe needs at least 4",
    b"text;label\n" + b"a film;good\na play;bad\n" * 9: "separated by semicolons; save the file with commas",
    b"text,label\n" + b"a film,good\n" * 9: "all rows have the label 'good'",
    b"text,label\n" + b"caf\xe9,a\nbar,b\n" * 9: "--encoding cp1252",
    b"text,label\n" + b"a,b,c\n" * 9: "line 2",
    b"text,label\n" + b"a,\nb,x\n" * 9: "the label is empty",
    b"a\n" + b"".join(b"row %d\n" % n for n in range(9)): "--label",
    b"\0\1\2": "",
}


@pytest.mark.parametrize("content", BAD, ids=[why or "binary" for why in BAD.values()])
def test_bad_data_are_an_error_that_leaves_no_file(zoo: Zoo, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    done = zoo("init", "--data", "bad.csv", "--model", "bert_classifier", "--for", "train")
    assert done.code in (2, 4)
    assert BAD[content] in done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.glob("mine*"))


WRONG_OPTIONS: dict[tuple[str, ...], str] = {
    ("--data", "tables"): "no table here is named like a split, such as train.csv; name one file of a.csv, b.csv",
    ("--data", "reviews.csv", "--model", "empty"): "--model empty: the folder has no config.json",
    ("--data", "reviews.csv", "--model", "reviews.csv"): "this is a file; name the folder of a model",
    ("--data", "reviews.csv", "--model", "bert-base-cased"): "write google-bert/bert-base-cased",
    ("--data", "reviews.csv", "--out", "mine"): "write --out mine.yaml",
    ("--data", "reviews.csv", "--score", "0.9"): "--score: a recipe to train has no published score",
    ("--data", "reviews.csv", "--source", "me"): "--source: a recipe to train has no published score",
    ("--data", "reviews.csv", "--model", "a/b", "--for", "verify", "--score", "93"): "write 93 % as 0.93",
    ("--data", "reviews.csv", "--model", "a/b", "--for", "verify", "--score", "nan"): "--score nan: not a number",
    ("--data", "reviews.csv", "--for", "verify", "--score", "0.9"): "has no published score",
}


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=" ".join)
def test_a_wrong_option_is_one_line_that_says_what_to_write(options: Sequence[str], zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("reviews.csv", "tables/a.csv", "tables/b.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(REVIEWS)
    done = zoo("init", "--model", "bert_classifier", "--for", "train", *options)
    assert (done.code, len(done.lines)) == (2, 1)
    assert WRONG_OPTIONS[tuple(options)] in done.err
    assert not list(tmp_path.glob("mine*"))


@pytest.mark.parametrize("name", ["a:b.yaml", "é.yaml", ".x.yaml", "-x.yaml", f"{'x' * 101}.yaml"])
def test_a_file_that_cannot_name_an_entry_is_refused_before_the_questions(
    name: str, typed: Callable[..., CompletedCommand]
) -> None:
    done = typed(options=(f"--out={name}",))
    assert (done.code, len(done.lines)) == (2, 1)
    assert f"--out {name}: " in done.err


def test_a_vocabulary_that_exists_is_refused_before_the_questions(typed: Callable[..., CompletedCommand]) -> None:
    Path("mine-vocab.txt").write_text("[PAD]\n")
    done = typed()
    assert (done.code, done.err) == (2, "mine-vocab.txt: the file exists; move it away, or pass another --out\n")
    assert typed(options=("--data", "reviews.csv", "--model", "prajjwal1/bert-tiny", "--for", "train")).code == 0


def test_a_score_is_not_ignored_by_an_answer(typed: Callable[..., CompletedCommand], tmp_path: Path) -> None:
    done = typed("reviews.csv", "someone/model", "train", "verify", options=("--score", "0.9"))
    assert done.code == 0, done.err
    assert "a recipe to train has no published score" in " ".join(done.err.split())
    assert "value: 0.9" in (tmp_path / "mine.yaml").read_text(encoding="utf-8")


def test_an_unknown_model_leaves_no_recipe(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    done = zoo("init", "--data", "reviews.csv", "--model", "resnet99", "--for", "train")
    assert done.code == 2
    assert not (tmp_path / "mine.yaml").exists()


class Terminal(StringIO):
    """A terminal with these lines typed into it."""

    def isatty(self) -> bool:
        return True


class Interrupted(Terminal):
    """A terminal on which Ctrl-C is pressed."""

    def readline(self, size: int | None = -1) -> str:
        raise KeyboardInterrupt


@pytest.fixture
def typed(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CompletedCommand]:
    """Run `zoo init` in a terminal of 60 columns, beside `reviews.csv`, with these answers."""

    def run(*answers: str, options: Sequence[str] = ()) -> CompletedCommand:
        (tmp_path / "reviews.csv").write_text(REVIEWS)
        monkeypatch.setattr(sys, "stdin", Terminal("".join(f"{answer}\n" for answer in answers)))
        monkeypatch.setenv("COLUMNS", "60")
        return zoo("init", *options)

    return run


def test_three_answers_make_a_recipe(typed: Callable[..., CompletedCommand], zoo: Zoo) -> None:
    done = typed("reviews.csv", "", "")
    assert done.code == 0
    assert "3/3" in done.err
    questions = done.err.replace(": ", ":\n").splitlines()
    assert max(map(len, questions)) <= 60
    assert "OWNER/NAME of the Hub" in " ".join(questions)
    assert zoo("check", "mine.yaml").code == 0


def test_a_wrong_answer_is_asked_again_with_the_reason(typed: Callable[..., CompletedCommand], zoo: Zoo) -> None:
    models = ("resnet18", "bert-base-uncased", "./nowhere", "bert_classifier")
    done = typed("", "reviws.csv", "nobody", "reviews.csv", *models, "tran", "verify", "train")
    assert done.code == 0, done.err
    said = " ".join(done.err.split())
    reasons = (
        "reviws.csv: no such file or folder; did you mean reviews.csv?",
        "'nobody' is not OWNER/NAME of the Hub",
        "resnet18: for texts write OWNER/NAME of the Hub",
        "write google-bert/bert-base-uncased",
        "./nowhere: no such folder",
        "'tran' is neither train nor verify",
        "bert_classifier has no published score",
    )
    assert [said.count(reason) for reason in reasons] == [1] * len(reasons)
    assert sorted(reasons, key=said.index) == list(reasons)
    assert [said.count(f"{number}/3 ") for number in (1, 2, 3)] == [4, 4, 3]
    assert zoo("check", "mine.yaml").code == 0


def test_a_wrong_score_is_asked_again(typed: Callable[..., CompletedCommand], tmp_path: Path) -> None:
    done = typed("reviews.csv", "someone/model", "VERIFY", "high", "93", "0.93")
    assert done.code == 0, done.err
    assert "high: not a number" in done.err
    assert done.err.count("The published score") == 3
    assert "value: 0.93" in (tmp_path / "mine.yaml").read_text(encoding="utf-8")


def test_a_wrong_option_ends_a_command_that_could_ask(typed: Callable[..., CompletedCommand]) -> None:
    done = typed("bert_classifier", "train", options=("--data", "reviws.csv"))
    assert (done.code, len(done.lines)) == (4, 1)


@pytest.mark.parametrize(("answers", "option"), [((), "--data"), (("reviews.csv",), "--model"), (("x", "y"), "--data")])
def test_the_end_of_the_input_ends_the_command(
    answers: Sequence[str], option: str, typed: Callable[..., CompletedCommand], tmp_path: Path
) -> None:
    done = typed(*answers)
    assert (done.code, done.lines[-1]) == (2, f"there was no answer; pass {option}")
    assert not list(tmp_path.glob("mine*"))


@pytest.mark.parametrize("columns", ["1", "4", "30"])
def test_questions_are_asked_in_a_narrow_terminal(
    columns: str, typed: Callable[..., CompletedCommand], zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed()
    monkeypatch.setattr(sys, "stdin", Terminal("nobody\nreviews.csv\n\n\n"))
    monkeypatch.setenv("COLUMNS", columns)
    assert zoo("init").code == 0


def test_nobody_answers_a_process_without_input(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    done = zoo("init")
    assert (done.code, done.err) == (2, "nobody can answer a question here; pass --data\n")


def test_ctrl_c_ends_the_questions_on_a_line_of_its_own(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Interrupted())
    done = zoo("init")
    assert done.code == 130
    assert done.err.endswith(": \n")


def test_names_of_folders_cannot_add_keys_to_the_recipe(zoo: Zoo, tmp_path: Path) -> None:
    name = "imgs\ntrust: [os]\nx: y"
    for kind in ("rose", "tulip"):
        (tmp_path / name / kind).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (40, 40), (number, 0, 0)).save(tmp_path / name / kind / f"{number}.png")
    done = zoo("init", "--data", name, "--model", "cifar_resnet", "--for", "train")
    assert (done.code, len(done.lines)) == (2, 1)
    task: dict[str, Any] = {"data": "file:.", "train": name, "val": None}
    found = FoundData(task="image_folder", arguments=task, rows={name: 6}, classes=("a", "b"), notes=(name,))
    recipe = first_recipe(found, tmp_path / "mine.yaml", "cifar_resnet", "train").text
    assert "trust" not in yaml.safe_load(recipe)


def test_images_of_unknown_classes_are_left_out_with_a_note(zoo: Zoo, tmp_path: Path) -> None:
    for folder in ("train/rose", "train/tulip", "val/daisy", "test/rose"):
        (tmp_path / "flowers" / folder).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / "flowers" / folder / "0.png")
    recipe = make(zoo, "flowers", model="cifar_resnet")
    assert "val is left out: 'daisy' is no class of train" in recipe
    assert "val: test" in recipe


def test_a_split_of_a_regression_with_a_label_that_is_no_number_is_left_out(zoo: Zoo, tmp_path: Path) -> None:
    for name, label in (("train", "0.5"), ("test", "unknown")):
        rows = "".join(f"a film {row},{row}.5\n" for row in range(30))
        (tmp_path / f"{name}.csv").write_text(f"review,score\n{rows}a play,{label}\n")
    recipe = make(zoo, "train.csv")
    assert "kind: regression" in recipe
    assert "test is left out: the label 'unknown' is no number" in recipe
    assert "test.csv" not in recipe


@pytest.mark.parametrize("test", ["review\na film\n", "id,review,verdict\n1,a film,unknown\n", "id,review,verdict\n"])
def test_a_split_that_cannot_be_scored_is_left_out_with_a_note(test: str, zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(REVIEWS)
    (tmp_path / "test.csv").write_text(test)
    recipe = make(zoo, "train.csv")
    assert "test is left out: " in recipe
    assert "test.csv" not in recipe


def test_the_suggested_commands_run_beside_a_folder_of_that_name(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "reviews").mkdir()
    (tmp_path / "mirror").mkdir()
    (tmp_path / "reviews/train.csv").write_text(REVIEWS)
    arguments = ("--data", "reviews", "--model", "bert_classifier", "--for", "train", "--out", "reviews.yaml")
    steps = json.loads(zoo("init", *arguments, "--mirror", "mirror", "--json").out)["next_steps"]
    assert [shlex.split(step)[1] for step in steps] == ["check", "train"]
    for step in steps:
        assert "--mirror mirror" in step
        done = zoo(*shlex.split(step)[1:])
        assert done.code == 0, done.err
    assert (tmp_path / "reviews-2").is_dir()


def test_the_vocabulary_does_not_stay_if_the_recipe_cannot_be_written(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_once(path: Path, text: str) -> None:
        if path.suffix == ".yaml":
            raise OSError(28, "No space left on device")
        path.write_text(text)

    (tmp_path / "reviews.csv").write_text(REVIEWS)
    monkeypatch.setattr("zoo.cli.init.write_atomically", write_once)
    done = zoo("init", "--data", "reviews.csv", "--model", "bert_classifier", "--for", "train")
    assert (done.code, len(done.lines)) == (4, 1)
    assert not list(tmp_path.glob("mine*"))


@pytest.mark.parametrize("columns", [["review", "review"], ["id", "review", "verdict"]])
def test_a_pair_is_two_different_columns(columns: list[str], zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    options = [word for column in columns for word in ("--text", column)]
    done = zoo("init", "--data", "reviews.csv", "--model", "bert_classifier", "--for", "train", *options)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "name one column, or two different ones for pairs" in done.err


@pytest.mark.parametrize(
    ("data", "out", "name"),
    [
        ("reviews.csv", "mine.yaml", "reviews"), ("film reviews (2).csv", "mine.yaml", "film-reviews-2"),
        ("reviews.csv", "films.yaml", "films"), ("train.csv", "mine.yaml", "mine"), ("é.csv", "mine.yaml", "mine"),
    ],
)  # fmt: skip
def test_a_recipe_has_the_name_of_its_data(zoo: Zoo, tmp_path: Path, data: str, out: str, name: str) -> None:
    """Runs are stored by this name, and those of several projects should not be mixed."""
    (tmp_path / data).write_text(REVIEWS)
    done = zoo("init", "--data", data, "--model", "bert_classifier", "--for", "train", "--out", out)
    assert done.code == 0, done.err
    assert f"\nname: {name}\n" in Path(out).read_text(encoding="utf-8")
