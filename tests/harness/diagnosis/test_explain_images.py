"""`zoo explain` names how images were prepared otherwise, where only that preparation gives the claimed score."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import CenterCrop, Compose, Normalize, Resize, ToDtype, ToImage

from harness.diagnosis.explain import explain, image_factors, screening
from harness.diagnosis.explain.explanation import Explanation
from harness.diagnosis.explain.image_settings import changed_images, read_preparation, settings_of
from harness.models.environment import accelerator_on
from harness.runs.experiment import RunContext
from tests.helpers.device import device
from tests.helpers.glue_hub import parquet, write_files
from tests.helpers.vision_data import pixels, png
from zoo.fetch.sources import Source, Sources
from zoo.models.cifar_resnet import cifar_resnet
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.tasks.image_classification import image_classification
from zoo.tasks.image_defaults import MEAN, STD
from zoo.tasks.images import preparation, read_rgb
from zoo.tasks.pixels import PixelSplit

CLASSES, COUNT, SIDE = 6, 30, 32
RECIPE = """\
name: images
task: {{use: image_folder, data: "file:images", classes: [c0, c1, c2, c3, c4, c5], {task}}}
model: {{use: cifar_resnet, depth: 8, width: 4, num_classes: 6}}
weights: file:weights.safetensors
claims:
  - {{of: weights, split: val, metric: accuracy, value: {claimed:.4f}, decimals: 4, source: planted}}
"""
DEFAULT, HALF = Normalize(MEAN, STD), Normalize([0.5] * 3, [0.5] * 3)
FLOATS, RESIZE, CROP = ToDtype(torch.float32, scale=True), Resize(37), CenterCrop(SIDE)
Prepare = Callable[[Image.Image], Tensor]
Explain = Callable[..., Explanation]


def steps(*transforms: object) -> Prepare:
    """Return transforms of a decoded image, the last of which gets a tensor from 0 to 1."""
    *before, normalize = transforms
    return Compose([*before, ToImage(), FLOATS, normalize])  # type: ignore[no-any-return]


def times(factor: float, then: Callable[[Tensor], Tensor] = DEFAULT) -> Callable[[Tensor], Tensor]:
    """Return the multiplication of values from 0 to 1, and a normalization after it."""
    return lambda values: then(values * factor)


def sharp(mode: InterpolationMode) -> Prepare:
    return steps(Resize(37, mode), CROP, DEFAULT)


CAUSES: dict[str, tuple[Prepare, str, str]] = {
    "statistics": (steps(RESIZE, CROP, HALF), "mean and std", "ImageNet -> 0.5 and 0.5"),
    "none": (steps(RESIZE, CROP, Normalize([0] * 3, [1] * 3)), "mean and std", "ImageNet -> none (0 and 1)"),
    "clip": (steps(RESIZE, CROP, Normalize([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])),
             "mean and std", "ImageNet -> CLIP"),
    "cifar10": (steps(RESIZE, CROP, Normalize([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])),
                "mean and std", "ImageNet -> CIFAR-10"),
    "cifar100": (steps(RESIZE, CROP, Normalize([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761])),
                 "mean and std", "ImageNet -> CIFAR-100"),
    "cifar": (steps(RESIZE, CROP, Normalize([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])),
              "mean and std", "ImageNet -> CIFAR-10 with std 0.20"),
    "bgr": (steps(RESIZE, CROP, lambda values: DEFAULT(values.flip(0))), "channel order", "RGB -> BGR"),
    "caffe": (steps(RESIZE, CROP, lambda values: 255 * values.flip(0) - 255 * torch.tensor(MEAN[::-1])[:, None, None]),
              "channel order", "RGB -> BGR, 0 to 255 minus the mean, as in Caffe"),
    "255": (steps(RESIZE, CROP, times(255)), "input range", "0 to 1 -> 0 to 255"),
    "255 alone": (steps(RESIZE, CROP, times(255, lambda values: values)), "input range",
                  "0 to 1 -> 0 to 255, not normalized"),
    "divided twice": (steps(RESIZE, CROP, times(1 / 255)), "input range", "0 to 1 -> 0 to 1/255, divided twice"),
    "bicubic": (sharp(InterpolationMode.BICUBIC), "interpolation", "bilinear -> bicubic"),
    "nearest": (sharp(InterpolationMode.NEAREST), "interpolation", "bilinear -> nearest"),
    "no antialias": (steps(ToImage(), Resize(37, antialias=False), CROP, DEFAULT), "interpolation",
                     "with antialias -> without antialias"),
    "whole": (steps(Resize(SIDE), CROP, DEFAULT), "resize and crop",
              "resize 37, crop 32 -> resize 32, crop 32"),
    "larger": (steps(Resize(35), CROP, DEFAULT), "resize and crop", "resize 37, crop 32 -> resize 35, crop 32"),
    "squashed": (steps(Resize([SIDE, SIDE]), DEFAULT), "resize and crop",
                 "resize 37, crop 32 -> resize 32 x 32, no crop"),
}  # fmt: skip
"""Cause -> how the claim was measured, the factor, and the change that names it."""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Explain:
    """Explain the claim that all images are classified rightly, which holds if they are prepared by `prepare`."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))

    def explained(
        prepare: Prepare,
        task: str = "size: 32",
        report: Callable[[str], None] = print,
        claimed: float = 1.0,
        is_square: bool = False,
        count: int = COUNT,
    ) -> Explanation:
        sides = [40 + seed % 7 for seed in range(count)]
        images = [Image.fromarray(pixels(n, side, side if is_square else 60, 3)) for n, side in enumerate(sides)]
        for number, label in enumerate(plant_weights(tmp_path / "weights.safetensors", map(prepare, images))):
            folder = tmp_path / "images" / "val" / f"c{label}"
            folder.mkdir(parents=True, exist_ok=True)
            images[number].save(folder / f"{number}.png")
        for name in range(CLASSES):
            (tmp_path / "images" / "train" / f"c{name}").mkdir(parents=True)
            images[0].save(tmp_path / "images" / "train" / f"c{name}" / "0.png")
        path = tmp_path / "images.yaml"
        path.write_text(RECIPE.format(task=task, claimed=claimed))
        context = RunContext(
            builder=Builder(), accelerator=accelerator_on(device()), runs=tmp_path / "none", report=report
        )
        explanation = explain(catalogue.local(path), context)
        json.dumps(explanation.data(), allow_nan=False)
        return explanation

    return explained


