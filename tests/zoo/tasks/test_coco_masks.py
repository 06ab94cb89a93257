"""The shapes of COCO's annotations that exporters write: each is drawn, or refused with its object and image."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from zoo.errors import SourceError
from zoo.tasks.coco_masks import draw_mask, read_annotations

SIDE = 20
SQUARE = [2, 2, 10, 2, 10, 10, 2, 10]
PAIRS = [[2, 2], [10, 2], [10, 10], [2, 10]]
CORNER = np.zeros((SIDE, SIDE + 10), np.uint8)
CORNER[3:7, 1:18] = 1
PACKED = coco_mask.encode(np.asfortranarray(CORNER))["counts"].decode()
SIZE = [SIDE, SIDE + 10]
COLUMN = np.zeros(SIZE, bool)
COLUMN[3:7, 1] = True


def annotations(folder: Path, *items: dict[str, Any], categories: Any = ()) -> Path:
    """Write the annotations of one image of 30 x 20 pixels; an object is an airplane unless it says otherwise."""
    images = [{"id": 7, "file_name": "7.jpg", "height": SIDE, "width": SIDE + 10}]
    filled = [{"id": n, "image_id": 7, "category_id": 5, "bbox": [0, 0, 5, 5], **item} for n, item in enumerate(items)]
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": filled, "categories": list(categories)}))
    return path


def drawn(folder: Path, segmentation: Any) -> Any:
    (image,) = read_annotations(annotations(folder, {"segmentation": segmentation}), boxes=True)
    return (draw_mask(image) == 1).numpy()


def by_the_api(shape: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return coco_mask.decode(coco_mask.frPyObjects(shape, *SIZE)).any(axis=2)


DRAWN = {
    "polygons": ([SQUARE, [12, 2, 18, 2, 18, 8]], by_the_api([SQUARE, [12, 2, 18, 2, 18, 8]])),
    "one polygon without a list": (SQUARE, by_the_api([SQUARE])),
    "points as pairs": ([PAIRS], by_the_api([SQUARE])),
    "one polygon of pairs": (PAIRS, by_the_api([SQUARE])),
    "two points have no area": ([[2, 2, 10, 10]], np.zeros(SIZE, bool)),
    "two points, then a square": ([[2, 2, 10, 10], SQUARE], by_the_api([SQUARE])),
    "run lengths": ({"size": SIZE, "counts": [23, 4, 573]}, COLUMN),
    "compressed run lengths": ({"size": SIZE, "counts": PACKED}, CORNER == 1),
    "a list of run lengths": ([{"size": SIZE, "counts": PACKED}], CORNER == 1),
    "slightly outside": ([[-1, -1, 10, -1, 10, 10, -1, 10]], by_the_api([[-1, -1, 10, -1, 10, 10, -1, 10]])),
}


@pytest.mark.parametrize(("segmentation", "expected"), DRAWN.values(), ids=DRAWN)
def test_a_shape_of_an_exporter_is_drawn(segmentation: Any, expected: Any, tmp_path: Path) -> None:
    assert np.array_equal(drawn(tmp_path, segmentation), expected)


REFUSED = {
    "empty": ([], "its segmentation is empty"),
    "missing": (None, "its segmentation null is neither polygons nor run lengths"),
    "an odd number": ([[1, 2, 3, 4, 5]], "is not a list of coordinates"),
    "a text": ([["1", "2", "3", "4", "5", "6"]], "is not a list of coordinates"),
    "no number": ([[1, 2, 3, float("nan"), 5, 6]], "is not a list of coordinates"),
    "an empty polygon": ([[], SQUARE], "its polygon [] is not a list of coordinates"),
    "far outside": ([[2, 2, 1e9, 2, 10, 10]], "is far outside the image of 30 x 20 pixels"),
    "another size": ({"size": [30, 20], "counts": [600]}, "its run lengths are for [30, 20] pixels, the image is [20"),
    "too short": ({"size": SIZE, "counts": [3, 4]}, "do not add up to the 600 pixels"),
    "negative": ({"size": SIZE, "counts": [3, -4, 601]}, "do not add up"),
    "compressed and too short": ({"size": SIZE, "counts": "04"}, "do not add up"),
    "compressed and cut": ({"size": SIZE, "counts": PACKED + "o"}, "its compressed run lengths are damaged"),
    "compressed and no ASCII": ({"size": SIZE, "counts": "\u1234"}, "its compressed run lengths are damaged"),
    "no counts": ({"size": SIZE}, "is neither polygons nor run lengths"),
}


@pytest.mark.parametrize(("segmentation", "message"), REFUSED.values(), ids=REFUSED)
def test_another_shape_is_refused_with_its_object_and_image(segmentation: Any, message: str, tmp_path: Path) -> None:
    path = annotations(tmp_path, {"segmentation": [SQUARE]}, {"segmentation": segmentation})
    with pytest.raises(SourceError) as raised:
        read_annotations(path, boxes=False)
    assert str(raised.value).startswith(f"{path}: object 1 of image 7.jpg: ")
    assert message in str(raised.value)


@pytest.mark.parametrize("seed", range(5))
def test_compressed_run_lengths_are_read_as_by_the_api(seed: int, tmp_path: Path) -> None:
    mask = (np.random.default_rng(seed).random(SIZE) < (0.02, 0.2, 0.5, 0.9, 1)[seed]).astype(np.uint8)
    packed = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    assert np.array_equal(drawn(tmp_path, {"size": SIZE, "counts": packed}), mask == 1)


def test_categories_are_found_by_their_names(tmp_path: Path) -> None:
    names = [{"id": 0, "name": "Tree"}, {"id": 1, "name": "sofa"}, {"id": 2, "name": "dining_table"}]
    items = [{"category_id": number, "segmentation": [SQUARE]} for number in (0, 2)]
    (image,) = read_annotations(annotations(tmp_path, *items, categories=names), boxes=False)
    assert [item.label for item in image.objects] == [11]


@pytest.mark.parametrize(
    ("item", "categories", "message"),
    [
        ({}, [{"id": 5, "name": "tree"}], 'none of the categories is a class of VOC: ["tree"]'),
        ({"category_id": 3}, [{"id": 5, "name": "bus"}], "object 0 of image 7.jpg: its category 3 is not listed"),
        ({}, [{"id": 5, "name": "bus"}, {"id": 5, "name": "car"}], "two categories have the same id"),
        ({"image_id": "7"}, [], "object 0 is of image '7', which is not listed"),
        ({"bbox": None}, [], "object 0 of image 7.jpg: its bbox is null, not [x, y, width, height]"),
    ],
)
def test_objects_without_a_category_an_image_or_a_box_are_refused(
    item: dict[str, Any], categories: Any, message: str, tmp_path: Path
) -> None:
    path = annotations(tmp_path, {"segmentation": [SQUARE], **item}, categories=categories)
    with pytest.raises(SourceError) as raised:
        read_annotations(path, boxes=True)
    assert message in str(raised.value)
