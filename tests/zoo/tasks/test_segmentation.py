"""The segmentation tasks and their transforms and metrics, compared with torchvision's reference scripts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors

from harness.evaluation.evaluate import evaluate
from harness.metrics import mean_iou, measure, pixel_accuracy
from harness.models.environment import accelerator_on
from tests.helpers.device import device
from tests.helpers.vision_data import coco_folder, pixels, voc_folder
from zoo.errors import NoDataError, SourceError, UsageError
from zoo.fetch.sources import Source, Sources
from zoo.tasks import coco_segmentation, voc_segmentation
from zoo.tasks.base import content_hash
from zoo.tasks.transforms import PadTo, ShorterSide

PLAIN = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}


def folder(path: Path, name: str = "mine") -> Source:
    return Source(Sources(data={name: path}), f"data:{name}")


def voc(root: Path, **changed: Any) -> Any:
    options = {"train_transforms": [], "eval_transforms": [], **PLAIN, **changed}
    return voc_segmentation(data=folder(root, "pascal_voc2012"), **options)


def test_voc_batches_hold_masks_and_are_padded_to_the_largest_image(tmp_path: Path) -> None:
    split = voc(voc_folder(tmp_path / "in")).load("val")
    batch = split.batch([0])
    base = tmp_path / "in" / "VOCdevkit" / "VOC2012"
    expected = np.array(Image.open(base / "SegmentationClass" / "val_0.png"))
    assert np.array_equal(batch.labels[0].numpy(), expected)
    assert 255 in expected
    assert tuple(batch.inputs.shape) == (1, 3, 40, 50)
    both = split.batch([0, 1])  # two sizes
    assert tuple(both.labels.shape) == (2, 44, 50)
    assert torch.equal(both.labels[0, :40], batch.labels[0])
    assert (both.labels[0, 40:] == 255).all()
    assert (both.labels[1, :, 40:] == 255).all()
    assert (both.inputs[1, :, :, 40:] == 0).all()
    with pytest.raises(UsageError, match="no tensor of all labels"):
        _ = split.labels


MASKS = {
    "colors": (
        Image.fromarray(pixels(0, 40, 50, 3)),
        "the mask has mode RGB; expected P or L",
    ),
    "unknown": (
        Image.fromarray(np.full((40, 50), 21, np.uint8)),
        "21 is not a class number; expected 0 to 20, or 255 for ignored",
    ),
    "size": (Image.fromarray(np.zeros((40, 40), np.uint8)), "the image is 50 x 40, but its mask is 40 x 40"),
}


@pytest.mark.parametrize(("mask", "message"), MASKS.values(), ids=MASKS)
def test_a_bad_mask_is_reported_with_its_path(mask: Image.Image, message: str, tmp_path: Path) -> None:
    root = voc_folder(tmp_path / "in")
    mask.save(root / "VOCdevkit" / "VOC2012" / "SegmentationClass" / "val_0.png")
    with pytest.raises(SourceError, match=message):
        voc(root).load("val").batch([0])


@pytest.mark.parametrize("classes", [2, 30])
def test_a_model_with_another_number_of_classes_is_not_scored(classes: int, tmp_path: Path) -> None:
    task = voc(voc_folder(tmp_path / "in"))
    model = nn.Conv2d(3, classes, 1)
    with pytest.raises(UsageError, match=f"the model has {classes} outputs, but voc_segmentation needs 21"):
        evaluate(model, task, "val", {"mean_iou": mean_iou}, accelerator=accelerator_on(device()))


def test_a_model_is_scored_over_the_pixels_of_all_images(tmp_path: Path) -> None:
    task = voc(voc_folder(tmp_path / "in"))
    torch.manual_seed(0)
    model = nn.Conv2d(3, 21, 3, padding=1)
    metrics = {"mean_iou": mean_iou, "pixel_accuracy": pixel_accuracy}
    evaluation = evaluate(model, task, "val", metrics, accelerator=accelerator_on(device()))
    labels, predicted = [], []
    for row in range(2):
        batch = task.load("val").batch([row], torch.device(device()))
        labels.append(batch.labels.flatten().cpu())
        with torch.no_grad():
            predicted.append(model(batch.inputs).argmax(1).flatten().cpu())
    expected = reference(torch.cat(labels), torch.cat(predicted), 21)
    assert evaluation.scores["pixel_accuracy"].value == pytest.approx(expected[0])
    assert evaluation.scores["mean_iou"].value == pytest.approx(expected[1], nan_ok=True)
    assert evaluation.arrays["confusion"].shape == (2, 21, 21)
    assert evaluation.n == 2


def test_a_missing_file_of_voc_is_reported(tmp_path: Path) -> None:
    root = voc_folder(tmp_path / "in")
    (root / "VOCdevkit" / "VOC2012" / "JPEGImages" / "val_1.jpg").unlink()
    with pytest.raises(SourceError, match=r"val_1\.jpg: no such file, but val\.txt lists it"):
        voc(root).load("val")
    (root / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(NoDataError, match=r"lacks VOCdevkit/VOC2012/ImageSets/Segmentation/val\.txt"):
        voc(root).load("val")


def test_coco_masks_have_vocs_classes(tmp_path: Path) -> None:
    """As torchvision's reference script: the class of the object, also of a crowd; 255 where two objects overlap."""
    root = coco_folder(tmp_path / "in")
    task = coco_segmentation(data=folder(root), train_transforms=[], eval_transforms=[], **PLAIN)  # type: ignore[arg-type]
    mask = task.load("val").batch([0]).labels[0].numpy()
    expected = np.zeros((40, 50), np.int64)
    person, car = np.zeros_like(expected), np.zeros_like(expected)
    person[5:25, 5:25], car[20:35, 20:40] = 1, 1
    expected[person == 1], expected[car == 1] = 15, 7
    expected[(person & car) == 1] = 255
    expected[:, 45:] = 8  # the crowd of cats
    assert np.array_equal(mask, expected)
    assert (len(task.load("train")), len(task.load("val"))) == (2, 2)
    annotations = root / "annotations" / "instances_val2017.json"
    annotations.write_text(annotations.read_text().replace("[5, 5, 25, 5", "[6, 5, 25, 5"))
    other = coco_segmentation(data=folder(root), train_transforms=[], eval_transforms=[], **PLAIN)  # type: ignore[arg-type]
    assert content_hash(other.load("val")) != content_hash(task.load("val"))


