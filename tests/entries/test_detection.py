"""Detectors: published weights on a test Hub are scored as by pycocotools, and detectors are trained and distilled."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import nn
from torchvision.models import detection

from harness.records.arrays import read_arrays
from harness.records.record import read_record
from tests.helpers.coco_boxes import boxes_folder
from tests.helpers.device import device
from tests.helpers.glue_hub import use_hub
from tests.helpers.hub_server import LocalHub
from tests.helpers.project import Write, Zoo
from zoo.models import detector
from zoo.recipes import catalogue
from zoo.recipes.schema import load_recipe
from zoo.suites.torchvision_weights import torchvision_suite

SSDLITE = """\
name: ssdlite
task: {use: object_detection, data: data:coco2017}
model: {use: detector, name: ssdlite320_mobilenet_v3_large, num_classes: 91}
weights: hub:someone/ssdlite
claims:
  - {of: weights, split: val, metric: average_precision, value: 0.213, decimals: 3, n: 3, source: a card}
"""
RCNN = "name: fasterrcnn_mobilenet_v3_large_320_fpn, num_classes: 4, min_size: 64, max_size: 96"
FEATURE = "backbone.fpn.inner_blocks.0"
BOXES = f"""\
name: boxes
task: {{use: object_detection, data: data:coco2017, train_transforms: [{{use: RandomHorizontalFlip}}]}}
model: {{use: detector, {RCNN}}}
stages:
  - epochs: 1
    batch_size: 2
    optimizer: {{use: SGD, lr: 0.01}}
    criterion:
      boxes: {{loss: DetectorLoss}}
"""
DISTILLED = (
    "      boxes: {loss: DetectorLoss}\n",
    f"""\
      boxes: {{loss: DetectorLoss}}
      features:
        loss: {{use: HeadNetworkDistillation, student: [{FEATURE}], teacher: [{FEATURE}]}}
        weight: 1e-4
    teacher:
      model: {{use: detector, {RCNN}}}
      weights: file:teacher.pth
""",
)


def published_weights() -> bytes:
    """Return weights of the published shape, which detect two of COCO's categories at random places."""
    torch.manual_seed(1)
    model: Any = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=91)
    with torch.no_grad():
        for head in model.head.classification_head.module_list:
            head[-1].bias.reshape(-1, 91)[:, [1, 3]] += 4
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):  # with initial statistics all scores are equal
                layer.momentum = 1.0
        target = {"boxes": torch.tensor([[10.0, 10, 40, 40]]), "labels": torch.tensor([1])}
        model.train()(list(torch.rand(2, 3, 80, 80)), [target, target])
    return to_safetensors(model.state_dict())


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        server.add("models", "someone/ssdlite", {"model.safetensors": published_weights()})
        yield server


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    boxes_folder(root / "coco2017")
    return root


