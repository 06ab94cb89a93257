"""`zoo init` writes a recipe that passes `zoo check`, or says what is wrong with the data."""

import sys
from io import StringIO
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.project import Zoo

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
    b"text,label\n": "0 rows",
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


def test_an_unknown_model_leaves_no_recipe(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    done = zoo("init", "--data", "reviews.csv", "--model", "resnet99", "--for", "train")
    assert done.code == 2
    assert not (tmp_path / "mine.yaml").exists()


def test_three_answers_make_a_recipe(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    (tmp_path / "reviews.csv").write_text(REVIEWS)
    monkeypatch.setattr(sys, "stdin", Terminal("reviews.csv\n\n\n"))
    monkeypatch.setenv("COLUMNS", "60")
    done = zoo("init")
    assert done.code == 0
    assert "3/3" in done.err
    questions = done.err.replace(": ", ":\n").splitlines()
    assert max(map(len, questions)) <= 60
    assert "OWNER/NAME of the Hub" in " ".join(questions)
    assert zoo("check", "mine.yaml").code == 0
