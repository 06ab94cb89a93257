"""The classes of annotations are compared with those of a detector before the first batch."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.models.detector_classes import check_classes, classes_note
from tests.helpers.coco_boxes import boxes_folder
from zoo.errors import UsageError
from zoo.fetch.sources import Source, Sources
from zoo.tasks import object_detection


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Any]:
    """Return a split with the categories 1 and 3, by whether they are numbered from 1."""
    root = boxes_folder(tmp_path_factory.mktemp("boxes") / "in")
    data = Source(Sources(data={"mine": root}), "data:mine")
    return {each: object_detection(data=data, contiguous=each).load("val") for each in (False, True)}


def model(outputs: int) -> Any:
    return SimpleNamespace(num_classes=outputs)


@pytest.mark.parametrize(
    ("contiguous", "outputs", "message"),
    [
        (False, 3, r"instances_val2017\.json: the split 'val' has an object of class 3, but the model has the classes 0"
         r" to 2, of which 0 is the background; set num_classes: 4 in the model, or contiguous: true in the task"),
        (False, 2, r"class 3, but .* classes 0 to 1, .*; set num_classes: 4 in the model$"),
        (True, 2, r"class 2, but .* classes 0 to 1, .*; set num_classes: 3 in the model$"),
    ],
)  # fmt: skip
def test_a_class_that_the_model_does_not_have_is_reported_with_its_file(
    contiguous: bool, outputs: int, message: str, splits: dict[bool, Any]
) -> None:
    with pytest.raises(UsageError, match=message):
        check_classes(model(outputs), splits[contiguous], "the split 'val'")


def test_more_classes_than_needed_and_other_models_are_not_reported(splits: dict[bool, Any]) -> None:
    for contiguous, outputs in ((False, 4), (False, 91), (True, 3), (True, 4)):
        check_classes(model(outputs), splits[contiguous], "the split 'val'")
    check_classes(SimpleNamespace(), splits[False], "the split 'val'")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("contiguous", "outputs", "note"),
    [
        (True, 4, "the model has 4 classes with the background, but the task numbers the categories of"
         " instances_val2017.json so that there are 3; 4 fits contiguous: false in the task"),
        (True, 3, None),
        (False, 4, None),
        (False, 91, None),
    ],
)  # fmt: skip
def test_a_number_of_classes_that_fits_only_the_other_numbering_is_noted(
    contiguous: bool, outputs: int, note: str | None, splits: dict[bool, Any]
) -> None:
    assert classes_note(model(outputs), splits[contiguous]) == note


def test_a_crowd_has_no_class_that_must_be_known(tmp_path: Path) -> None:
    root = boxes_folder(tmp_path / "in")
    path = root / "annotations" / "instances_val2017.json"
    data = json.loads(path.read_text())
    for item in data["annotations"]:
        item["iscrowd"] = int(item["category_id"] == 3)
    path.write_text(json.dumps(data))
    split = object_detection(data=Source(Sources(data={"mine": root}), "data:mine")).load("val")
    check_classes(model(2), split, "the split 'val'")
