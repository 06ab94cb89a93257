"""The recipes of torchvision's weights build and load models, prepare images and claim scores as torchvision does."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

from tests.helpers.made_suite import imagenet
from tests.helpers.vision_data import pixels
from zoo.claims.counts import counts_of
from zoo.fetch.fetched import Fetched
from zoo.fetch.named_digest import pin_in_name
from zoo.fetch.quantized_weights import without_warnings
from zoo.fetch.source_types import Url
from zoo.fetch.sources import Sources
from zoo.recipes.build import Builder
from zoo.recipes.load_model import load_model
from zoo.recipes.schema import Recipe, load_recipe
from zoo.suites.generated import GeneratedEntry
from zoo.suites.torchvision_weights import (
    COCO_DETECTION,
    COCO_SEGMENTATION,
    IMAGENET,
    listed_weights,
    torchvision_suite,
)
from zoo.tasks.images import preparation

SUITE = torchvision_suite()
WEIGHTS = {f"torchvision-{builder}-{weights.name}": (builder, weights) for builder, weights in listed_weights()}
ENTRIES = {entry.name: entry for entry in SUITE.entries}
COMPARED = [entry.name for entry in SUITE.entries if not entry.not_compared]
SAMPLE = (
    "densenet121", "efficientnet_b0", "googlenet", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small",
    "quantized_shufflenet_v2_x0_5", "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_0",
    "squeezenet1_1", "ssdlite320_mobilenet_v3_large",
)  # fmt: skip
"""The cheapest architectures of different kinds, whose first weights are tested in every run."""
IMAGES = 2


def recipe_of(entry: GeneratedEntry, folder: Path) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(entry.recipe, encoding="utf-8")
    return load_recipe(path)


def is_in_sample(name: str) -> bool:
    builder, weights = WEIGHTS[name]
    return builder in SAMPLE and weights == next(iter(models.get_model_weights(builder)))


@contextmanager
def without_downloads(path: Path) -> Iterator[None]:
    """Let torchvision's builders start from random weights, and write the state dict that they would load into."""

    def load(module: nn.Module, *args: Any, **options: Any) -> None:
        for parameter in module.parameters():
            if parameter.dim() > 1 and not parameter.any():  # a head of zeros would make all outputs equal
                nn.init.normal_(parameter, std=0.02)
        torch.save(module.state_dict(), path)

    with pytest.MonkeyPatch.context() as patch, without_warnings():
        patch.setattr(models.WeightsEnum, "get_state_dict", lambda *args, **options: {})
        patch.setattr(nn.Module, "load_state_dict", load)
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images, and empty folders for all 1,000 classes."""
    root = imagenet(tmp_path_factory.mktemp("images"), IMAGES)
    for number in range(1000):
        (root / "train" / f"n{number:08d}").mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if is_in_sample(name) else pytest.mark.slow) for name in COMPARED]
)
def test_an_architecture_loads_weights_of_the_published_shapes_and_computes_the_same(
    name: str, images: Path, tmp_path: Path
) -> None:
    builder, weights = WEIGHTS[name]
    torch.manual_seed(0)
    with without_downloads(tmp_path / "weights.pth"):
        options = {"quantize": True} if builder.startswith("quantized_") else {}
        expected = models.get_model(builder, weights=weights, **options).eval()
    recipe = recipe_of(ENTRIES[name], tmp_path)
    build = Builder(sources=Sources(data={"ilsvrc2012": images}))
    model = load_model(recipe.model, Fetched("x", tmp_path / "weights.pth", ""), build).eval()
    inputs = torch.rand(1, 3, 64, 64)
    if recipe.task.use == "object_detection":
        check_detections(model, expected)
        return
    if recipe.task.use == "image_folder":
        listed = [f"n{number:08d}" for number in range(1000)]
        task = build.build(recipe.task, "task", classes=listed)
        inputs = task.load("val").batch(range(IMAGES)).inputs
    with torch.inference_mode():
        found, wanted = (network(inputs) for network in (model, expected))
    (tmp_path / "weights.pth").unlink()  # those of all architectures fill a disk
    found, wanted = ((o["out"] if isinstance(o, dict) else o) for o in (found, wanted))
    assert torch.isfinite(found).all()
    assert torch.equal(found, wanted)
    assert len(found.unique()) > 1 or builder.startswith("quantized_")  # random ones may round everything to zero


def check_detections(model: nn.Module, expected: nn.Module) -> None:
    """Compare two detectors on images of two sizes; a threshold of 0 lets random weights detect something."""
    for detector in (model, expected):
        part: Any = getattr(detector, "roi_heads", detector)
        part.score_thresh = 0.0
        resize: Any = detector.transform
        resize.min_size, resize.max_size = (96,), 128
    images = torch.rand(2, 3, 64, 80)
    sizes = torch.tensor([[64, 80], [50, 60]])
    with torch.inference_mode():
        found = model(images=images, sizes=sizes)
        wanted = expected([images[0], images[1, :, :50, :60]])
    for rows, detections in zip(found, wanted, strict=True):
        count = len(detections["boxes"])
        assert count > 10
        assert torch.equal(rows[:count, :4], detections["boxes"])
        assert torch.equal(rows[:count, 4], detections["scores"])
        assert torch.equal(rows[:count, 5].long(), detections["labels"])
        assert not rows[count:].any()


def test_every_recipe_prepares_images_as_torchvision_does(tmp_path: Path) -> None:
    tested = set()
    image = Image.fromarray(pixels(0, 61, 87, 3)).resize((870, 610), Image.Resampling.BICUBIC)
    for name, entry in ENTRIES.items():
        transforms = WEIGHTS[name][1].transforms()
        if str(transforms) in tested or type(transforms).__name__ == "ObjectDetection":
            continue
        tested.add(str(transforms))
        arguments = Builder().partial(recipe_of(entry, tmp_path).task, "task").keywords
        prepared = preparation(*(arguments[key] for key in ("eval_transforms", "mean", "std")))
        found = prepared.normalize(prepared.pixels(image))
        assert torch.allclose(found, transforms(image), atol=1e-5, rtol=1e-6), name
    assert len(tested) > 20


def test_every_weight_of_torchvision_is_an_entry_or_has_a_reason() -> None:
    data = Counter(next(iter(weights.meta["_metrics"])) for _, weights in WEIGHTS.values())
    assert len(ENTRIES) == data[IMAGENET] + data[COCO_SEGMENTATION] + data[COCO_DETECTION]
    assert data[COCO_DETECTION] == 13
    assert {*ENTRIES} | {row.name for row in SUITE.unsupported} == {*WEIGHTS}
    assert len(ENTRIES) + len(SUITE.unsupported) == len(WEIGHTS)
    assert all(row.reason.startswith("zoo has no task for") for row in SUITE.unsupported)


def test_every_imagenet_claim_is_one_count_of_50_000_images(tmp_path: Path) -> None:
    for name, entry in ENTRIES.items():
        scores = WEIGHTS[name][1].meta["_metrics"].get(IMAGENET)
        claims = recipe_of(entry, tmp_path).claims
        if "object_detection" in entry.recipe:
            percent = WEIGHTS[name][1].meta["_metrics"][COCO_DETECTION]["box_map"]
            assert [(claim.metric, claim.value) for claim in claims] == [
                ("average_precision", pytest.approx(percent / 100))
            ]
        elif scores is None:
            assert [claim.metric for claim in claims] == ["mean_iou", "pixel_accuracy"]
        elif "publishes no score" in entry.not_compared:
            assert [claim.value for claim in claims] == [None, None]
        else:
            counts = [list(counts_of(claim.value or 0, claim.decimals or 0, claim.n or 0)) for claim in claims]
            assert counts == [[round(500 * scores[key])] for key in ("acc@1", "acc@5")], name


def test_two_weights_are_not_compared_each_with_its_reason() -> None:
    reasons = {name: entry.not_compared for name, entry in ENTRIES.items() if name not in COMPARED}
    assert {name: reason.partition(":")[0].partition(" after")[0] for name, reason in reasons.items()} == {
        "torchvision-vgg16-IMAGENET1K_FEATURES": "torchvision publishes no score",
        "torchvision-quantized_mobilenet_v3_large-IMAGENET1K_QNNPACK_V1": "torchvision quantizes this model",
    }


def test_a_known_score_is_exact(tmp_path: Path) -> None:
    first, fifth = recipe_of(ENTRIES["torchvision-resnet18-IMAGENET1K_V1"], tmp_path).claims
    assert (first.value, first.n, fifth.value) == (0.69758, 50_000, 0.89078)
    assert "34,879 of 50,000" in first.source


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_name_of_every_file_says_how_its_digest_begins(name: str) -> None:
    url = WEIGHTS[name][1].url
    prefix = pin_in_name(Url(url)).sha256_prefix
    assert prefix is not None
    assert len(prefix) >= 8
    assert url.endswith(f"{prefix}.pth")


def test_the_facts_of_an_entry_are_those_of_its_weights() -> None:
    facts = ENTRIES["torchvision-resnet18-IMAGENET1K_V1"].facts
    assert (facts["params"], facts["img_size"], facts["crop_pct"], facts["claims"]) == (11.69, 224, 0.875, 2)
    assert np.isclose(facts["megabytes"], 44.7)
