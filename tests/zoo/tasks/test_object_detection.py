"""Object detection: which images and boxes are read, how they are batched, and messages about wrong annotations."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from tests.helpers.coco_boxes import annotation, boxes_folder, write_annotations
from zoo.errors import NoDataError, OutputsError, SourceError, UsageError
from zoo.fetch.sources import Source, Sources
from zoo.tasks import object_detection
from zoo.tasks.base import content_hash


def task_of(root: Path, **options: Any) -> Any:
    return object_detection(data=Source(Sources(data={"mine": root}), "data:mine"), **options)


def annotated(root: Path, *objects: dict[str, Any], split: str = "train", **image: Any) -> Path:
    """Write two images of 60 x 40 pixels, the second one without objects, in the layout of COCO 2017."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / f"{split}2017").mkdir(exist_ok=True)
    listed = [{"id": 9 - n, "file_name": f"{n}.png", "width": 60, "height": 40} | (image if n == 0 else {})
              for n in range(2)]  # fmt: skip
    for item in listed:
        Image.new("RGB", (60, 40), (255, 0, 51)).save(root / f"{split}2017" / Path(str(item["file_name"])).name)
    write_annotations(root, split, listed, objects)
    return root


OBJECT = annotation(1, 9, 3, [10, 5, 20.5, 30])


def test_a_batch_has_padded_images_with_their_sizes_and_boxes(tmp_path: Path) -> None:
    split = task_of(boxes_folder(tmp_path / "in")).load("train")
    batch = split.batch([2, 0])
    images, sizes, boxes, classes = (batch.inputs[name] for name in ("images", "sizes", "boxes", "classes"))
    assert images.shape[-2:] == tuple(sizes.amax(0).tolist())
    assert 0 <= images.min() < images.max() <= 1
    assert boxes.shape[:2] == classes.shape
    for row, number in enumerate([2, 0]):
        height, width = sizes[row].tolist()
        assert not images[row, :, height:].any()
        assert not images[row, :, :, width:].any()
        alone = split.batch([number]).inputs
        assert torch.equal(images[row, :, :height, :width], alone["images"][0])
        assert torch.equal(boxes[row][classes[row] >= 0], alone["boxes"][0])
        objects = split.images[number].objects
        assert np.array_equal(alone["boxes"][0, :, 2:] - alone["boxes"][0, :, :2], objects[:, 2:4])
        assert alone["classes"][0].tolist() == objects[:, 5].tolist()
    assert batch.labels.tolist() == [len(split.images[n].objects) for n in (2, 0)]


def test_crowds_and_boxes_without_area_are_no_targets_but_stay_in_the_objects(tmp_path: Path) -> None:
    crowd, flat = annotation(2, 9, 1, [0, 0, 9, 9], crowd=1), annotation(3, 9, 1, [20, 20, 0, 5])
    outside = annotation(4, 9, 1, [50, 30, 30, 30])
    task = task_of(annotated(tmp_path, OBJECT, crowd, flat, outside))
    split = task.load("train")
    assert len(split) == 1  # the image without objects is left out of the training
    inputs = split.batch([0]).inputs
    assert inputs["classes"].tolist() == [[3, 1]]
    assert inputs["boxes"].tolist() == [[[10, 5, 30.5, 35], [50, 30, 60, 40]]]
    assert split.objects.shape == (1, 4, 7)
    assert split.objects[0, :, 6].tolist() == [0, 1, 0, 0]


def test_images_without_objects_are_scored_but_not_trained_on(tmp_path: Path) -> None:
    thin = annotation(1, 9, 3, [10, 5, 1, 30])  # torchvision's reference leaves such an image out
    for split in ("train", "val"):
        annotated(tmp_path, OBJECT if split == "val" else thin, split=split)
    task = task_of(tmp_path)
    with pytest.raises(UsageError, match="the split 'train' has no rows"):
        task.load("train")
    scored = task.load("val")
    assert [image.name for image in scored.images] == ["1.png", "0.png"]  # by their ids, as COCO's tools read them
    assert (scored.objects[0, :, 5] == -1).all()
    assert scored.batch([0]).inputs["boxes"].shape == (1, 0, 4)


