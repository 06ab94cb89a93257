"""Tables as they are found: without a header, with more fields, in other encodings, with hidden labels."""

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.evaluation.holdout import with_holdout
from tests.helpers.project import Write, Zoo
from zoo.errors import SourceError, UsageError
from zoo.fetch.sources import Source, Sources
from zoo.recipes.schema import Holdout
from zoo.tasks import semantic_similarity, text_classification
from zoo.tasks.dialect import Dialect
from zoo.tasks.splits import TextSplit
from zoo.tasks.tables import read_file

COLA = "gj04\t1\t\tRose keeps the dog.\ngj04\t0\t*\tKeeps rose dog the.\n"
RAGGED = "news\ta\tA plane.\tAn air plane.\nnews\tb\tA man.\tA man is.\tMSR\thttp://x\n"


def rows(text: str, tmp_path: Path, name: str = "a.tsv", **dialect: Any) -> dict[str, list[Any]]:
    path = tmp_path / name
    path.write_bytes(text.encode(dialect.get("encoding") or "utf-8"))
    return dict(read_file(path, Dialect(**dialect)).columns)


def task_of(files: dict[str, Path], **arguments: Any) -> Any:
    data = {split: Source(Sources(), f"file:{path}") for split, path in files.items()}
    return text_classification(data=data, tokenizer=None, **arguments)


def test_a_file_without_a_header_has_columns_by_number(tmp_path: Path) -> None:
    assert list(rows(COLA, tmp_path, header=False)) == ["0", "1", "2", "3"]
    (tmp_path / "three.tsv").write_text('0\t"he said\n1\tand left"\n0\tfine\n')
    split = task_of({"test": tmp_path / "three.tsv"}, text=1, label=0, header=False).load("test")
    assert split.texts == [('"he said',), ('and left"',), ("fine",)]
    assert split.labels.tolist() == [0, 1, 0]
    with pytest.raises(UsageError, match="no column 4; columns are numbered from 0 to 1"):
        task_of({"test": tmp_path / "three.tsv"}, text=4, label=0, header=False).load("test")
    with pytest.raises(
        UsageError, match="no column 'text'; the file has no header, so columns are numbers from 0 to 1"
    ):
        task_of({"test": tmp_path / "three.tsv"}, text="text", label=0, header=False).load("test")
    with pytest.raises(UsageError, match=r"no column 'text'.*if the first line is a row, set header: false"):
        task_of({"test": tmp_path / "three.tsv"}, text="text", label=0).load("test")


def test_columns_of_a_file_without_a_header_can_get_names_for_each_split(tmp_path: Path) -> None:
    names = ["source", "label", "mark", "sentence"]
    (tmp_path / "dev.tsv").write_text(COLA)
    (tmp_path / "test.tsv").write_text("index\tsentence\n0\tBill keeps mark.\n")
    files = {"validation": tmp_path / "dev.tsv", "test": tmp_path / "test.tsv"}
    task = task_of(files, text="sentence", scored="validation", header={"validation": names})
    assert [len(task.load(split)) for split in files] == [2, 1]
    assert task.load("validation").labels.tolist() == [1, 0]
    with pytest.raises(SourceError, match="line 1: 4 fields, but the header has 3"):
        rows(COLA, tmp_path, header=names[:3])
    with pytest.raises(UsageError, match="header is 'label'; it must be true, false, or the names of all columns"):
        Dialect(header="label")


def test_columns_have_numbers_beside_their_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label,text\n1,rose\n0,mark\n")
    assert task_of({"test": tmp_path / "a.csv"}, text=1, label=0).load("test").texts == [("rose",), ("mark",)]
    (tmp_path / "a.jsonl").write_text('{"label": 1, "text": "rose"}\n')
    with pytest.raises(UsageError, match="only CSV and TSV have these, so name one of label, text"):
        task_of({"test": tmp_path / "a.jsonl"}, text=1, label=0).load("test")


