"""Average precision of arrays equals that of pycocotools for the original annotations and results."""

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from harness import detection_metrics as ours
from harness.detection_changes import one_detection
from harness.detection_metrics import MEASURES
from harness.diagnosis.diff.leave_out import without_each_group
from harness.metrics import measure

Array = NDArray[Any]
POSITIONS = {
    "average_precision": 0, "average_precision_50": 1, "average_precision_75": 2, "average_precision_small": 3,
    "average_precision_medium": 4, "average_precision_large": 5, "average_recall": 8,
}  # fmt: skip
"""The position of each metric in what COCOeval prints."""
CATEGORIES = (1, 3, 17, 90)


def made_objects(random: np.random.Generator, images: int) -> list[list[list[float]]]:
    """Return the objects of some images as in COCO's files: x, y, width, height, area, category, iscrowd."""
    listed = []
    for _ in range(images):
        objects = []
        for _ in range(random.integers(0, 7)):
            size = random.choice([8, 32, 60, 96, 200], 2) + random.choice([0.0, 0.25, -0.37], 2)
            box = [*np.round(random.uniform(0, 300, 2), 2), *size]
            area = box[2] * box[3] * random.choice([1.0, 0.6])
            objects.append([*box, area, random.choice(CATEGORIES), float(random.random() < 0.15)])
        listed.append(objects)
    return listed


def made_detections(random: np.random.Generator, objects: list[list[list[float]]], most: int) -> Array:
    """Return detections `(N, most, 6)`: moved objects, some twice and of a wrong class, and boxes without an object."""
    found = np.zeros((len(objects), most, 6), np.float32)
    for image, rows in enumerate(objects):
        if random.random() < 0.1:
            continue
        for place in range(random.integers(0, most + 1)):
            x, y, width, height, _, category, _ = rows[random.integers(len(rows))] if rows else [9, 9, 50, 50, 0, 3, 0]
            x, y, width, height = np.array([x, y, width, height]) + random.normal(0, random.choice([0.5, 5, 40]), 4)
            category = random.choice(CATEGORIES) if random.random() < 0.2 else category
            score = random.choice([0.3, 0.5, 0.9, random.random()])  # many ties
            corners = [x, y, x + abs(width) + 0.1, y + abs(height) + 0.1]
            found[image, place] = [*corners, score, category]
        found[image] = found[image][np.argsort(-found[image, :, 4], kind="stable")]
    return found


def stacked(objects: list[list[list[float]]]) -> Array:
    stack = np.full((len(objects), max(1, *map(len, objects)), 7), -1.0)
    for rows, listed in zip(stack, objects, strict=True):
        rows[: len(listed)] = np.array(listed).reshape(-1, 7)
    return stack


def dataset_of(objects: list[list[list[float]]]) -> dict[str, Any]:
    """Return a COCO file; the ids of its images are not consecutive."""
    listed = [(10 * image + 7, row) for image, rows in enumerate(objects) for row in rows]
    annotations = [
        {"id": number, "image_id": image, "category_id": int(row[5]), "bbox": row[:4], "area": row[4],
         "iscrowd": int(row[6])}
        for number, (image, row) in enumerate(listed, 1)
    ]  # fmt: skip
    images = [{"id": 10 * image + 7} for image in range(len(objects))]
    return {"images": images, "annotations": annotations, "categories": [{"id": n} for n in (*CATEGORIES, 91)]}


def results_of(detections: Array) -> list[dict[str, Any]]:
    """Return what torchvision's reference writes for pycocotools."""
    listed = []
    for image, rows in enumerate(detections):
        for row in rows[rows[:, 4] > 0]:
            box = [*row[:2].tolist(), *(row[2:4] - row[:2]).tolist()]
            listed.append({"image_id": 10 * image + 7, "category_id": int(row[5]), "bbox": box, "score": float(row[4])})
    return listed