def test_categories_are_classes_by_their_ids_or_in_their_order(tmp_path: Path) -> None:
    root = boxes_folder(tmp_path / "in")
    by_id, by_order = (task_of(root, contiguous=contiguous).load("val").objects for contiguous in (False, True))
    assert set(np.unique(by_id[..., 5])) == {-1, 1, 3}
    assert np.array_equal(np.where(by_id[..., 5] == 3, 2, by_id[..., 5]), by_order[..., 5])


def test_transforms_move_boxes_with_the_image(tmp_path: Path) -> None:
    root = annotated(tmp_path, OBJECT)
    flipped = task_of(root, train_transforms=[v2.RandomHorizontalFlip(1.0)]).load("train")
    assert not flipped.fixed
    assert flipped.batch([0]).inputs["boxes"].tolist() == [[[29.5, 5, 50, 35]]]


def test_the_content_depends_on_annotations_and_files(tmp_path: Path) -> None:
    root = annotated(tmp_path, OBJECT)
    before = content_hash(task_of(root).load("train"))
    Image.new("RGB", (60, 40)).save(root / "train2017" / "0.png")
    changed = content_hash(task_of(root).load("train"))
    annotated(root, OBJECT | {"bbox": [11, 5, 20.5, 30]})
    assert len({before, changed, content_hash(task_of(root).load("train"))}) == 3


WRONG = {
    "category": (OBJECT | {"category_id": 2}, {}, "object 1 of image 0.png: its category 2 is not listed"),
    "box": (OBJECT | {"bbox": [1, 2, -3, 4]}, {}, r"its bbox is \[1, 2, -3, 4\], not \[x, y, width, height\]"),
    "crowd": (OBJECT | {"iscrowd": 2}, {}, "its iscrowd is 2, not 0 or 1"),
    "area": (OBJECT | {"area": None}, {}, "its area is None, not a number"),
    "image": (OBJECT | {"image_id": 5}, {}, "object 1 is of image 5, which is not listed"),
    "size": (OBJECT, {"width": 0}, "image 0.png: its height and width are 40 and 0, not numbers of pixels"),
    "path": (OBJECT, {"file_name": "../train2017/0.png"}, "its file is not in the folder of the images"),
}


@pytest.mark.parametrize(("item", "image", "message"), WRONG.values(), ids=WRONG)
def test_wrong_annotations_are_reported_with_their_file(
    item: dict[str, Any], image: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=rf"instances_train2017\.json: .*{message}"):
        task_of(annotated(tmp_path, item, **image)).load("train")


def test_other_wrong_files_are_reported(tmp_path: Path) -> None:
    root = annotated(tmp_path, OBJECT, OBJECT)
    with pytest.raises(SourceError, match="two objects have the same id"):
        task_of(root).load("train")
    annotated(root, OBJECT, width=61)
    with pytest.raises(SourceError, match=r"0\.png: the image is 60 x 40, but its annotations are for 61 x 40"):
        task_of(root).load("train").batch([0])
    write_annotations(root, "train", [], [], categories=(0, 1))
    with pytest.raises(
        SourceError, match="category 0 cannot be class 0, which is the background; set `contiguous: true`"
    ):
        task_of(root).load("train")
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps({"images": []}))
    with pytest.raises(SourceError, match="these are not COCO's annotations: KeyError: 'categories'"):
        task_of(root).load("train")
    with pytest.raises(NoDataError, match="lacks val2017"):
        task_of(root).load("val")
    with pytest.raises(UsageError, match=r"annotations: '\.\./other\.json' is not in the folder of the data set"):
        task_of(root, annotations="../other.json")


def test_an_image_that_annotations_list_must_exist(tmp_path: Path) -> None:
    root = annotated(tmp_path, OBJECT)
    (root / "train2017" / "0.png").unlink()
    with pytest.raises(SourceError, match=r"0\.png: no such file, but the annotations list it"):
        task_of(root).load("train")


def test_a_model_without_detections_does_not_fit(tmp_path: Path) -> None:
    task = task_of(boxes_folder(tmp_path / "in"))
    with pytest.raises(OutputsError, match=r"returns a tensor \(2, 10\), but object_detection needs detections"):
        task.check(torch.zeros(2, 10), torch.zeros(2))