def test_fields_beyond_the_columns_are_left_out_only_if_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"line 2: 6 fields, but the first line has 4; .*set extra_fields: true"):
        rows(RAGGED, tmp_path, header=False)
    assert rows(RAGGED, tmp_path, header=False, extra_fields=True)["3"] == ["An air plane.", "A man is."]
    with pytest.raises(SourceError, match="line 2: 2 fields, but the first line has 4"):
        rows("a\tb\tc\td\na\tb\n", tmp_path, header=False, extra_fields=True)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "shift_jis"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_every_encoding_gives_the_same_texts(encoding: str, name: str, tmp_path: Path) -> None:
    word = "\u6625" if encoding == "shift_jis" else "caf\xe9"
    text = f'{{"text": "{word}"}}\n' if name == "a.jsonl" else f"text\n{word}\n"
    assert rows(text, tmp_path, name, encoding=encoding) == {"text": [word]}
    if encoding in ("utf-16", "utf-32", "utf-8-sig"):  # a byte order mark is certain
        assert read_file(tmp_path / name).columns == {"text": [word]}
        with pytest.raises(SourceError, match=r"begins with the byte order mark of UTF-.*so it is not in latin-1"):
            read_file(tmp_path / name, Dialect(encoding="latin-1"))


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        (
            b"text\nrose\ncaf\xe9\n",
            None,
            "line 3: the file is not in UTF-8: the byte 0xe9; save it in UTF-8, or name its",
        ),
        ("text\nrose\n".encode("utf-16") + b"\x00\xd8\n\x00", None, "line 3: the file is not in UTF-16: the byte 0x00"),
        (b"text\n\x81\n", "cp1252", "line 2: the file is not in CP1252: the byte 0x81"),
    ],
)
def test_a_byte_that_is_not_in_the_encoding_is_reported_with_its_line(
    data: bytes, encoding: str | None, message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(SourceError) as caught:
        read_file(tmp_path / "a.csv", Dialect(encoding=encoding))
    assert message in str(caught.value)


def test_a_misspelled_encoding_is_reported_with_its_position(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(COLA)
    path = recipe_file(
        "name: wild\n"
        "task:\n"
        "  use: text_classification\n"
        "  data: {train: 'file:a.tsv', test: 'file:a.tsv'}\n"
        "  text: 3\n"
        "  label: 1\n"
        "  header: false\n"
        "  encoding: latin_one\n"
        "tokenizer: {use: wordpiece, vocab: 'embedded:entail-vocab.txt'}\n"
        "model: {use: bert_classifier, layers: 1, hidden: 8, heads: 1, intermediate: 8, vocab_size: 70,"
        " num_labels: 2}\n"
        "stages:\n"
        "  - {epochs: 1, batch_size: 2, optimizer: {use: AdamW, lr: 1e-3}, criterion: {ce: {loss: CrossEntropy}}}\n"
    )
    completed = zoo("check", path)
    assert f"{path}:8:3: unknown encoding 'latin_one'; did you mean latin-1?" in completed.err
    path.write_text(path.read_text().replace("latin_one", "latin-1"))
    assert zoo("check", path).code == 0
    assert zoo("train", path).code == 0


@pytest.mark.parametrize("test", ["text\tlabel\nrose\t-1\nmark\t-1\n", "text\nrose\nmark\n"])
@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression"])
def test_hidden_labels_of_a_split_that_is_not_scored_are_no_error(test: str, kind: str, tmp_path: Path) -> None:
    for name, text in (("train", "text\tlabel\nrose\t1\nmark\t0\n"), ("test", test)):
        (tmp_path / f"{name}.tsv").write_text(text)
    files = {"train": tmp_path / "train.tsv", "validation": tmp_path / "train.tsv", "test": tmp_path / "test.tsv"}
    classes = [] if kind == "regression" else ["no", "yes"]
    task = task_of(files, text="text", scored="validation", kind=kind, classes=classes)
    assert [len(task.load(split)) for split in files] == [2, 2, 2]
    held = with_holdout(task, Holdout(of="test", share=0.5, seed=1, name="held"))
    with pytest.raises(UsageError, match="the labels of 'test' are hidden, so no part of it can be scored"):
        held.load("held")
    if kind != "regression":  # -1 may be a score
        with pytest.raises(
            UsageError, match=r"('-1' is|no column 'label').*leave it out: write scored: \[validation\]"
        ):
            task_of(files, text="text", kind=kind, classes=classes).load("test")


def test_pairs_with_a_score_are_read_in_every_dialect(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes("4.5\tcaf\xe9\tcoffee\tMSR\n1\ta\tb\n".encode("latin-1"))
    data = {"validation": Source(Sources(), f"file:{tmp_path / 'a.tsv'}")}
    names = ["score", "first", "second"]
    dialect: Any = {"header": names, "extra_fields": True, "encoding": "latin-1"}
    split = semantic_similarity(data=data, text=["first", 2], tokenizer=None, **dialect).load("validation")
    assert isinstance(split, TextSplit)
    assert split.texts == [("caf\xe9", "coffee"), ("a", "b")]
    assert torch.equal(split.labels, torch.tensor([4.5, 1.0]))
