"""The classes of a recipe, of a data set and of a trained model are matched by their names."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import BertForSequenceClassification

from harness.runs.export import export
from harness.runs.predictions_file import read_predictions
from tests.helpers.glue_hub import config, parquet
from tests.helpers.hub_server import LocalHub
from zoo.class_names import match_classes, match_labels
from zoo.errors import SourceError, UsageError
from zoo.fetch.fetched import Fetched
from zoo.fetch.hub import Hub
from zoo.fetch.lock import Lock
from zoo.fetch.sources import Source, Sources
from zoo.tasks import text_classification
from zoo.tasks.base import Task
from zoo.tasks.labels import to_class_numbers, to_text
from zoo.tasks.splits import TextSplit
from zoo.tasks.tables import read_repository

Declare = Callable[..., Task]


def class_labels(numbers: Sequence[int], names: Sequence[str], texts: Sequence[str] = ("a", "b")) -> bytes:
    """Return a parquet file that declares these names for the numbers in its column `label`."""
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=list(names))})
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": texts, "label": numbers}, schema=features.arrow_schema), buffer)
    return buffer.getvalue()


def card_of(names: Sequence[str]) -> bytes:
    """Return the card of a data set that declares these names for its column `label`."""
    label = {"name": "label", "dtype": {"class_label": {"names": dict(enumerate(names))}}}
    info = {"config_name": "default", "features": [{"name": "text", "dtype": "string"}, label]}
    return f"---\n{json.dumps({'dataset_info': info})}\n---\n".encode()


def repository(folder: Path, files: Mapping[str, bytes]) -> Fetched:
    """Write the files of a data set of the Hub, as if they had been fetched."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return Fetched("hub:datasets/a/b", folder, "", {f"hub:datasets/a/b/{name}": "" for name in files})


def from_files(**options: Any) -> Task:
    """Return a task on the files `train.parquet` and `validation.parquet` of the working directory."""
    data = {split: Source(Sources(), f"file:{split}.parquet") for split in ("train", "validation")}
    return text_classification(data=data, text="text", tokenizer=None, **options)


@pytest.fixture
def declare(tmp_path: Path) -> Iterator[Declare]:
    """A function that returns a task on rows 0, 1, 1 of a data set of the Hub that declares these class names."""
    with LocalHub() as server:

        def make(declared: Sequence[Any], classes: Sequence[Any], name: str = "a/tone", **options: Any) -> Task:
            rows = class_labels([0, 1, 1], [str(to_text(one)) for one in declared], ["good", "bad", "fine"])
            server.add("datasets", name, {"README.md": card_of(declared), "test.parquet": rows})
            hub = Hub(deadline=10)
            hub.endpoint, hub.cache = server.url, tmp_path / "cache[1]"
            sources = Sources(lock=Lock(tmp_path / "lock", {}, tmp_path / "trusted.json"), hub=hub)
            return text_classification(
                data=Source(sources, f"hub:datasets/{name}"), text="text", splits=["test"], scored=["test"],
                tokenizer=None, classes=classes, **options,
            )  # fmt: skip

        yield make


@pytest.mark.parametrize(
    ("declared", "classes", "labels", "note"),
    [
        (("negative", "positive"), ["positive", "negative"], [1, 0, 0], None),
        (("Negative", "POSITIVE"), ["positive", "negative"], [1, 0, 0], None),
        (("neg", "pos"), ["positive", "negative"], [1, 0, 0], "'neg' for 'negative', 'pos' for 'positive'"),
        (("negative", "positive"), ["positive", "neutral", "negative"], [2, 0, 0], None),
        (("negative", "positive"), [], [0, 1, 1], None),
        (("1", "2"), ["2", "1"], [1, 0, 0], None),
        ((2, True), ["true", "2"], [1, 0, 0], None),
        ((None, "b"), [], [0, 1, 1], None),
        (("1", "2"), [2, 1, 0], [1, 0, 0], None),
        (("0", "1"), ["positive", "negative"], [0, 1, 1], "the data set does not name them: 0, 1"),
        (("LABEL_0", "LABEL_1"), ["positive", "negative"], [0, 1, 1], "LABEL_0, LABEL_1 for positive, negative"),
    ],
)
def test_the_classes_of_a_data_set_are_found_in_the_recipe_by_name(
    declared: tuple[Any, ...], classes: list[Any], labels: list[int], note: str | None, declare: Declare
) -> None:
    task = declare(declared, classes)
    assert task.load("test").labels.tolist() == labels
    assert task.class_names == tuple(map(str, classes or declared))
    assert len(task.class_notes) == (note is not None)
    assert not note or note in task.class_notes[0]


