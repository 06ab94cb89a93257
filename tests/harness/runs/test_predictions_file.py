"""Files of predictions are read by the rules of labels: names first, and nothing outside the classes is scored."""

import io
import json
from pathlib import Path
from typing import Any
from zipfile import ZIP_LZMA, ZipFile

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.runs.predictions_file import read_predictions
from tests.helpers.project import TINY, Write, Zoo
from zoo.errors import UsageError, ZooError

LABELS = np.array([0, 1, 0, 1])


def in_every_format(folder: Path, columns: dict[str, list[Any]]) -> list[Path]:
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    for separator, ending in ((",", "csv"), ("\t", "TSV")):
        lines = [separator.join(columns), *(separator.join(map(str, row.values())) for row in rows)]
        (folder / f"a.{ending}").write_text("\n".join(lines) + "\n")
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return [folder / f"a.{ending}" for ending in ("csv", "TSV", "jsonl", "parquet")]


@pytest.mark.parametrize(
    ("predictions", "names", "expected"),
    [
        (["1", "2", "1", "2"], ("1", "2", "3"), [0, 1, 0, 1]),
        ([1, 2, 1, 2], ("1", "2", "3"), [0, 1, 0, 1]),
        ([0, 1, 0, 1], ("bad", "good"), [0, 1, 0, 1]),
        (["bad", "good", "bad", "bad"], ("bad", "good"), [0, 1, 0, 0]),
        (["NA", "None", "NA", "NA"], ("None", "NA"), [1, 0, 1, 1]),
    ],
)
def test_names_come_before_class_numbers(
    predictions: list[Any], names: tuple[str, ...], expected: list[int], tmp_path: Path
) -> None:
    for path in in_every_format(tmp_path, {"prediction": predictions}):
        assert read_predictions(path, "classification", LABELS, names).tolist() == expected, path.name
    for path in in_every_format(tmp_path, {"id": [3, 2, 1, 0], "prediction": predictions}):
        assert read_predictions(path, "classification", LABELS, names).tolist() == expected[::-1], path.name


@pytest.mark.parametrize("names", [("bad", "good"), ("2", "1"), ("False", "True")])
def test_class_numbers_of_a_file_mean_the_names_that_the_file_declares(names: tuple[str, ...], tmp_path: Path) -> None:
    features = datasets.Features({"prediction": datasets.ClassLabel(names=names[::-1])})
    pq.write_table(pa.table({"prediction": [0, 1, 1, 1]}, schema=features.arrow_schema), tmp_path / "a.parquet")
    assert read_predictions(tmp_path / "a.parquet", "classification", LABELS, names).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prediction": [0, 1, 2, 1]}, "row 2: .*2.* is not a class number; expected 0 to 1"),
        ({"prediction": [0, 1, -1, 1]}, "row 2: .*-1.* is not one of the classes"),
        ({"prediction": ["bad", "ugly", "bad", "bad"]}, "row 1: 'ugly' is not one of the classes; known: bad, good"),
        ({"prediction": ["bad"]}, "1 predictions for 4 examples"),
        ({"guess": ["bad"] * 4}, "no column 'prediction'; the columns are guess"),
        ({"id": ["0", "x", "2", "3"], "prediction": ["bad"] * 4}, "1 is missing"),
        ({"id": ["0", "1", "1", "3"], "prediction": ["bad"] * 4}, "row 2: the id .*1.* occurs twice"),
        ({"id": list(range(5)), "prediction": ["bad"] * 5}, "there is no row '4'"),
    ],
)
def test_predictions_that_do_not_fit_are_an_error_with_their_row(
    columns: dict[str, list[Any]], message: str, tmp_path: Path
) -> None:
    for path in in_every_format(tmp_path, columns):
        with pytest.raises(UsageError, match=message) as raised:
            read_predictions(path, "classification", LABELS, ("bad", "good"))
        assert str(raised.value).startswith(f"{path}: ")


