"""The classes of a recipe, of a data set and of a trained model are matched by their names."""

import json
from collections.abc import Callable, Iterator, Sequence
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
from zoo.errors import SourceError, UsageError
from zoo.fetch.fetched import Fetched
from zoo.fetch.hub import Hub
from zoo.fetch.lock import Lock
from zoo.fetch.sources import Source, Sources
from zoo.tasks import text_classification
from zoo.tasks.base import Task
from zoo.tasks.tables import read_repository

Declare = Callable[..., Task]


@pytest.fixture
def declare(tmp_path: Path) -> Iterator[Declare]:
    """A function that returns a task on rows 0, 1, 1 of a data set of the Hub that declares these class names."""
    with LocalHub() as server:

        def make(declared: Sequence[Any], classes: Sequence[Any], name: str = "a/tone", **options: Any) -> Task:
            kind = {"class_label": {"names": dict(enumerate(declared))}}
            features = [{"name": "text", "dtype": "string"}, {"name": "label", "dtype": kind}]
            card = f"---\n{json.dumps({'dataset_info': {'config_name': 'default', 'features': features}})}\n---\n"
            rows = parquet({"text": ["good", "bad", "fine"], "label": [0, 1, 1]}, labels=pa.int64())
            server.add("datasets", name, {"README.md": card.encode(), "test.parquet": rows})
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


def test_a_file_that_declares_another_order_than_the_card_is_refused(tmp_path: Path) -> None:
    names = {"class_label": {"names": {"0": "negative", "1": "positive"}}}
    features = [{"name": "text", "dtype": "string"}, {"name": "label", "dtype": names}]
    card = f"---\n{json.dumps({'dataset_info': {'config_name': 'default', 'features': features}})}\n---\n"
    (tmp_path / "README.md").write_text(card)
    fetched = Fetched("hub:datasets/a/b", tmp_path, "", {"hub:datasets/a/b/test.parquet": ""})
    for order in (["negative", "positive"], ["positive", "negative"]):
        rows = {"text": ["a", "b"], "label": [0, 1]}
        declared = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=order)})
        pq.write_table(pa.table(rows, schema=declared.arrow_schema), tmp_path / "test.parquet")
        if order == ["negative", "positive"]:
            assert read_repository(fetched, None, "test").classes == {"label": ("negative", "positive")}
            continue
        with pytest.raises(SourceError, match="positive, negative here, but negative, positive in the card"):
            read_repository(fetched, None, "test")


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