@pytest.mark.parametrize(
    ("declared", "classes"),
    [
        (("bad", "good"), ["positive", "negative"]),
        (("negative", "other"), ["positive", "negative"]),
        (("negative", "neutral", "positive"), ["positive", "negative"]),
        (("0", "1", "2"), ["positive", "negative"]),
    ],
)
def test_classes_that_do_not_match_are_refused_with_both_lists(
    declared: tuple[str, ...], classes: list[str], declare: Declare
) -> None:
    both = f"the data set has {', '.join(declared)}; the recipe has {', '.join(classes)}"
    with pytest.raises(UsageError, match=both):
        declare(declared, classes).load("test")


PARTS: dict[str, tuple[list[str], list[str], list[int] | None, str]] = {
    "the same": (["neg", "pos"], ["neg", "pos"], [0, 1, 0, 1], ""),
    "another order": (["neg", "pos"], ["pos", "neg"], [0, 1, 1, 0], ""),
    "capitals": (["neg", "pos"], ["Pos", "NEG"], [0, 1, 1, 0], ""),
    "synonyms": (["neg", "pos"], ["positive", "negative"], [0, 1, 1, 0], "'positive' for 'pos'"),
    "numbers": (["1", "0"], ["0", "1"], [0, 1, 1, 0], ""),
    "no names": (["neg", "pos"], ["LABEL_0", "LABEL_1"], [0, 1, 0, 1], "does not name them: LABEL_0, LABEL_1"),
    "another class": (["a", "b"], ["b", "c"], None, "b, c here, but a, b in the card or another file"),
    "a class more": (["a", "b"], ["a", "b", "c"], None, "a, b, c here, but a, b in"),
    "other numbers": (["1", "2"], ["2", "3"], None, "2, 3 here, but 1, 2 in"),
    "other names": (["bad", "good"], ["neg", "pos"], None, "neg, pos here, but bad, good in"),
}