def test_bad_annotations_are_reported_with_their_path(tmp_path: Path) -> None:
    root = coco_folder(tmp_path / "in")
    (root / "annotations" / "instances_val2017.json").write_text("[]")
    task = coco_segmentation(data=folder(root), train_transforms=[], eval_transforms=[], **PLAIN)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match=r"instances_val2017\.json: these are not COCO's annotations"):
        task.load("val")


@given(st.integers(20, 70), st.integers(20, 70), st.integers(8, 90))
def test_masks_are_resized_as_by_pillow(height: int, width: int, size: int) -> None:
    mask = np.random.default_rng(height).integers(0, 21, (height, width), dtype=np.uint8)
    image = Image.fromarray(pixels(1, height, width, 3))
    resized, resized_mask = ShorterSide(size)(image, tv_tensors.Mask(torch.from_numpy(mask)))
    assert min(resized.size) == size
    assert (resized.height, resized.width) == tuple(resized_mask.shape)
    expected = Image.fromarray(mask).resize(resized.size, Image.Resampling.NEAREST)
    assert np.array_equal(resized_mask.numpy(), np.array(expected))
    assert np.array_equal(np.array(resized), np.array(image.resize(resized.size, Image.Resampling.BILINEAR)))


def test_small_images_are_padded_at_the_right_and_at_the_bottom() -> None:
    image, mask = torch.ones(3, 4, 6), tv_tensors.Mask(torch.ones(4, 6, dtype=torch.uint8))
    padded, padded_mask = PadTo(5)(tv_tensors.Image(image), mask)
    assert (tuple(padded.shape), tuple(padded_mask.shape)) == ((3, 5, 6), (5, 6))
    assert (padded[:, 4].sum(), padded_mask[4].tolist()) == (0, [255] * 6)
    assert tuple(PadTo(3)(tv_tensors.Image(image), mask)[1].shape) == (4, 6)


def test_the_shorter_side_is_drawn_between_both_sizes() -> None:
    sizes = {min(ShorterSide(10, 12)(Image.fromarray(pixels(0, 20, 30, 3))).size) for _ in range(60)}
    assert sizes == {10, 11, 12}


def reference(labels: Tensor, predicted: Tensor, classes: int) -> tuple[float, float]:
    """Return pixel accuracy and mean IoU as torchvision's references/segmentation/utils.py defines them."""
    counted = (labels >= 0) & (labels < classes)
    cells = torch.bincount(classes * labels[counted] + predicted[counted], minlength=classes**2)
    h = cells.reshape(classes, classes).double()
    diagonal = torch.diag(h)
    return float(diagonal.sum() / h.sum()), float((diagonal / (h.sum(1) + h.sum(0) - diagonal)).mean())


@given(st.integers(0, 1000), st.integers(2, 6), st.floats(0, 0.9))
def test_mean_iou_and_pixel_accuracy_equal_torchvisions(seed: int, classes: int, ignored: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (3, 40), generator=generator)
    predicted = torch.randint(classes, (3, 40), generator=generator)
    labels[torch.rand(3, 40, generator=generator) < ignored] = 255
    counts = np.zeros((3, classes, classes), np.int32)
    for image, label, prediction in zip(range(3), labels, predicted, strict=True):
        for i, j in zip(label.tolist(), prediction.tolist(), strict=True):
            if i != 255:
                counts[image, i, j] += 1
    if (labels == 255).all():
        return
    expected = reference(labels, predicted, classes)
    assert pixel_accuracy(counts) == pytest.approx(expected[0])
    assert mean_iou(counts) == pytest.approx(expected[1], nan_ok=True)
    assert measure(mean_iou, {"confusion": counts})[1] == 1 / counts.sum()