def plant_weights(path: Path, inputs: Iterable[Tensor]) -> Sequence[int]:
    """Write weights whose predictions for these inputs are varied, and return the predictions."""
    torch.manual_seed(3)
    model = cifar_resnet(depth=8, width=4, num_classes=CLASSES).eval()
    batch = torch.stack(list(inputs))
    with torch.no_grad():
        logits = model(batch)
        last = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
        last.bias -= logits.mean(dim=0)
        last.weight /= logits.std(dim=0)[:, None]
        last.bias /= logits.std(dim=0)
        predicted = model(batch).argmax(dim=1)
    assert len(set(predicted.tolist())) > 3
    save_file(model.state_dict(), path)
    return predicted.tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_is_named(planted: Explain, cause: str) -> None:
    prepare, factor, change = CAUSES[cause]
    explanation = planted(prepare)
    assert explanation.state == "explained", explanation.text()
    assert [(attempt.factor, attempt.change) for attempt in explanation.successful] == [(factor, change)]


@pytest.mark.slow
def test_the_size_of_larger_images_is_named(planted: Explain) -> None:
    prepare = steps(Resize(255), CenterCrop(224), DEFAULT)
    explanation = planted(prepare, task="size: 128", count=12)
    assert [(attempt.factor, attempt.change) for attempt in explanation.successful] == [
        ("image size", "resize 146, crop 128 -> resize 255, crop 224")
    ]
    statistics = [attempt.change for attempt in explanation.attempts if attempt.factor == "mean and std"]
    assert statistics and not any("CIFAR" in change for change in statistics)


def test_a_resize_of_the_shorter_side_alone_is_changed(planted: Explain) -> None:
    task = "train_transforms: [], eval_transforms: [{use: Resize, size: 32}]"
    explanation = planted(steps(Resize(36), CROP, DEFAULT), task=task, is_square=True)
    assert [(attempt.factor, attempt.change) for attempt in explanation.successful] == [
        ("resize and crop", "resize 32, no crop -> resize 36, crop 32")
    ]
    assert "resize 32, no crop -> resize 32 x 32, no crop" not in {attempt.change for attempt in explanation.attempts}


@pytest.mark.parametrize("claimed", [pytest.param(0.7, marks=pytest.mark.slow), 0.8667])
def test_an_invented_claim_stays_unexplained(planted: Explain, claimed: float) -> None:
    explanation = planted(steps(RESIZE, CROP, DEFAULT), claimed=claimed)
    assert explanation.state == "unexplained", explanation.text()
    pairs = [attempt for attempt in explanation.attempts if "; " in attempt.change]
    assert len(pairs) > 5
    assert {attempt.reason for attempt in pairs} == {""}


