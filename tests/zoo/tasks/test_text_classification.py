"""The task `text_classification`: file formats, class names, multilabel, regression, data sets of the Hub, errors."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertForSequenceClassification

from harness import metrics
from harness.records.arrays import read_arrays
from harness.runs.export import export
from tests.helpers.device import device
from tests.helpers.glue_hub import config, parquet
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import ROOT, Zoo
from zoo.errors import MissingError, SourceError, UsageError
from zoo.fetch.hub import Hub
from zoo.fetch.lock import Lock
from zoo.fetch.sources import Source, Sources
from zoo.tasks import text_classification
from zoo.tasks.splits import TextSplit
from zoo.tasks.tables import read_file, read_repository

RECIPE = (ROOT / "tests" / "recipes" / "reviews.yaml").read_text()
TEXTS = ["Rose keeps the rose.", "Mark sells the dog.", 'The old "bird", she says.', "None", "NA", ""]


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def file(path: Path) -> Source:
    return Source(Sources(), f"file:{path}")


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [(f"Rose {i}", TEXTS[i % 6], ["bad", "good"][i % 2]) for i in range(12)]
    Path("train.csv").write_text("\n".join(["title,body,stars", *(",".join(map(quoted, row)) for row in rows)]))
    lines = [json.dumps({"title": a, "body": b, "stars": c}) for a, b, c in rows[:5]]
    Path("validation.jsonl").write_text("\n".join(lines) + "\n")
    Path("reviews.yaml").write_text(RECIPE)
    return tmp_path


def test_a_recipe_trains_and_scores_on_files(reviews: Path, zoo: Zoo) -> None:
    completed = zoo("train", "reviews.yaml", "--out", "run", "--device", device())
    assert completed.code == 0, completed.err
    record = json.loads(Path("run/record.json").read_text())
    assert {name: split["rows"] for name, split in record["sources"]["data"].items()} == {"train": 12, "validation": 5}
    assert json.loads(Path("run/config.json").read_text())["id2label"] == {"0": "bad", "1": "good"}


def test_every_format_gives_the_same_texts_also_none_and_na(tmp_path: Path) -> None:
    texts = [text for text in TEXTS if text]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f'"{t.replace(chr(34), chr(34) * 2)}",0\n' for t in texts))
    (tmp_path / "a.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t0\n" for t in texts))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": t, "label": 0}) + "\n" for t in texts))
    (tmp_path / "a.parquet").write_bytes(parquet({"text": texts, "label": [0] * len(texts)}, labels=pa.int64()))
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.parquet"):
        table = read_file(tmp_path / name)
        assert table.texts(("text",)) == [(text,) for text in texts], name
        files = {"train": file(tmp_path / name), "validation": file(tmp_path / name)}
        task = text_classification(data=files, text="text", tokenizer=None)
        assert task.load("train").labels.tolist() == [0] * len(texts)


def test_class_names_that_look_like_numbers_are_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n2020,1\n2021,0\n2022,1\n")
    files = {"train": file(tmp_path / "a.csv"), "validation": file(tmp_path / "a.csv")}
    task = text_classification(data=files, text="text", classes=["1", "0"], tokenizer=None)
    assert task.load("train").labels.tolist() == [0, 1, 0]
    assert next(task.load("train").rows()) == b"2020\t0"


def test_different_rows_have_different_content() -> None:
    texts: list[tuple[str, ...]] = [("a\tb", "c"), ("a", "b\tc"), ("a\\tb", "c"), ("a\\", "tb\tc")]
    rows = list(TextSplit(texts, torch.zeros(4, dtype=torch.int64), tokenizer=None).rows())
    assert len(set(rows)) == 4
    plain = TextSplit([("a dog", "b")], torch.zeros(1, dtype=torch.int64), tokenizer=None)
    assert list(plain.rows()) == [b"a dog\tb\t0"]  # committed records depend on this form


def test_a_multilabel_task_is_read_trained_and_scored(reviews: Path, zoo: Zoo) -> None:
    tags: list[list[str]] = [["a"], ["a", "c"], []] * 4
    rows = [{"text": f"Rose keeps {number}.", "tags": row_tags} for number, row_tags in enumerate(tags)]
    Path("tags.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("tags.csv").write_text(
        "text,tags\n" + "".join(f"Rose keeps {number}.,{'|'.join(row_tags)}\n" for number, row_tags in enumerate(tags))
    )
    files = {"train": file(Path("tags.csv")), "validation": file(Path("tags.jsonl"))}
    task = text_classification(
        data=files, text="text", label="tags", classes=["a", "b", "c"], kind="multilabel", tokenizer=None
    )
    expected = torch.tensor([[1.0, 0, 0], [1, 0, 1], [0, 0, 0]] * 4)
    assert torch.equal(task.load("train").labels, expected)
    assert torch.equal(task.load("validation").labels, expected)
    assert torch.equal(task.predict(torch.tensor([[0.2, -1, 0.0]])), torch.tensor([[1, 0, 0]]))
    recipe = RECIPE.replace("file:train.csv", "file:tags.csv").replace("file:validation.jsonl", "file:tags.jsonl")
    recipe = recipe.replace("text: [title, body]", "text: text").replace(
        "label: stars", "label: tags\n  kind: multilabel"
    )
    recipe = recipe.replace("[bad, good]", "[a, b, c]").replace("num_labels: 2", "num_labels: 3")
    Path("tags.yaml").write_text(recipe.replace("CrossEntropy", "BinaryCrossEntropy"))
    completed = zoo("train", "tags.yaml", "--out", "tags", "--device", device())
    assert completed.code == 0, completed.err
    assert json.loads(Path("tags/config.json").read_text())["problem_type"] == "multi_label_classification"
    arrays = read_arrays(Path("tags/predictions-validation-best.npz"))
    assert arrays["predictions"].shape == (12, 3)
    scored = zoo("evaluate", "tags/predictions-validation-best.npz", "--as", "tags.yaml", "--json")
    assert scored.code == 0, scored.err


def test_a_regression_reads_numbers_and_refuses_nan(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,score\nRose,0.5\nMark,2\n")
    (tmp_path / "b.csv").write_text("text,score\nRose,nan\n")
    files = {"train": file(tmp_path / "a.csv"), "validation": file(tmp_path / "a.csv")}
    task = text_classification(data=files, text="text", label="score", kind="regression", tokenizer=None)
    assert task.load("train").labels.tolist() == [0.5, 2.0]
    assert task.metrics == ("pearson", "spearman")
    files = {"train": file(tmp_path / "b.csv"), "validation": file(tmp_path / "b.csv")}
    with pytest.raises(UsageError, match="row 0: 'nan' is not a number"):
        text_classification(data=files, text="text", label="score", kind="regression", tokenizer=None).load("train")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[LocalHub, Sources]]:
    """A Hub on this machine, and sources that read it."""
    with LocalHub() as server:
        client = Hub(deadline=10)
        client.endpoint, client.cache = server.url, tmp_path / "cache"
        yield server, Sources(lock=Lock(tmp_path / "lock", {}, tmp_path / "trusted.json"), hub=client)


def test_a_configuration_can_be_files_that_only_the_card_lists(hub: tuple[LocalHub, Sources]) -> None:
    server, sources = hub
    splits = "[{split: train, path: small-*.jsonl}, {split: test, path: test.jsonl}]"
    card = f"---\nconfigs:\n- config_name: small\n  data_files: {splits}\n---\n"
    row = b'{"text": "Rose", "label": "good"}\n'
    names = ("small-0.jsonl", "small-1.jsonl", "test.jsonl", "large-0.jsonl")
    server.add("datasets", "someone/answers", {**dict.fromkeys(names, row), "README.md": card.encode()})
    data = Source(sources, "hub:datasets/someone/answers")
    arguments: Any = {"data": data, "text": "text", "tokenizer": None, "splits": ["train", "test"]}
    task = text_classification(**arguments, config="small")
    assert (len(task.load("train")), len(task.load("test"))) == (2, 1)
    assert not [path for _, path, _ in server.requests if "large" in path]
    for _ in range(2):
        with pytest.raises(MissingError, match=r"has no configuration 'smal'; did you mean small\?"):
            text_classification(**arguments, config="smal").load("train")
    with pytest.raises(
        UsageError, match="answers: the data have no split 'dev'; they have train, test; `splits` lists"
    ):
        text_classification(**{**arguments, "splits": "dev"}, config="small").load("dev")


def test_a_data_set_of_the_hub_declares_its_class_names(hub: tuple[LocalHub, Sources], tmp_path: Path) -> None:
    label = "{name: label, dtype: {class_label: {names: {'0': bad, '1': good}}}}"
    info = f"{{config_name: default, features: [{{name: text, dtype: string}}, {label}]}}"
    card = f"---\ndataset_info: {info}\n---\n".encode()
    server, sources = hub
    files = {
        f"{split}.parquet": parquet({"text": ["a", "b"], "label": [0, 1]}, labels=pa.int64())
        for split in ("train", "test")
    }
    server.add("datasets", "someone/answers", {**files, "README.md": card})
    data = Source(sources, "hub:datasets/someone/answers")
    task = text_classification(data=data, text="text", splits=["train", "test"], tokenizer=None)
    assert task.load("test").labels.tolist() == [0, 1]
    assert task.class_names == ("bad", "good")
    export(BertForSequenceClassification(config("base", num_labels=2)), task, None, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["id2label"] == {"0": "bad", "1": "good"}
    fetched = sources.fetch("hub:datasets/someone/answers", "data")
    assert read_repository(fetched, None, "test").classes == {"label": ("bad", "good")}


WRONG = {
    "no such column": ({"text": "words"}, "the data have no column 'words'; known: label, text"),
    "no such label column": ({"label": "labels"}, "the data have no column 'labels'; did you mean label?"),
    "an unknown class": ({"classes": ["yes", "no"]}, "row 1: 'maybe' is not one of the classes; known: no, yes"),
    "not a number": ({"kind": "regression"}, "row 0: 'yes' is not a number"),
    "three texts": ({"text": ["a", "b", "c"]}, "text must name one column or two, not 3"),
    "another kind": ({"kind": "ranking"}, "kind cannot be 'ranking'"),
    "no such split": (
        {"scored": ["test"]},
        "scored: there is no split 'test'; the data have train, validation; write scored: [validation]",
    ),
    "no split": ({"data": {}}, "data names no split; write data: {train: file:train.csv"),
}


@pytest.mark.parametrize(("changed", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_or_row_is_reported(changed: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nRose,yes\nMark,maybe\n")
    files = {"train": file(tmp_path / "a.csv"), "validation": file(tmp_path / "a.csv")}
    options = {"data": files, "text": "text", "classes": ["yes", "no", "maybe"], "tokenizer": None, **changed}
    with pytest.raises(UsageError) as raised:
        text_classification(**options).load("train")  # type: ignore[arg-type]
    assert message in str(raised.value)


def test_a_misspelt_column_gets_no_advice_but_the_right_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nRose,yes\nMark,no\n")
    data = {name: file(tmp_path / "a.csv") for name in ("train", "validation", "test")}
    with pytest.raises(UsageError, match=r"the data have no column 'lable'; did you mean label\?$"):
        text_classification(data=data, text="text", label="lable", tokenizer=None).load("validation")
    with pytest.raises(UsageError, match=r"known: label, text; if the first line is a row.*leave it out"):
        text_classification(data=data, text="text", label="stars", tokenizer=None).load("validation")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    (tmp_path / "a.doc").write_bytes(b"")
    with pytest.raises(SourceError, match="cannot be read as data"):
        read_file(tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=r"cannot read files that end with '\.doc'"):
        read_file(tmp_path / "a.doc")
    with pytest.raises(SourceError, match="no such file"):
        read_file(tmp_path / "b.csv")


SEPARATED = {
    "too long": ("text,label\ngood great fine,the film,good\n", "line 2: 3 fields, but the header has 2; quote a text"),
    "too short": ("text,label\ngood,good\nbad\n", "line 3: 1 fields, but the header has 2"),
    "an open quote": ('text,label\n"good,good\n', "line 2: a quote is opened in this row and never closed"),
    "two alike": ("text,text,label\na,b,good\n", "two columns are called 'text'"),
    "nothing": ("", "the file has no header line"),
    "latin-1": ("text,label\ncaf\xe9,good\n", "the file is not in UTF-8"),
}


@pytest.mark.parametrize(("content", "message"), SEPARATED.values(), ids=SEPARATED)
def test_a_malformed_csv_file_is_reported_with_its_line(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(SourceError, match=message):
        read_file(tmp_path / "a.csv")


def test_a_split_without_rows_is_reported_before_training(reviews: Path, zoo: Zoo) -> None:
    for split, file_name in (("train", "train.csv"), ("validation", "validation.jsonl")):
        (reviews / "empty.csv").write_text("title,body,stars\n")
        (reviews / "empty.yaml").write_text(RECIPE.replace(f"file:{file_name}", "file:empty.csv"))
        completed = zoo("train", "empty.yaml", "--out", "run")
        assert (completed.code, len(completed.lines)) == (2, 1), completed.err
        assert f"text_classification: the split '{split}' has no rows" in completed.err
        assert not list(Path("home").rglob("log.jsonl"))


MODEL, TASK = "bert_classifier: num_labels is", "text_classification"
UNFIT = {
    "more classes": (
        "classes: [",
        "classes: [ugly, ",
        2,
        "10:98: {model} 2, but {task} needs 3, one for each class: ugly, bad, good",
    ),
    "more outputs": (
        "num_labels: 2",
        "num_labels: 5",
        2,
        "10:98: {model} 5, but {task} needs 2, one for each class: bad, good",
    ),
    "fewer classes in the data": (
        "[bad, good]",
        "3",
        2,
        "8:3: file:validation.jsonl: the data have 2 classes, but the recipe says 3",
    ),
    "no such file": ("file:train", "file:tarin", 4, "5:3: file:tarin.csv: there is no such file in {folder}; did you"),
    "no such column": ("[title, ", "[titel, ", 2, "6:3: file:validation.jsonl: the data have no column 'titel'; did"),
    "no such label": ("stars", "star", 2, "7:3: file:validation.jsonl: the data have no column 'star'; did you mean"),
    "no such class": ("[bad, good]", "[bad, nice]", 2, "8:3: file:validation.jsonl: row 1: 'good' is not one of the"),
}


@pytest.mark.parametrize(("before", "after", "code", "message"), UNFIT.values(), ids=UNFIT)
def test_what_does_not_fit_the_data_is_reported_with_its_position_before_training(
    before: str, after: str, code: int, message: str, reviews: Path, zoo: Zoo
) -> None:
    assert before in RECIPE
    (reviews / "unfit.yaml").write_text(RECIPE.replace(before, after))
    completed = zoo("train", "unfit.yaml", "--out", "run")
    assert (completed.code, len(completed.lines)) == (code, 1)
    assert completed.err.startswith("unfit.yaml:" + message.format(model=MODEL, task=TASK, folder=reviews))
    assert not Path("run").exists()
    if code == 4:  # other commands find a missing file too
        assert zoo("fetch", "unfit.yaml", "--train").err.endswith(completed.err)
        assert '"the file tarin.csv"' in zoo("list", "unfit.yaml", "--here", "--json").out


def test_outputs_that_do_not_fit_the_classes_of_the_data_are_reported_with_their_position(
    reviews: Path, zoo: Zoo
) -> None:
    text = RECIPE.replace("[bad, good]", "2").replace("num_labels: 2", "num_labels: 3")
    (reviews / "unfit.yaml").write_text(text)
    completed = zoo("train", "unfit.yaml", "--out", "run")
    assert completed.code == 2
    message = (
        "unfit.yaml:10:98: the model has 3 outputs, but text_classification needs 2, one for each class: bad, good"
    )
    assert completed.err.startswith(message)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("names", "scored", "expected"),
    [
        (("train", "test"), None, ("test",)),
        (("test", "train", "extra", "validation"), None, ("validation", "extra", "test")),
        (("train", "test", "dev"), "test", ("test",)),
        (("train",), None, ()),
        (("train", "test"), ["train", "test"], ("train", "test")),
    ],
)
def test_all_splits_but_train_are_scored_by_default(names: Any, scored: Any, expected: Any) -> None:
    data = {name: file(Path(f"{name}.csv")) for name in names}
    assert text_classification(data=data, text="text", tokenizer=None, scored=scored).scored == expected
    hub = Source(Sources(), "hub:datasets/a/b")
    assert text_classification(data=hub, splits=names, text="text", tokenizer=None, scored=scored).scored == expected


def test_a_split_without_labels_is_reported_with_how_to_leave_it_out(reviews: Path) -> None:
    Path("test.csv").write_text("title,body\nRose,keeps\n")
    data = {"validation": file(Path("validation.jsonl")), "test": file(Path("test.csv"))}
    arguments: Any = {"data": data, "text": "title", "label": "stars", "tokenizer": None}
    with pytest.raises(UsageError, match=r"leave it out: write scored: \[validation\]$"):
        text_classification(**arguments).load("test")
    assert text_classification(**arguments, scored="validation").load("validation").labels.tolist() == [0, 1, 0, 1, 0]


NO_SOURCE = "is not a source; for a local file write file:"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{train: a.csv, validation: b.csv}", NO_SOURCE),
        ("a.csv", NO_SOURCE),
        ("{trian: 'file:a.csv'}", "text_classification has no split 'train'; splits: trian; did you mean trian?"),
        (
            "{train: 'file:a.csv'}",
            "the task has no split to score; name one beside `train` in the task, or take rows out",
        ),
    ],
)
def test_data_that_do_not_fit_are_a_problem_of_the_recipe(data: str, message: str, reviews: Path, zoo: Zoo) -> None:
    (reviews / "wrong.yaml").write_text(re.sub(r"data: \{[^}]*\}", f"data: {data}", RECIPE))
    completed = zoo("check", "wrong.yaml")
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert message in completed.err


def test_a_hold_out_can_be_the_only_split_that_is_scored(reviews: Path, zoo: Zoo) -> None:
    holdout = "holdout: {of: train, share: 0.25, seed: 1}\ntokenizer"
    one_file = re.sub(r"data: \{[^}]*\}", "data: {train: 'file:train.csv'}", RECIPE)
    (reviews / "one.yaml").write_text(one_file.replace("tokenizer", holdout))
    completed = zoo("train", "one.yaml", "--out", "run", "--device", device())
    assert completed.code == 0, completed.err
    data = json.loads(Path("run/record.json").read_text())["sources"]["data"]
    assert {name: split["rows"] for name, split in data.items()} == {"train": 9, "validation": 3}


@settings(max_examples=25)
@given(st.lists(st.tuples(*[st.booleans()] * 4), min_size=1, max_size=6))
def test_one_prediction_of_f1_micro_is_the_largest_change_by_one_cell(rows: list[tuple[bool, ...]]) -> None:
    cells = np.array(rows, dtype=np.int64)
    predictions, labels = cells[:, :2], cells[:, 2:]
    before, largest = metrics.f1_micro(predictions, labels), 0.0
    for row in range(len(rows)):
        for column in range(2):
            changed = predictions.copy()
            changed[row, column] = 1 - changed[row, column]
            largest = max(largest, abs(metrics.f1_micro(changed, labels) - before))
    assert metrics.one_prediction(metrics.f1_micro, predictions, labels) == pytest.approx(largest)


def test_classes_that_are_left_out_are_the_sorted_labels_of_the_training_split(reviews: Path, zoo: Zoo) -> None:
    recipe = Path("reviews.yaml")
    (line,) = re.findall(r"^ *classes: .*\n", RECIPE, re.MULTILINE)
    recipe.write_text(RECIPE.replace(line, ""))
    Path("validation.jsonl").write_text('{"title": "a", "body": "b", "stars": "good"}\n')
    completed = zoo("train", recipe, "--out", "inferred", "--device", device())
    assert completed.code == 0, completed.err
    record = json.loads(Path("inferred/record.json").read_text())
    assert record["findings"] == ["label order: the classes are the labels of 'train', sorted: bad, good"]
    assert json.loads(Path("inferred/config.json").read_text())["id2label"] == {"0": "bad", "1": "good"}
    Path("validation.jsonl").write_text('{"title": "a", "body": "b", "stars": "fair"}\n')
    assert "'fair' is not one of the classes; known: bad, good" in zoo("train", recipe).err


@pytest.mark.parametrize("kind", ["classification", "multilabel"])
def test_a_number_of_classes_is_compared_with_the_labels(tmp_path: Path, kind: str) -> None:
    (tmp_path / "train.csv").write_text("text,label\nx,b\ny,a\n")
    data = {"train": file(tmp_path / "train.csv")}
    arguments: dict[str, Any] = {"data": data, "text": "text", "tokenizer": None, "kind": kind, "scored": ["train"]}
    right = text_classification(**arguments, classes=2)
    assert right.load("train").labels.tolist() in ([1, 0], [[0, 1], [1, 0]])
    assert right.class_names == ("a", "b")
    with pytest.raises(UsageError, match="the data have 2 classes, but the recipe says 3"):
        text_classification(**arguments, classes=3).load("train")


def test_class_numbers_need_no_training_split_and_are_compared_with_the_number_of_classes(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("text,label\nx,0\ny,2\n")
    data = {"train": file(tmp_path / "absent.csv"), "test": file(tmp_path / "test.csv")}
    arguments: dict[str, Any] = {"data": data, "text": "text", "tokenizer": None, "scored": ["test"]}
    assert text_classification(**arguments, classes=4).load("test").labels.tolist() == [0, 2]
    with pytest.raises(UsageError, match="the data have 3 classes, but the recipe says 2"):
        text_classification(**arguments, classes=2).load("test")
