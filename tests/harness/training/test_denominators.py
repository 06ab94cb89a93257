"""A batch that is computed in parts has the loss of the whole batch, whatever the mean of a term divides by."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from tests.helpers.device import device
from tests.helpers.project import Write, Zoo
from tests.helpers.training import logged_losses
from zoo.fetch import weights_file

MODULE = """
import torch
from torch import nn
from torch.nn import functional as F
from harness.losses.base import Loss

def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

def pixels():
    return nn.Conv2d(3, 21, 1)

def deep():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 21, 3, padding=1))

class Weighted(Loss):
    def __init__(self):
        super().__init__()
        self.register_buffer("class_weights", torch.arange(1.0, 11.0))

    def forward(self, student, teacher, labels):
        return F.cross_entropy(student.logits, labels, weight=self.class_weights)

class Declared(Weighted):
    def denominator(self, labels):
        return self.class_weights[labels].sum()

class Foreign(nn.Module):
    def forward(self, student, teacher, labels):
        return F.cross_entropy(student.logits, labels)
"""
RECIPE = """\
name: ignored
task: digits
model: parts.linear
stages:
  - epochs: 1
    batch_size: 256
    optimizer: {use: SGD, lr: 0.05}
    criterion: {ce: {loss: LOSS}, soft: {loss: CrossEntropy, weight: 0.5}}
"""
PIXELS = """\
name: pixels
task:
  use: voc_segmentation
  data: data:voc
  train_transforms: []
  eval_transforms: []
  mean: [0.5, 0.5, 0.5]
  std: [0.5, 0.5, 0.5]
model: parts.pixels
metrics: [pixel_accuracy]
stages:
  - epochs: 1
    batch_size: 4
    optimizer: {use: SGD, lr: 1.0}
    criterion: {ce: {loss: {use: CrossEntropy, ignore_index: 255LABELS}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "parts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def assert_same_training(zoo: Zoo, command: tuple[object, ...], sizes: tuple[int, ...], *terms: str) -> None:
    terms = terms or ("ce", "total")
    whole = zoo(*command, "--out", "whole")
    assert whole.code == 0, whole.err
    expected = weights_file.read(Path("whole/model.safetensors"))
    for size in sizes:
        completed = zoo(*command, "--micro-batch", size, "--out", f"parts{size}")
        assert completed.code == 0, completed.err
        assert logged_losses(f"parts{size}", *terms) == [
            pytest.approx(line, rel=1e-5) for line in logged_losses("whole", *terms)
        ]
        for name, value in weights_file.read(Path(f"parts{size}/model.safetensors")).items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss", ["{use: CrossEntropy, ignore_index: 0}", "{use: CrossEntropy, ignore_index: 3, label_smoothing: 0.1}"]
)
def test_an_ignored_class_changes_no_loss_of_micro_batches(
    zoo: Zoo, recipe_file: Write, folder: Path, loss: str
) -> None:
    path = recipe_file(RECIPE, ("LOSS", loss))
    assert_same_training(zoo, ("train", path, "--trust", "parts", "--device", device()), (100, 1))


def test_class_weights_with_a_declared_denominator_change_no_loss_of_micro_batches(
    zoo: Zoo, recipe_file: Write, folder: Path
) -> None:
    path = recipe_file(RECIPE, ("LOSS", "parts.Declared"))
    assert_same_training(zoo, ("train", path, "--trust", "parts", "--device", device()), (100, 7))


@pytest.mark.parametrize("loss", ["parts.Weighted", "parts.Foreign"])
def test_micro_batches_of_a_loss_with_an_unknown_denominator_are_refused(
    zoo: Zoo, recipe_file: Write, folder: Path, loss: str
) -> None:
    path = recipe_file(RECIPE, ("LOSS", loss))
    completed = zoo("train", path, "--trust", "parts", "--micro-batch", 100)
    assert completed.code == 2
    assert "tiny.yaml:8:" in completed.err
    assert "use one process and no --micro-batch, or add the method `denominator(labels)`" in completed.err
    assert zoo("train", path, "--trust", "parts").code == 0


@pytest.mark.parametrize("labels", ["", ", label_smoothing: 0.1"])
def test_ignored_pixels_change_no_loss_of_micro_batches(
    zoo: Zoo, recipe_file: Write, folder: Path, labels: str
) -> None:
    """The images have several sizes, and all pixels of one are ignored."""
    write_voc(folder / "voc", [(8, 8), (4, 6), (8, 4), (6, 6)])
    path = recipe_file(PIXELS, ("LABELS", labels))
    command = ("train", path, "--trust", "parts", "--data", "voc=voc", "--device", device())
    assert_same_training(zoo, command, (2, 1))


@pytest.mark.parametrize("own", [False, True])
def test_images_of_several_sizes_change_no_loss_of_micro_batches(
    zoo: Zoo, recipe_file: Write, folder: Path, own: bool
) -> None:
    """The loss is a mean over all pixels, and the models see the padding."""
    write_voc(folder / "voc", [(8, 8), (4, 6), (8, 4), (6, 10)])
    task = yaml.safe_load(PIXELS)["task"]
    save_file(importlib.import_module("parts").deep().state_dict(), folder / "t.safetensors")
    teacher = {
        "model": "parts.deep",
        "weights": "file:t.safetensors",
        **({"task": {**task, "mean": [0.2, 0.5, 0.5]}} if own else {}),
    }
    path = recipe_file(
        PIXELS,
        ("model: parts.pixels", "model: parts.deep"),
        ("LABELS}}}", f"}}}}, all: {{loss: LogitMSE, teacher: t}}}}\n    teachers: {{t: {json.dumps(teacher)}}}"),
    )
    command = ("train", path, "--trust", "parts", "--data", "voc=voc", "--device", device())
    assert_same_training(zoo, command, (2, 1), "all", "total")


def write_voc(folder: Path, sizes: list[tuple[int, int]]) -> None:
    random = np.random.default_rng(0)
    root = folder / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    for number, (height, width) in enumerate(sizes):
        image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(image).save(root / "JPEGImages" / f"{number}.jpg")
        mask = random.choice(np.array([0, 1, 2, 255], np.uint8), (height, width), p=[0.2, 0.2, 0.1, 0.5])
        mask[:] = 255 if number == 1 else mask
        Image.fromarray(mask).save(root / "SegmentationClass" / f"{number}.png")
    listing = "\n".join(map(str, range(len(sizes))))
    for split in ("train", "val"):
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(listing)