def reference(objects: list[list[list[float]]], detections: Array, coco: Any = COCO, evaluate: Any = COCOeval) -> Any:
    with redirect_stdout(io.StringIO()):
        truth = coco()
        truth.dataset = dataset_of(objects)
        truth.createIndex()
        evaluation = evaluate(truth, truth.loadRes(results_of(detections)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def scores(detections: Array, objects: Array) -> Mapping[str, float]:
    return {name: getattr(ours, name)(detections, objects) for name in MEASURES}


def check_equal(found: Mapping[str, float], stats: Any) -> None:
    for name, position in POSITIONS.items():
        expected = float(stats[position])
        assert math.isnan(found[name]) if expected == -1 else found[name] == pytest.approx(expected, abs=1e-9), name


def made(seed: int) -> tuple[list[list[list[float]]], Array]:
    random = np.random.default_rng(seed)
    objects = made_objects(random, int(random.integers(1, 8)))
    most = 130 if seed % 20 == 0 else 12  # more than the 100 that count
    return objects, made_detections(random, objects, most)


@pytest.mark.parametrize("seeds", [range(25), pytest.param(range(25, 210), marks=pytest.mark.slow)])
def test_every_metric_equals_that_of_pycocotools_on_200_made_data_sets(seeds: range) -> None:
    compared = 0
    for seed in seeds:
        objects, detections = made(seed)
        if not results_of(detections):
            continue  # pycocotools cannot load an empty list
        check_equal(scores(detections, stacked(objects)), reference(objects, detections))
        compared += 1
    assert compared >= 0.96 * len(seeds)


def test_more_than_100_detections_of_one_class_do_not_count() -> None:
    box = [10.0, 10.0, 40.0, 40.0, 1600.0, 3, 0.0]
    detections = np.zeros((1, 120, 6), np.float32)
    detections[0, :, :4] = [200, 200, 210, 210]
    detections[0, :, 4] = np.linspace(0.9, 0.1, 120)
    detections[0, :, 5] = 3
    for place, expected in ((99, 1.0), (100, 0.0)):
        moved = detections.copy()
        moved[0, place, :4] = [10, 10, 50, 50]
        assert ours.average_recall(moved, stacked([[box]])) == expected
        check_equal(scores(moved, stacked([[box]])), reference([[box]], moved))


def test_without_an_object_that_counts_a_metric_is_not_defined() -> None:
    crowd = [10.0, 10.0, 40.0, 40.0, 1600.0, 3, 1.0]
    detections = made_detections(np.random.default_rng(0), [[crowd]], 4)
    assert all(map(math.isnan, scores(detections, stacked([[crowd]])).values()))
    assert all(map(math.isnan, scores(detections, stacked([[]])).values()))


def test_a_model_that_finds_nothing_scores_0() -> None:
    objects, detections = made(3)
    found = scores(np.zeros_like(detections), stacked(objects))
    assert found["average_precision"] == found["average_recall"] == 0.0


def test_every_metric_equals_that_of_faster_coco_eval() -> None:
    faster = pytest.importorskip("faster_coco_eval")
    for seed in range(1, 60):
        objects, detections = made(seed)
        if results_of(detections):
            check_equal(
                scores(detections, stacked(objects)),
                reference(objects, detections, faster.COCO, faster.COCOeval_faster),
            )


ROW = [[[10.0, 10, 40, 40, 1600, 3, 0], [100, 100, 40, 40, 1600, 3, 0]]]
"""An image with two objects of one class."""


@pytest.mark.parametrize(
    ("found", "score", "change"), [([0], 51 / 101, 51 / 101), ([0, 1], 1.0, 1 - 51 / 101 * 0.5), ([], 0.0, 51 / 101)]
)
def test_the_effect_of_one_detection_is_known_for_an_image_with_two_objects(
    found: list[int], score: float, change: float
) -> None:
    detections = np.zeros((1, 3, 6), np.float32)
    for place, number in enumerate(found):
        x, y = ROW[0][number][:2]
        detections[0, place] = [x, y, x + 40, y + 40, 0.9 - 0.1 * place, 3]
    value, step = measure(ours.average_precision, {"detections": detections, "objects": stacked(ROW)})
    assert value == pytest.approx(score)
    assert step == pytest.approx(change)
    assert one_detection(ours.average_recall, detections, stacked(ROW)) == pytest.approx(0.5)


def test_a_metric_of_a_user_changes_by_the_share_of_one_object() -> None:
    assert one_detection(lambda detections, objects: 0.0, np.zeros((1, 3, 6)), stacked(ROW)) == 0.5


def changed_by_one(detections: Array, objects: Array) -> Iterator[Array]:
    """Yield detections in which one of each class is added, left out, or has another box or score."""
    used = detections[:, :, 4] > 0
    for image, place in np.argwhere(used | ~used & (np.cumsum(~used, axis=1) == 1)).tolist():
        old = detections[image, place]
        near = [[x, y, x + w, y + h] for x, y, w, h in objects[image, objects[image, :, 5] >= 0, :4].tolist()]
        near += [[x, y, x + 0.75 * (right - x), low] for x, y, right, low in near]
        classes = [old[5]] if used[image, place] else CATEGORIES[:2]
        news = [[*box, score, number] for box in [*near, [900, 900, 930, 930]] for score in (0.99, old[4] or 0.2, 0.01)
                for number in classes]  # fmt: skip
        for new in [[0] * 6, *news] if used[image, place] else news:
            changed = detections.copy()
            changed[image, place] = new
            yield changed


@given(seed=st.integers(0, 10**6))
@settings(max_examples=4, deadline=None)
def test_no_change_of_one_detection_has_a_larger_effect_than_the_bound(seed: int) -> None:
    random = np.random.default_rng(seed)
    listed = made_objects(random, 2)
    for row in [row for rows in listed for row in rows]:
        row[5] = random.choice(CATEGORIES[:2])
    detections, objects = made_detections(random, [rows[:3] for rows in listed], 4), stacked([r[:3] for r in listed])
    for name in ("average_precision", "average_precision_small", "average_recall"):
        metric = getattr(ours, name)
        before, bound = metric(detections, objects), one_detection(metric, detections, objects)
        changes = [abs(metric(changed, objects) - before) for changed in changed_by_one(detections, objects)]
        assert all(change <= bound + 1e-12 for change in changes if not math.isnan(change))


def test_a_metric_without_an_image_is_that_of_the_other_images() -> None:
    random = np.random.default_rng(5)
    objects = made_objects(random, 12)
    detections, all_objects = made_detections(random, objects, 12), stacked(objects)
    arrays = {"detections": detections, "objects": all_objects}
    for name in ("average_precision", "average_precision_small", "average_recall"):
        metric = getattr(ours, name)
        found = without_each_group(metric, arrays, np.arange(12))
        others = [np.delete(np.arange(12), image) for image in range(12)]
        expected = [metric(detections[rows], all_objects[rows]) for rows in others]
        assert np.allclose(found, expected, rtol=0, atol=1e-12, equal_nan=True)


def test_many_images_are_left_out_in_blocks_with_the_same_sum_of_squares() -> None:
    random = np.random.default_rng(6)
    objects = made_objects(random, 250)
    arrays = {"detections": made_detections(random, objects, 6), "objects": stacked(objects)}
    each = without_each_group(ours.average_precision, arrays, np.arange(250))
    blocks = np.arange(250) * 100 // 250
    of_blocks = without_each_group(ours.average_precision, arrays, blocks)
    assert len(each) == 250
    squares = [np.sum((values - of_blocks.mean()) ** 2) for values in (each, of_blocks)]
    assert squares[0] == pytest.approx(squares[1])