@pytest.fixture
def boxes(zoo: Zoo, hub: LocalHub, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    monkeypatch.setenv("ZOO_DATA", str(data))
    return use_hub(hub, zoo, cache=tmp_path / "cache", lock=tmp_path / "zoo.lock", monkeypatch=monkeypatch)


def run_folder(zoo: Zoo, *command: Any) -> Path:
    """Run a command for one entry, and return the folder of its only run."""
    completed = zoo(*command, "--json", "--device", device())
    assert completed.code in (0, 1), completed.err
    return Path(re.findall(r'"([^"]+)/record\.json"', completed.out)[0])


def losses_in(folder: Path) -> list[dict[str, float]]:
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [line["losses"] for line in lines if "losses" in line]


def by_pycocotools(annotations: Path, detections: Any, images: list[int]) -> Any:
    """Return what pycocotools computes from the original annotations and these detections `(N, D, 6)`."""
    truth = COCO(annotations)
    rows = [(image, row) for image, found in zip(images, detections, strict=True) for row in found if row[4] > 0]
    listed = [
        {"image_id": image, "category_id": int(row[5]), "score": float(row[4]),
         "bbox": [*row[:2].tolist(), *(row[2:4] - row[:2]).tolist()]}
        for image, row in rows
    ]  # fmt: skip
    evaluation = COCOeval(truth, truth.loadRes(listed), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


def test_published_weights_of_the_hub_are_scored_as_by_pycocotools(boxes: Zoo, data: Path, recipe_file: Write) -> None:
    folder = run_folder(boxes, "reproduce", recipe_file(SSDLITE))
    record, arrays = read_record(folder / "record.json"), read_arrays(folder / "predictions-val.npz")
    assert arrays["detections"].shape == (3, 300, 6)
    stats = by_pycocotools(data / "coco2017/annotations/instances_val2017.json", arrays["detections"], [48, 49, 50])
    found = {name: score["value"] for name, score in record.results[0].metrics.items()}
    for name, position in (("average_precision", 0), ("average_precision_50", 1), ("average_recall", 8)):
        assert found[name] == pytest.approx(stats[position], abs=1e-9)
    assert found["average_recall"] > 0
    assert found["average_precision_large"] is None  # no rectangle is so large


def test_a_training_with_too_few_classes_ends_before_its_first_batch(boxes: Zoo, recipe_file: Write) -> None:
    completed = boxes("train", recipe_file(BOXES, ("num_classes: 4", "num_classes: 3")), "--device", device())
    assert completed.code == 2
    assert "instances_val2017.json: the split 'val' has an object of class 3" in completed.err
    assert "set num_classes: 4 in the model, or contiguous: true in the task" in completed.err
    assert "Traceback" not in completed.err


@pytest.mark.slow
def test_a_number_of_classes_for_the_other_numbering_is_a_finding(boxes: Zoo, recipe_file: Write) -> None:
    folder = run_folder(
        boxes, "train", recipe_file(BOXES, ("data: data:coco2017", "data: data:coco2017, contiguous: true"))
    )
    (finding,) = (each for each in read_record(folder / "record.json").findings if "contiguous" in each)
    assert finding.startswith("val: the model has 4 classes with the background")


@pytest.mark.slow
def test_a_detector_is_trained_compared_and_described(boxes: Zoo, recipe_file: Write) -> None:
    path = recipe_file(BOXES)
    first, second = (run_folder(boxes, "train", path, "--seed", seed) for seed in (0, 1))
    losses = losses_in(first)
    assert len(losses) == 2
    assert all(np.isfinite(step["boxes"]) for step in losses)
    compared = boxes("diff", first, second)
    assert compared.code in (0, 1), compared.err
    assert re.search(r"average_precision +0\.\d+ +0\.\d+ +[+-]0\.\d+ .* jackknife", compared.out)
    card = (first / "README.md").read_text()
    assert "pipeline_tag: object-detection" in card
    assert "from detector import detector" in card
    assert (first / "detector.py").exists()
    refused = boxes("train", path, "--seed", 2, "--micro-batch", 1)
    assert "boxes needs all rows of a batch at once: use one process and no --micro-batch" in refused.err


@pytest.mark.slow
def test_a_detector_is_distilled_from_features_of_another(boxes: Zoo, recipe_file: Write, tmp_path: Path) -> None:
    torch.manual_seed(5)
    options = dict(part.split(": ") for part in RCNN.split(", "))
    name = options.pop("name")
    torch.save(
        detector(name=name, **{key: int(value) for key, value in options.items()}).state_dict(),
        tmp_path / "teacher.pth",
    )
    losses = losses_in(run_folder(boxes, "train", recipe_file(BOXES, DISTILLED)))
    assert len(losses) == 2
    assert losses[1]["features"] > 0


SMALLER = (
    (r"epochs: 20", "epochs: 1"), (r"batch_size: 12", "batch_size: 2"),
    (r"milestones: \[5, 15\]", "milestones: [1]"), (r"num_classes: 91", "num_classes: 91, min_size: 64, max_size: 96"),
)  # fmt: skip


@pytest.mark.slow
def test_the_entry_with_a_bottleneck_trains_its_encoder_alone(boxes: Zoo, tmp_path: Path) -> None:
    entry = catalogue.select_one("coco2017-bottleneck_fasterrcnn_resnet50_fpn")
    text = re.sub(r"https://\S+\.pth", "file:teacher.pth", entry.path.read_text())
    for pattern, replacement in SMALLER:
        assert re.search(pattern, text)
        text = re.sub(pattern, replacement, text)
    path = tmp_path / "bottleneck.yaml"
    path.write_text(text)
    torch.manual_seed(0)
    teacher = detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91).state_dict()
    torch.save(teacher, tmp_path / "teacher.pth")
    folder = run_folder(boxes, "train", path)
    first, second = (step["features"] for step in losses_in(folder))
    assert second < first
    trained = load_file(folder / "model.safetensors")
    changed = {name for name, value in trained.items() if name in teacher and not torch.equal(value, teacher[name])}
    assert changed == {"backbone.body.conv1.weight"}
    assert {name.split(".")[2] for name in trained.keys() - teacher.keys()} == {"layer1"}


FEW_BOXES = (
    "min_size: 96, max_size: 128, box_batch_size_per_image: 32, rpn_batch_size_per_image: 64,"
    " rpn_pre_nms_top_n_train: 200, rpn_post_nms_top_n_train: 60, rpn_pre_nms_top_n_test: 100,"
    " rpn_post_nms_top_n_test: 50}"
)
LEARNING = (
    ("epochs: 1", "epochs: 36\n    clip_norm: 5.0\n    schedule: {use: cosine, warmup: 0.1}"),
    ("batch_size: 2", "batch_size: 8"),
    ("{use: SGD, lr: 0.01}", "{use: AdamW, lr: 1e-3}"),
    ("min_size: 64, max_size: 96}", FEW_BOXES),
)
"""Replacements that make a detector learn from scratch; few proposals keep it fast."""


@pytest.mark.slow
def test_a_detector_learns_to_find_rectangles(
    boxes: Zoo, recipe_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes_folder(tmp_path / "data" / "coco2017", train=24, val=12)
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    record = read_record(run_folder(boxes, "train", recipe_file(BOXES, *LEARNING)) / "record.json")
    assert record.results[0].metrics["average_precision_50"]["value"] > 0.1  # untrained models have 0.00


def test_the_entry_of_torchvision_is_that_of_the_suite(recipe_file: Write) -> None:
    shipped = catalogue.select_one("coco2017-fasterrcnn_resnet50_fpn").recipe
    entries = {entry.name: entry.recipe for entry in torchvision_suite().entries}
    made = load_recipe(recipe_file(entries["torchvision-fasterrcnn_resnet50_fpn-COCO_V1"]))
    assert (shipped.model.args, shipped.weights) == (made.model.args, made.weights)
    assert shipped.claims[0].value == made.claims[0].value == 0.37
