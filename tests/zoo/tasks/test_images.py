"""Image tasks: crops, flips and normalisation as torchvision's, masks as the reference draws and scores them."""

import hashlib
import pickle
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import product
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
from torchvision.datasets import CIFAR10
from torchvision.transforms import v2

from harness.evaluation.evaluate import evaluate
from harness.metrics import accuracy, mean_iou, measure, pixel_accuracy, top5_accuracy
from harness.models.environment import accelerator_on
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Write, Zoo
from tests.helpers.vision_data import cifar_files, coco_folder, image_folders, pixels, png, voc_folder
from zoo.errors import IntegrityError, NoDataError, SourceError, UsageError
from zoo.fetch.hub import Hub
from zoo.fetch.lock import Lock
from zoo.fetch.sources import Source, Sources
from zoo.tasks import cifar, coco_segmentation, image_folder, voc_segmentation
from zoo.tasks.base import content_hash
from zoo.tasks.pixels import PixelSplit
from zoo.tasks.transforms import PadTo, ShorterSide

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
PLAIN = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}


def folder(path: Path, name: str = "mine") -> Source:
    return Source(Sources(data={name: path}), f"data:{name}")


# ---- small images as one tensor


def test_pixels_are_normalised_as_torchvision_does() -> None:
    images = pixels(0, 7, 32, 32, 3)
    split = PixelSplit(torch.from_numpy(images).permute(0, 3, 1, 2), torch.arange(7), mean=MEAN, std=STD)
    theirs = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    expected = torch.stack([theirs(Image.fromarray(image)) for image in images])
    batch = split.batch([3, 0, 6])
    assert torch.allclose(batch.inputs, expected[[3, 0, 6]], atol=1e-6)  # type: ignore[arg-type]
    assert (batch.labels.tolist(), batch.ids.tolist()) == ([3, 0, 6], [3, 0, 6])
    one_by_one = torch.cat([split.batch([row]).inputs for row in range(7)])  # type: ignore[misc]
    assert torch.equal(one_by_one, split.batch(range(7)).inputs)  # type: ignore[arg-type]


def places(side: int, padding: int) -> dict[bytes, tuple[int, int, bool]]:
    """Every crop and flip that there is of an image whose pixels are all different, with what it is."""
    image = np.arange(1, side * side + 1, dtype=np.uint8).reshape(side, side)
    framed = np.pad(image, padding)
    found = {}
    for top, left, flipped in product(range(2 * padding + 1), range(2 * padding + 1), (False, True)):
        crop = framed[top : top + side, left : left + side]
        found[(crop[:, ::-1] if flipped else crop).tobytes()] = (top, left, flipped)
    return found


def drawn(images: Tensor, known: dict[bytes, tuple[int, int, bool]]) -> Counter[tuple[int, int, bool]]:
    return Counter(known[image.round().byte().numpy().tobytes()] for image in images[:, 0])


def test_crops_and_flips_are_distributed_as_torchvisions() -> None:
    """The same 162 outcomes and no other, each as likely as any; moments of both within three standard errors."""
    side, padding, count = 6, 4, 20_000
    known = places(side, padding)
    assert len(known) == 162
    image = torch.arange(1, side * side + 1, dtype=torch.uint8).reshape(1, 1, side, side)
    torch.manual_seed(0)
    split = PixelSplit(
        image.expand(count, 1, side, side), torch.zeros(count, dtype=torch.int64),
        mean=[0.0], std=[1 / 255], padding=padding, flip=True,
    )  # fmt: skip
    assert not split.fixed
    ours = drawn(split.batch(range(count)).inputs, known)  # type: ignore[arg-type]
    theirs_transform = v2.Compose([v2.RandomCrop(side, padding=padding), v2.RandomHorizontalFlip()])
    theirs = drawn(torch.stack([theirs_transform(image[0]) for _ in range(count)]).float(), known)
    assert ours.keys() == theirs.keys() == set(known.values())
    for outcome in (ours, theirs):
        chi2 = sum((n - count / 162) ** 2 for n in outcome.values()) / (count / 162)
        assert abs(chi2 - 161) < 4 * np.sqrt(2 * 161)  # 161 degrees of freedom: mean 161, variance 322
    for moment in (lambda o: o[0], lambda o: o[1], lambda o: o[2], lambda o: o[0] * o[1], lambda o: o[0] * o[2]):
        means, spread = [], 0.0
        for outcome in (ours, theirs):
            values = np.repeat([moment(key) for key in outcome], list(outcome.values())).astype(float)
            means.append(values.mean())
            spread = max(spread, values.std())
        assert abs(means[0] - means[1]) < 3 * spread * np.sqrt(2 / count)