def test_an_error_in_one_factor_loses_no_other(planted: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(settings: Any) -> Iterator[Any]:
        raise PermissionError(13, "Permission denied", "images/a.png")

    monkeypatch.setattr(image_factors, "_ranges", fail)
    explanation = planted(CAUSES["statistics"][0])
    assert [attempt.factor for attempt in explanation.successful] == ["mean and std"]
    reasons = [attempt.reason for attempt in explanation.attempts if attempt.factor == "image preprocessing"]
    assert reasons == ["images/a.png: Permission denied"]
    assert "train mode" in {attempt.factor for attempt in explanation.attempts}


def test_images_as_the_recipe_says_have_no_cause(planted: Explain) -> None:
    explanation = planted(steps(RESIZE, CROP, DEFAULT))
    assert (explanation.state, explanation.attempts) == ("nothing to explain", ())


PUBLISHED: dict[str, tuple[dict[str, Any], Prepare, str]] = {
    "squash of transformers": (
        {"image_processor_type": "ViTImageProcessor", "size": {"height": SIDE, "width": SIDE}},
        steps(Resize(SIDE), CROP, HALF),
        "resize and crop: resize 32 x 32, no crop -> resize 32, crop 32",
    ),
    "crop of transformers": (
        {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": SIDE}, "crop_pct": 0.875},
        steps(Resize([SIDE, SIDE], InterpolationMode.BICUBIC), HALF),
        "resize and crop: resize 36, crop 32 -> resize 32 x 32, no crop",
    ),
    "timm": (
        {"architecture": "any", "pretrained_cfg": {"input_size": [3, SIDE, SIDE], "crop_pct": 0.9}},
        steps(Resize(35), CROP, DEFAULT),
        "interpolation: bicubic -> bilinear",
    ),
}
"""Settings -> the file, how the claim was measured, and the change that names it."""


@pytest.mark.slow
@pytest.mark.parametrize("library", PUBLISHED)
def test_published_preprocessing_is_read_and_changed(planted: Explain, tmp_path: Path, library: str) -> None:
    settings, prepare, cause = PUBLISHED[library]
    name = "config.json" if library == "timm" else "preprocessor_config.json"
    write_files(tmp_path / "settings", {name: json.dumps(settings).encode()})
    explanation = planted(prepare, task='preprocessing: {use: published, of: "file:settings"}')
    assert explanation.state == "explained", explanation.text()
    assert [f"{attempt.factor}: {attempt.change}" for attempt in explanation.successful] == [cause]


def test_few_rows_decide_which_changes_are_evaluated_on_all(planted: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "ROWS", 10)
    monkeypatch.setattr(screening, "LARGE", 2)
    monkeypatch.setattr(screening, "ERRORS", 1)
    reports: list[str] = []
    explanation = planted(CAUSES["statistics"][0], report=reports.append)
    assert [attempt.change for attempt in explanation.successful] == ["ImageNet -> 0.5 and 0.5"]
    estimated = [attempt for attempt in explanation.attempts if attempt.is_estimate]
    assert len(estimated) > 5
    assert {attempt.rows_computed for attempt in estimated} == {10}
    (report,) = reports
    assert re.fullmatch(
        r"images: \d+ changes to try: 4 score .*, \d+ compute outputs again, first on 30, then on 10 of 30 rows", report
    )
    text = explanation.text(80)
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"\n~0\.\d{4} .*\n", text) and "\n~: estimated from 10 rows, " in text


def test_another_normalization_decodes_no_image_again(planted: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: Counter[Path] = Counter()

    def count(path: Path) -> Image.Image:
        decoded[path] += 1
        return read_rgb(path)

    monkeypatch.setattr("zoo.tasks.image_split.read_rgb", count)
    explanation = planted(CAUSES["statistics"][0])
    factors = Counter(a.factor for a in explanation.attempts if a.values and not a.is_estimate)
    resized = factors["interpolation"] + factors["resize and crop"]
    others = factors["mean and std"] + factors["input range"] + factors["channel order"]
    assert others > 5
    assert max(decoded.values()) <= 2 + 2 * resized  # twice: in the sample, and among all rows


@pytest.mark.parametrize(
    ("changes", "mean", "std", "factor"),
    [
        ({"mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3)}, (0.5, 0.4, 0.3), (0.1, 0.2, 0.3), 1),
        ({"largest": 255.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}, (0.0,) * 3, (1.0,) * 3, 255),
    ],
)
def test_pixels_in_memory_are_normalized_otherwise(changes: dict[str, Any], mean: Any, std: Any, factor: float) -> None:
    images, labels = torch.from_numpy(pixels(0, 5, 3, 8, 8)), torch.arange(5)
    split = PixelSplit(images, labels, mean=MEAN, std=STD)
    settings = settings_of(split)
    assert settings is not None
    changed = changed_images(split, settings, changes).batch([1, 3]).inputs
    expected = PixelSplit(images, labels, mean=mean, std=std).batch([1, 3]).inputs
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(changed, expected * factor)


def test_images_in_a_table_are_prepared_otherwise(tmp_path: Path) -> None:
    encoded = [{"bytes": png(pixels(seed, 40, 50, 3)), "path": None} for seed in range(4)]
    (tmp_path / "val.parquet").write_bytes(parquet({"image": encoded, "label": [0, 1, 0, 1]}, labels=pa.int64()))
    source = Source(Sources(), f"file:{tmp_path / 'val.parquet'}")
    split = image_classification(data={"val": source}, size=32).load("val")
    settings = settings_of(split)
    assert settings is not None and settings.geometry is not None
    changed = changed_images(split, settings, {"resize": (32, 32), "crop": None}).batch([2]).inputs
    expected = steps(Resize([32, 32]), DEFAULT)(Image.fromarray(pixels(2, 40, 50, 3)))
    torch.testing.assert_close(changed, expected[None])


def test_other_transforms_are_left_alone() -> None:
    for transforms in ([v2.Pad(4)], [v2.Resize(40), v2.Pad(4)], [v2.Resize(None, max_size=40)]):
        settings = read_preparation(preparation(transforms, MEAN, STD))
        assert settings is not None and settings.geometry is None
