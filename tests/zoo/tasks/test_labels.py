"""Labels: the same values are the same classes in every format, and a value that is no class is an error."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from zoo.errors import UsageError
from zoo.fetch.sources import Source, Sources
from zoo.tasks import text_classification
from zoo.tasks.labels import to_class_numbers, to_label_sets, to_numbers


def in_every_format(folder: Path, values: Sequence[Any]) -> list[Path]:
    """Write a column of labels in every format; parquet keeps the types of the values."""
    texts = [json.dumps(value) if not isinstance(value, str) else value for value in values]
    (folder / "a.csv").write_text("text,label\n" + "".join(f"rose,{text}\n" for text in texts))
    (folder / "a.tsv").write_text("text\tlabel\n" + "".join(f"rose\t{text}\n" for text in texts))
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": "rose", "label": value}) + "\n" for value in values))
    pq.write_table(pa.table({"text": ["rose"] * len(values), "label": list(values)}), folder / "a.parquet")
    return [folder / f"a.{ending}" for ending in ("csv", "tsv", "jsonl", "parquet")]


def labels(path: Path, classes: Sequence[Any]) -> list[int]:
    data = {"train": Source(Sources(), f"file:{path}")}
    options: Any = {"data": data, "text": "text", "classes": classes, "scored": [], "tokenizer": None}
    numbers: list[int] = text_classification(**options).load("train").labels.tolist()
    return numbers


@pytest.mark.parametrize(
    ("values", "classes", "expected"),
    [
        ([1, 2, 1, 2], ["1", "2"], [0, 1, 0, 1]),
        ([1, 2, 1, 2], ["1", "2", "3"], [0, 1, 0, 1]),
        ([1, 2, 1, 2], ["2", "1", "0"], [1, 0, 1, 0]),
        ([1, 2, 1, 2], [1, 2, 3], [0, 1, 0, 1]),
        ([0, 1], ["bad", "good"], [0, 1]),
        ([True, False], ["true", "false"], [0, 1]),
        ([True, False], [False, True], [1, 0]),
        (["NA", "null"], ["null", "NA"], [1, 0]),
        (["2020-01-01", "2021-01-01"], ["2021-01-01", "2020-01-01"], [1, 0]),
        ([1, 0], [], [1, 0]),
    ],
)
def test_the_same_labels_are_the_same_classes_in_every_format(
    values: list[Any], classes: list[Any], expected: list[int], tmp_path: Path
) -> None:
    for path in in_every_format(tmp_path, values):
        assert labels(path, classes) == expected, path.name


@pytest.mark.parametrize(
    ("values", "classes", "message"),
    [
        ([1, 2, 3], ["1", "2"], "row 2: .*3.* is not one of the classes; known: 1, 2"),
        ([0, 1, 2], ["1", "2", "3"], "row 0: .*0.* is not one of the classes"),
        ([0, 1, 2], ["bad", "good"], "row 2: .*2.* is not a class number; expected 0 to 1"),
        (["good", "Good"], ["bad", "good"], "row 1: 'Good' is not one of the classes; did you mean good"),
        (["good", ""], ["bad", "good"], "row 1: '' is not one of the classes"),
        (["good", "1"], ["bad", "good"], "row 1: '1' is not one of the classes"),
        (["01", "1"], ["bad", "good"], "row 0: '01' is not one of the classes"),
        ([-1, 0], ["bad", "good"], "row 0: .*-1.* is not one of the classes"),
    ],
)
def test_a_class_that_does_not_exist_is_an_error_in_every_format(
    values: list[Any], classes: list[Any], message: str, tmp_path: Path
) -> None:
    for path in in_every_format(tmp_path, values):
        with pytest.raises(UsageError, match=message):
            labels(path, classes)


def test_numbers_are_class_numbers_only_if_no_class_is_called_like_one() -> None:
    assert to_class_numbers(["true", "True", True], ["True", "true"]) == [1, 0, 1]
    assert to_class_numbers(["1.0", 0.0], ["bad", "good"]) == [1, 0]
    assert to_class_numbers([1.0, "0"], ["0", "1"]) == [1, 0]
    assert to_class_numbers([True], ["False", "TRUE"]) == [1]
    with pytest.raises(UsageError, match=r"row 0: 1\.0 is not one of the classes"):
        to_class_numbers([1.0], ["1", "2"])
    for value in (None, [1], {"a": 1}, b"1", float("nan")):
        with pytest.raises(UsageError, match=r"row 0: .* is not one of the classes"):
            to_class_numbers([value], ["bad", "good"])


def test_sets_of_classes_are_lists_or_texts() -> None:
    expected = torch.tensor([[1.0, 1], [1, 0], [0, 0], [0, 1]])
    assert torch.equal(to_label_sets([["1", "2"], "1", [], 2], ["1", "2"]), expected)
    assert torch.equal(to_label_sets(["1|2", "1", "", "2"], ["1", "2"]), expected)
    with pytest.raises(UsageError, match="row 2: 'c' is not one of the classes"):
        to_label_sets([["a"], [], ["a", "c"]], ["a", "b"])
    with pytest.raises(UsageError, match="row 1: None is not a list of classes"):
        to_label_sets([["a"], None], ["a", "b"])


def test_numbers_of_a_regression_are_read_from_every_type() -> None:
    assert to_numbers(["1.5", 2, 0.25, "-1e-3", ".5"]) == [1.5, 2.0, 0.25, -0.001, 0.5]
    for value in ("nan", "inf", "1_000", "", "1,5", True, None, float("nan"), "1e999"):
        with pytest.raises(UsageError, match=r"row 1: .* is not a number"):
            to_numbers([0, value])


@pytest.mark.parametrize(
    ("classes", "kind", "message"),
    [
        (["a", "a", "b"], "classification", "the class 'a' is listed twice"),
        (["1", 1], "classification", "the class '1' is listed twice"),
        (["a", ""], "classification", "classes: '' is not the name of a class"),
        (["a", None], "classification", "classes: None is not the name of a class"),
        ("ab", "classification", "classes must be a list"),
        (["a|b", "c"], "multilabel", "holds '|', which separates the classes of a row"),
    ],
)
def test_a_wrong_list_of_classes_is_refused(classes: Any, kind: Any, message: str) -> None:
    options: Any = {"data": {"train": Source(Sources(), "file:a.csv")}, "text": "text", "scored": [], "tokenizer": None}
    with pytest.raises(UsageError) as raised:
        text_classification(classes=classes, kind=kind, **options)
    assert message in str(raised.value)