def test_several_labels_and_numbers_are_read_from_tables(tmp_path: Path) -> None:
    (path,) = in_every_format(tmp_path, {"prediction": ["a|b", "b"]})[:1]
    assert read_predictions(path, "multilabel", np.zeros((2, 2)), ("a", "b")).tolist() == [[1, 1], [0, 1]]
    for path in in_every_format(tmp_path, {"prediction": [0.5, 2.0]}):
        assert read_predictions(path, "regression", np.zeros(2), ()).tolist() == [0.5, 2.0]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([0, 1, 2, 1]), "row 2: 2 is not a class number; expected 0 to 1"),
        (np.array([0, 1, 0.5, 1]), "row 2: 0.5 is not a class number"),
        (np.array([0, 1, np.nan, 1]), "must be finite numbers"),
        (np.array(5), r"predictions have the shape \(\), the labels \(4,\)"),
        (np.array(["bad", "good", "bad", "ugly"]), "row 3: 'ugly' is not one of the classes"),
        (np.array([{}] * 4), "cannot be read as predictions: ValueError"),
    ],
)
def test_an_array_that_does_not_fit_is_an_error(array: Any, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", predictions=array)
    with pytest.raises(UsageError, match=message):
        read_predictions(tmp_path / "a.npz", "classification", LABELS, ("bad", "good"))


def damaged_archives() -> dict[str, bytes]:
    buffer = io.BytesIO()
    np.save(buffer, LABELS)
    claimed = buffer.getvalue().replace(b"(4,), }           ", b"(1000000000000,), }")
    archives = {"empty": b"", "plain": buffer.getvalue()}
    for name, content in (("another shape", claimed), ("cut off", buffer.getvalue()[:-3]), ("no header", b"junk")):
        packed = io.BytesIO()
        with ZipFile(packed, "w") as archive:
            archive.writestr("predictions.npy", content)
        archives[name] = packed.getvalue()
    with ZipFile(packed := io.BytesIO(), "w", ZIP_LZMA) as archive:
        archive.writestr("predictions.npy", buffer.getvalue())
    archives["damaged LZMA"] = packed.getvalue().replace(b"NUMPY", b"NVMPY")[:60] + packed.getvalue()[63:]
    archives["encrypted"] = bytes(byte | (n == 6) for n, byte in enumerate(archives["cut off"]))
    return archives


@pytest.mark.parametrize(("content"), damaged_archives().values(), ids=damaged_archives())
def test_a_damaged_archive_is_one_documented_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ZooError, match=r"a\.npz: "):
        read_predictions(tmp_path / "a.npz", "classification", LABELS, ("bad", "good"))


def test_predictions_of_unnamed_classes_are_checked_against_the_outputs_of_the_model(
    zoo: Zoo, recipe_file: Write
) -> None:
    Path("a.csv").write_text("text,label\n" + "rose,0\nmark,1\n" * 2)
    task = "{use: text_classification, data: {validation: 'file:a.csv'}, text: text}"
    model = "{use: bert_classifier, layers: 1, hidden: 8, heads: 1, intermediate: 8, vocab_size: 70, num_labels: 3}"
    tokenizer = "tokenizer: {use: wordpiece, vocab: 'embedded:entail-vocab.txt'}"
    head = TINY.split("stages:")[0].replace("task: digits", f"task: {task}\n{tokenizer}")
    path = recipe_file(head.split("model:")[0] + f"model: {model}\nmetrics: [accuracy]\n")
    Path("mine.csv").write_text("prediction\n0\n1\n2\n1\n")
    completed = zoo("evaluate", "mine.csv", "--as", path, "--json")
    assert completed.code == 0, completed.err
    assert json.loads(completed.out)["results"][0]["measured"] == 0.75
    Path("mine.csv").write_text("prediction\n0\n1\n3\n1\n")
    completed = zoo("evaluate", "mine.csv", "--as", path)
    assert (completed.code, completed.lines) == (2, ["mine.csv: row 2: '3' is not a class number; expected 0 to 2"])