def test_each_image_of_a_batch_is_cropped_at_its_own_place_and_its_channels_alike() -> None:
    image = torch.arange(1, 37, dtype=torch.uint8).reshape(1, 1, 6, 6).expand(64, 3, 6, 6)
    split = PixelSplit(image, torch.zeros(64), mean=[0.0] * 3, std=[1 / 255] * 3, padding=4, flip=True)
    torch.manual_seed(1)
    found = split.batch(range(64)).inputs
    assert isinstance(found, Tensor)
    assert torch.equal(found[:, 0], found[:, 1])
    assert torch.equal(found[:, 0], found[:, 2])
    assert len({image.numpy().tobytes() for image in found}) > 30
    torch.manual_seed(1)
    assert torch.equal(split.batch(range(64)).inputs, found)  # type: ignore[arg-type]


# ---- CIFAR


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[LocalHub, Sources]]:
    with LocalHub() as server:
        client = Hub(deadline=10)
        client.endpoint, client.cache = server.url, tmp_path / "cache"
        yield server, Sources(lock=Lock(tmp_path / "zoo.lock", {}, tmp_path / "trusted.json"), hub=client)


def test_cifar_is_read_from_the_hub_and_from_torchvisions_files_alike(
    hub: tuple[LocalHub, Sources], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, sources = hub
    server.add("datasets", "uoft-cs/cifar10", cifar_files("plain_text", "label", 10, 12))
    local = tmp_path / "local" / CIFAR10.base_folder
    local.mkdir(parents=True)
    digests = {}
    for seed, name in enumerate(("data_batch_1", "test_batch")):
        flat = pixels(seed, 12, 32, 32, 3).transpose(0, 3, 1, 2).reshape(12, -1)
        (local / name).write_bytes(pickle.dumps({"data": flat, "labels": [row % 10 for row in range(12)]}))
        digests[name] = hashlib.md5((local / name).read_bytes(), usedforsecurity=False).hexdigest()
    meta = pickle.dumps({"label_names": [f"class {i}" for i in range(10)]})
    (local / "batches.meta").write_bytes(meta)
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", digests["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", digests["test_batch"]]])
    known = {**CIFAR10.meta, "md5": hashlib.md5(meta, usedforsecurity=False).hexdigest()}
    monkeypatch.setattr(CIFAR10, "meta", known)
    name = "hub:datasets/uoft-cs/cifar10"
    of_hub = cifar(name="cifar10", data=Source(sources, name), mean=MEAN, std=STD, crop_padding=4, flip=True)
    own = Sources(data={"cifar10": tmp_path / "local"})
    of_files = cifar(name="cifar10", data=Source(own, name), mean=MEAN, std=STD)
    for split in ("train", "test"):
        assert content_hash(of_hub.load(split)) == content_hash(of_files.load(split))
    assert of_hub.load("train").fixed is False  # type: ignore[attr-defined]
    assert of_hub.load("test").fixed is True  # type: ignore[attr-defined]
    assert of_hub.load("test").labels.tolist() == [row % 10 for row in range(12)]
    (local / "test_batch").write_bytes(b"other")
    with pytest.raises(NoDataError, match="holds no cifar-10-batches-py as torchvision keeps it"):
        cifar(name="cifar10", data=Source(own, name), mean=MEAN, std=STD).load("test")


BROKEN = {
    "no image": (b"nothing", "row 0 is no image"),
    "cut": (png(pixels(0, 32, 32, 3))[:900], "row 0 is no image"),
    "grey": (png(pixels(0, 32, 32)), "row 0 is L, 32 x 32, expected RGB, 32 x 32"),
    "small": (png(pixels(0, 16, 32, 3)), "row 0 is RGB, 32 x 16, expected RGB, 32 x 32"),
}


@pytest.mark.parametrize(("image", "message"), BROKEN.values(), ids=BROKEN)
def test_an_image_that_is_none_is_told_by_its_row(image: bytes, message: str, hub: tuple[LocalHub, Sources]) -> None:
    server, sources = hub
    server.add("datasets", "uoft-cs/cifar100", cifar_files("cifar100", "fine_label", 100, 4, [image]))
    task = cifar(name="cifar100", data=Source(sources, "hub:datasets/uoft-cs/cifar100"), mean=MEAN, std=STD)
    with pytest.raises(IntegrityError, match=f"cifar100: test: {message}"):
        task.load("test")


def test_a_label_that_is_none_and_another_name_are_told(hub: tuple[LocalHub, Sources]) -> None:
    server, sources = hub
    server.add("datasets", "uoft-cs/cifar10", cifar_files("plain_text", "label", 12, 12))
    source = Source(sources, "hub:datasets/uoft-cs/cifar10")
    with pytest.raises(IntegrityError, match="row 10 has the label 10, which is not in 0 to 9"):
        cifar(name="cifar10", data=source, mean=MEAN, std=STD).load("test")
    with pytest.raises(UsageError, match="cifar has no task 'cifar'; did you mean cifar10, cifar100"):
        cifar(name="cifar", data=source, mean=MEAN, std=STD)


# ---- folders of images


def folders(root: Path, classes: int = 3) -> Any:
    return image_folder(
        data=folder(root), classes=classes, train_transforms=[v2.RandomResizedCrop(16)],
        eval_transforms=[v2.Resize(20), v2.CenterCrop(16)], **PLAIN,
    )  # fmt: skip


def test_folders_of_images_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    task = folders(root)
    split = task.load("val")
    assert (len(split), split.labels.tolist(), split.fixed) == (6, [0, 0, 1, 1, 2, 2], True)
    batch = split.batch([5, 0])
    assert (tuple(batch.inputs.shape), batch.labels.tolist()) == ((2, 3, 16, 16), [2, 0])
    assert not task.load("train").fixed
    only_val = image_folders(tmp_path / "other")
    for path in (only_val / "train").rglob("*.JPEG"):
        path.unlink()
    assert len(folders(only_val).load("val")) == 6


def test_a_class_that_is_missing_would_shift_all_labels_and_is_refused(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    (root / "val" / "n00000001").rename(root / "gone")
    with pytest.raises(UsageError, match="val: 2 folders of classes, expected 3; there is no n00000001"):
        folders(root).load("val")
    (root / "gone").rename(root / "val" / "n00000009")
    with pytest.raises(UsageError, match="val and train do not hold the same classes: n00000001, n00000009"):
        folders(root).load("val")


def test_what_is_no_image_is_told_by_its_path(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    (root / "val" / "n00000001" / "0.JPEG").write_bytes(b"nothing")
    with pytest.raises(SourceError, match=r"0\.JPEG: cannot be read as an image"):
        folders(root).load("val").batch(range(6))
    for path in (root / "val" / "n00000002").iterdir():
        path.unlink()
    with pytest.raises(SourceError, match="n00000002: there are no images"):
        folders(root).load("val")


def test_an_image_that_is_too_large_loses_no_other_result(zoo: Zoo, tmp_path: Path) -> None:
    """A few bytes that say they are 60,000 x 60,000 pixels."""
    root = image_folders(tmp_path / "in")
    data = bytearray(png(pixels(0, 4, 4, 3)))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (root / "val" / "n00000000" / "0.JPEG").write_bytes(data)
    with pytest.raises(SourceError, match=r"0\.JPEG: cannot be read as an image"):
        folders(root).load("val").batch([0])


def test_an_image_of_another_mode_is_converted(tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    for mode in ("L", "CMYK"):
        Image.fromarray(pixels(0, 40, 40, 3)).convert(mode).save(root / "val" / "n00000000" / "0.JPEG")
        assert folders(root).load("val").batch([0]).inputs.shape == (1, 3, 16, 16)


@pytest.mark.parametrize("lacks", ["all", "val"])
def test_data_that_are_not_here_are_asked_for_by_layout(lacks: str, tmp_path: Path) -> None:
    data = Source(Sources(data={}), "data:ilsvrc2012") if lacks == "all" else folder(tmp_path, "ilsvrc2012")
    task = image_folder(data=data, classes=3, train_transforms=[], eval_transforms=[], **PLAIN)  # type: ignore[arg-type]
    with pytest.raises(NoDataError) as raised:
        task.load("val")
    said = str(raised.value)
    assert "the data set 'ilsvrc2012' is not here: it is a folder that holds train/*/*, val/*/*" in said
    assert "pass --data ilsvrc2012=DIR, or set ZOO_DATA to a folder that contains a folder 'ilsvrc2012'" in said


# ---- segmentation


def voc(root: Path, **changed: Any) -> Any:
    options = {"train_transforms": [], "eval_transforms": [], **PLAIN, **changed}
    return voc_segmentation(data=folder(root, "pascal_voc2012"), **options)


def test_voc_is_read_with_its_masks(tmp_path: Path) -> None:
    split = voc(voc_folder(tmp_path / "in")).load("val")
    batch = split.batch([0])
    base = tmp_path / "in" / "VOCdevkit" / "VOC2012"
    expected = np.array(Image.open(base / "SegmentationClass" / "val_0.png"))
    assert np.array_equal(batch.labels[0].numpy(), expected)
    assert 255 in expected
    assert tuple(batch.inputs.shape) == (1, 3, 40, 50)
    both = split.batch([0, 1])  # of two sizes: padded at the right and at the bottom
    assert tuple(both.labels.shape) == (2, 44, 50)
    assert torch.equal(both.labels[0, :40], batch.labels[0])
    assert (both.labels[0, 40:] == 255).all()
    assert (both.labels[1, :, 40:] == 255).all()
    assert (both.inputs[1, :, :, 40:] == 0).all()
    with pytest.raises(UsageError, match="are masks"):
        _ = split.labels


MASKS = {
    "colours": (Image.fromarray(pixels(0, 40, 50, 3)), "a mask of mode RGB; one number of a class"),
    "unknown": (
        Image.fromarray(np.full((40, 50), 21, np.uint8)),
        "21 is the number of no class; they are 0 to 20 and 255",
    ),
    "size": (Image.fromarray(np.zeros((40, 40), np.uint8)), "50 x 40, its mask 40 x 40"),
}


@pytest.mark.parametrize(("mask", "message"), MASKS.values(), ids=MASKS)
def test_a_mask_that_is_none_is_told_by_its_path(mask: Image.Image, message: str, tmp_path: Path) -> None:
    root = voc_folder(tmp_path / "in")
    mask.save(root / "VOCdevkit" / "VOC2012" / "SegmentationClass" / "val_0.png")
    with pytest.raises(SourceError, match=message):
        voc(root).load("val").batch([0])


@pytest.mark.parametrize("classes", [2, 30])
def test_a_model_of_other_classes_is_not_scored(classes: int, tmp_path: Path) -> None:
    task = voc(voc_folder(tmp_path / "in"))
    model = nn.Conv2d(3, classes, 1)
    with pytest.raises(UsageError, match=f"the model has {classes} outputs, voc_segmentation needs 21"):
        evaluate(model, task, "val", {"mean_iou": mean_iou}, accelerator=accelerator_on("cpu"))


def test_a_model_is_scored_by_the_pixels_of_each_image(tmp_path: Path) -> None:
    task = voc(voc_folder(tmp_path / "in"))
    torch.manual_seed(0)
    model = nn.Conv2d(3, 21, 3, padding=1)
    metrics = {"mean_iou": mean_iou, "pixel_accuracy": pixel_accuracy}
    found = evaluate(model, task, "val", metrics, accelerator=accelerator_on("cpu"))
    labels, predicted = [], []
    for row in range(2):
        batch = task.load("val").batch([row])
        labels.append(batch.labels.flatten())
        with torch.no_grad():
            predicted.append(model(batch.inputs).argmax(1).flatten())
    expected = reference(torch.cat(labels), torch.cat(predicted), 21)
    assert found.scores["pixel_accuracy"].value == pytest.approx(expected[0])
    assert found.scores["mean_iou"].value == pytest.approx(expected[1], nan_ok=True)
    assert found.arrays["confusion"].shape == (2, 21, 21)
    assert found.n == 2


def test_a_file_of_voc_that_is_missing_is_told(tmp_path: Path) -> None:
    root = voc_folder(tmp_path / "in")
    (root / "VOCdevkit" / "VOC2012" / "JPEGImages" / "val_1.jpg").unlink()
    with pytest.raises(SourceError, match=r"val_1\.jpg: no such file, and val\.txt names it"):
        voc(root).load("val")
    (root / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(NoDataError, match=r"lacks VOCdevkit/VOC2012/ImageSets/Segmentation/val\.txt"):
        voc(root).load("val")


def test_coco_is_drawn_in_vocs_classes(tmp_path: Path) -> None:
    """The reference: the largest class where objects are, 255 where two overlap, crowds too, nothing else."""
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


def test_annotations_that_are_none_are_told(tmp_path: Path) -> None:
    root = coco_folder(tmp_path / "in")
    (root / "annotations" / "instances_val2017.json").write_text("[]")
    task = coco_segmentation(data=folder(root), train_transforms=[], eval_transforms=[], **PLAIN)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match=r"instances_val2017\.json: no annotations of COCO"):
        task.load("val")


@given(st.integers(20, 70), st.integers(20, 70), st.integers(8, 90))
def test_a_resized_mask_is_pillows(height: int, width: int, size: int) -> None:
    mask = np.random.default_rng(height).integers(0, 21, (height, width), dtype=np.uint8)
    image = Image.fromarray(pixels(1, height, width, 3))
    resized, found = ShorterSide(size)(image, tv_tensors.Mask(torch.from_numpy(mask)))
    assert min(resized.size) == size
    assert (resized.height, resized.width) == tuple(found.shape)
    expected = Image.fromarray(mask).resize(resized.size, Image.Resampling.NEAREST)
    assert np.array_equal(found.numpy(), np.array(expected))
    assert np.array_equal(np.array(resized), np.array(image.resize(resized.size, Image.Resampling.BILINEAR)))


def test_what_is_small_is_padded_at_the_right_and_at_the_bottom() -> None:
    image, mask = torch.ones(3, 4, 6), tv_tensors.Mask(torch.ones(4, 6, dtype=torch.uint8))
    padded, framed = PadTo(5)(tv_tensors.Image(image), mask)
    assert (tuple(padded.shape), tuple(framed.shape)) == ((3, 5, 6), (5, 6))
    assert (padded[:, 4].sum(), framed[4].tolist()) == (0, [255] * 6)
    assert tuple(PadTo(3)(tv_tensors.Image(image), mask)[1].shape) == (4, 6)
    drawn = {min(ShorterSide(10, 12)(Image.fromarray(pixels(0, 20, 30, 3))).size) for _ in range(60)}
    assert drawn == {10, 11, 12}


# ---- metrics


def reference(labels: Tensor, predicted: Tensor, classes: int) -> tuple[float, float]:
    """Pixel accuracy and mean IoU as torchvision's references/segmentation/utils.py defines them."""
    counted = (labels >= 0) & (labels < classes)
    cells = torch.bincount(classes * labels[counted] + predicted[counted], minlength=classes**2)
    h = cells.reshape(classes, classes).double()
    diagonal = torch.diag(h)
    return float(diagonal.sum() / h.sum()), float((diagonal / (h.sum(1) + h.sum(0) - diagonal)).mean())


@given(st.integers(0, 1000), st.integers(2, 6), st.floats(0, 0.9))
def test_mean_iou_and_pixel_accuracy_are_torchvisions(seed: int, classes: int, ignored: float) -> None:
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


def test_top5_counts_labels_among_the_five_likeliest() -> None:
    logits = torch.randn(50, 9, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(9, (50,), generator=torch.Generator().manual_seed(1)).numpy()
    ranked = logits.topk(5).indices.numpy()
    expected = np.mean([label in row for label, row in zip(labels, ranked, strict=True)])
    assert top5_accuracy(ranked, labels) == pytest.approx(expected)
    arrays = {"ranked": ranked, "labels": labels, "predictions": ranked[:, 0]}
    assert measure(top5_accuracy, arrays) == (pytest.approx(expected), 1 / 50)
    assert measure(accuracy, arrays)[0] <= measure(top5_accuracy, arrays)[0]


def test_a_recipe_names_data_of_ones_own(zoo: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    root = image_folders(tmp_path / "in")
    text = """\
name: mine
task:
  use: image_folder
  data: data:flowers
  classes: 3
  train_transforms: [{use: RandomResizedCrop, size: 16}, {use: RandomHorizontalFlip}]
  eval_transforms: [{use: Resize, size: 20}, {use: CenterCrop, size: 16}]
  mean: [0.5, 0.5, 0.5]
  std: [0.5, 0.5, 0.5]
model: {use: cifar_resnet, depth: 8, width: 2, num_classes: 3}
stages:
  - {epochs: 1, batch_size: 4, optimizer: {use: SGD, lr: 0.1}, criterion: {ce: {loss: CrossEntropy}}}
"""
    path = recipe_file(text, name="mine.yaml")
    absent = zoo("train", path, "--out", "run")
    assert (absent.code, len(absent.lines)) == (4, 1)
    assert "the data set 'flowers' is not here: it is a folder that holds" in absent.err
    assert zoo("train", path, "--data", f"flowers={root}", "--out", "run").code == 0
    assert "top5_accuracy" in Path("run/README.md").read_text()
    folder_path = recipe_file(text, ("data:flowers", f"'file:{root}'"), name="own.yaml")
    assert zoo("train", folder_path, "--out", "own").code == 0
    bare = recipe_file(text, ("{use: RandomHorizontalFlip}", "RandomHorizontalFlip"), name="bare.yaml")
    assert "write {use: RandomHorizontalFlip}" in zoo("train", bare, "--data", f"flowers={root}").err
    for wrong in ("flowers", "flowers=nowhere", "=x"):
        ended = zoo("train", path, "--data", wrong)
        assert (ended.code, len(ended.lines)) == (2, 1)