@pytest.mark.parametrize(("first", "second", "labels", "message"), PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("has_card", [False, True])
def test_the_parts_of_a_data_set_are_matched_by_the_names_of_their_classes(
    first: list[str], second: list[str], labels: list[int] | None, message: str, has_card: bool, tmp_path: Path
) -> None:
    card = {"README.md": card_of(first)} if has_card else {}
    parts = {"train-0.parquet": class_labels([0, 1], first), "train-1.parquet": class_labels([0, 1], second)}
    fetched = repository(tmp_path, {**card, **parts, "test.parquet": class_labels([0, 1], second)})
    if labels is None:
        for split in ("train",) if not has_card else ("train", "test"):
            with pytest.raises(SourceError, match=message):
                read_repository(fetched, None, split)
        return
    table = read_repository(fetched, None, "train")
    assert (table.column("label"), message in "".join(table.notes)) == (labels, True)
    assert bool(table.notes) == bool(message)
    test = read_repository(fetched, None, "test")  # alone, in the order of the card or of `train`
    assert (test.classes, test.column("label")) == ({"label": tuple(first)}, labels[2:])


@pytest.mark.parametrize("order", [("train", "validation"), ("validation", "train")])
def test_the_splits_of_a_task_have_one_order_of_classes(
    order: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.parquet").write_bytes(class_labels([0, 1], ["negative", "positive"]))
    for names, labels, note in (
        (["positive", "negative"], [1, 0], ""),
        (["Positive", "neg"], [1, 0], "'neg' for 'negative'"),
        (["0", "1"], [0, 1], "does not name them"),
        (["positive", "other"], None, "the data set has positive, other; another split has negative, positive"),
    ):
        Path("validation.parquet").write_bytes(class_labels([0, 1], names))
        task = from_files()
        if labels is None:
            with pytest.raises(UsageError, match=note):
                task.load("validation")
            continue
        found = {split: task.load(split).labels.tolist() for split in order}
        assert found == {"train": [0, 1], "validation": labels}, names
        assert task.class_names == ("negative", "positive")
        assert note in "".join(task.class_notes)
        task = from_files(classes=["positive", "negative"])
        if not note:
            assert [task.load(split).labels.tolist() for split in ("train", "validation")] == [[1, 0], [0, 1]]


def test_a_task_refuses_splits_with_their_classes_in_different_orders() -> None:
    def split(*classes: str) -> TextSplit:
        return TextSplit([("a",), ("b",)], torch.tensor([0, 1]), tokenizer=None, classes=classes)

    orders = {"train": split("a", "b", "c"), "same": split("a", "b"), "none": split(), "other": split("b", "a")}
    splits = {name: partial(orders.get, name) for name in orders}
    task = Task(name="mine", splits=splits, scored=(), metrics=())  # type: ignore[arg-type]
    for name in ("same", "train", "none"):
        task.load(name)
    with pytest.raises(UsageError, match="the split 'other' declares the classes b, a, but 'same' in the order a, b"):
        task.load("other")


@pytest.mark.parametrize(
    ("classes", "values", "expected"),
    [
        (["1", "2", "3"], [1, 2], [0, 1]),
        (["2", "1"], [1, 2], [1, 0]),
        (["bad", "good"], [0, 1], [0, 1]),
        (["bad", "good"], ["good", "bad"], [1, 0]),
        (["false", "true"], [True, False], [1, 0]),
        (["FALSE", "True"], ["True", "FALSE"], [1, 0]),
        (["False", "True"], ["true", "false"], [1, 0]),
    ],
)
def test_one_card_means_the_same_over_every_format(
    classes: list[str], values: list[Any], expected: list[int], tmp_path: Path
) -> None:
    lines = [{"text": "a", "label": value} for value in values]
    files = {
        "a.csv": "text,label\n" + "".join(f"a,{value}\n" for value in values),  # as pandas writes True
        "b.tsv": "text\tlabel\n" + "".join(f"a\t{json.dumps(value).strip(chr(34))}\n" for value in values),
        "c.jsonl": "\n".join(map(json.dumps, lines)),
        "d.json": json.dumps(lines),
    }
    found = repository(
        tmp_path, {"README.md": card_of(classes), **{name: text.encode() for name, text in files.items()}}
    )
    (tmp_path / "e.parquet").write_bytes(parquet({"text": ["a", "a"], "label": values}, labels=None))
    found = replace(found, files={**found.files, "hub:datasets/a/b/e.parquet": ""})
    for split in "abcde":
        table = read_repository(found, None, split)
        assert to_class_numbers(table.column("label"), table.classes["label"]) == expected, split
        assert not table.coded


@pytest.mark.parametrize(
    ("names", "wanted", "positions", "note"),
    [
        (["0", "1"], ["1", "0"], (0, 1), "m does not name them: 0, 1 for 1, 0"),
        (["LABEL_0", "LABEL_1"], ["LABEL_1", "LABEL_0"], (0, 1), "LABEL_0, LABEL_1 for LABEL_1, LABEL_0"),
        (["1", "2"], ["class_2", "class_1"], (0, 1), "1, 2 for class_2, class_1"),
        (["0", "1"], ["0", "1"], (0, 1), None),
        (["n02", "n01440764"], ["n01440764", "n02"], (1, 0), None),
        (["n01443537", "n01440764"], ["n01440764", "n01443537"], (1, 0), None),
        (["0", "good"], ["good", "0"], (1, 0), None),
    ],
)
def test_numbers_are_no_names_of_the_classes_of_a_model(
    names: list[str], wanted: list[str], positions: tuple[int, ...], note: str | None
) -> None:
    match = match_classes(names, wanted, side="m", other="t")
    assert match.positions == positions
    assert (match.note is None) == (note is None)
    assert not note or note in str(match.note)
    assert match_labels(names, wanted, side="m", other="t").positions == (
        tuple(wanted.index(name) for name in names) if {*names} <= {*wanted} else positions
    )


def test_several_labels_are_matched_by_name_too(declare: Declare) -> None:
    task = declare(("negative", "positive"), ["positive", "neutral", "negative"], kind="multilabel")
    assert torch.equal(task.load("test").labels, torch.tensor([[0.0, 0, 1], [1, 0, 0], [1, 0, 0]]))


def test_right_predictions_and_exported_names_follow_the_recipe(declare: Declare, tmp_path: Path) -> None:
    task = declare(("negative", "positive"), ["positive", "negative"])
    labels = task.load("test").labels.numpy()
    (tmp_path / "right.csv").write_text("prediction\nnegative\npositive\npositive\n")
    predictions = read_predictions(tmp_path / "right.csv", "classification", labels, task.class_names)
    assert np.array_equal(predictions, labels)
    export(BertForSequenceClassification(config("base", num_labels=2)), task, None, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["id2label"] == {"0": "positive", "1": "negative"}


def test_the_names_of_the_model_that_a_training_started_from_are_not_exported(tmp_path: Path) -> None:
    start = config("base", num_labels=2)
    start.id2label = {0: "sad", 1: "happy"}
    task = Task(name="unnamed", splits={}, scored=(), metrics=())
    export(BertForSequenceClassification(start), task, None, tmp_path)
    saved = BertForSequenceClassification.config_class.from_pretrained(tmp_path)
    assert saved.id2label == {0: "LABEL_0", 1: "LABEL_1"}
