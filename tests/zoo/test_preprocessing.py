"""Published preprocessing of images: as transformers and timm apply it, and refused where settings are hostile."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2
from transformers import AutoImageProcessor, ConvNextConfig, DeiTConfig, ViTConfig

from tests.helpers.vision_data import image_folders, pixels
from zoo import preprocessing
from zoo.errors import UsageError, ZooError
from zoo.fetch.sources import Source, Sources
from zoo.tasks import image_folder

IMAGE = Image.fromarray(pixels(3, 50, 70, 3))
PROCESSOR, CONFIG = "preprocessor_config.json", "config.json"
VIT = {"do_normalize": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2}
TIMM: dict[str, Any] = {
    "architecture": "test_resnet", "num_classes": 3,
    "pretrained_cfg": {
        "input_size": [3, 32, 32], "crop_pct": 0.8, "interpolation": "bicubic", "crop_mode": "center",
        "mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3],
    },
}  # fmt: skip


def written(folder: Path, **files: Any) -> Source:
    """Write settings as JSON, and return the folder as a source."""
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return Source(Sources(), f"file:{folder}")


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (ViTConfig(), {**VIT, "size": 24, "feature_extractor_type": "ViTFeatureExtractor"}),
        (ViTConfig(), {**VIT, "size": {"height": 24, "width": 20}, "image_processor_type": "ViTImageProcessor"}),
        (DeiTConfig(), {**VIT, "size": 28, "do_center_crop": True, "crop_size": 24, "resample": 3}),
        (ConvNextConfig(), {**VIT, "size": {"shortest_edge": 24}, "crop_pct": 0.875}),
    ],
)
def test_settings_of_transformers_are_applied_by_transformers_with_pillow(
    config: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    source = written(tmp_path, config=config.to_dict(), preprocessor_config=settings)
    transformed = preprocessing.published(of=source).load()(IMAGE)
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    assert torch.equal(transformed, torch.as_tensor(processor(IMAGE, return_tensors="pt")["pixel_values"][0]))
    assert transformed.shape[1] == 24


def test_a_plain_resize_has_the_pixels_of_pillow(tmp_path: Path) -> None:
    settings = {**VIT, "size": {"height": 24, "width": 24}, "image_processor_type": "ViTImageProcessor"}
    transformed = preprocessing.published(of=written(tmp_path, preprocessor_config=settings)).load()(IMAGE)
    resized = np.asarray(IMAGE.resize((24, 24), Image.Resampling.BILINEAR), dtype=np.float64) / 255
    assert np.allclose(transformed.numpy(), ((resized - 0.5) / 0.5).transpose(2, 0, 1), atol=1e-6)


@pytest.mark.parametrize("crop_pct", [0.875, 1.0, 1.15])
@pytest.mark.parametrize("size", [[3, 32, 32], [3, 36, 24], [3, 18, 24]])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_settings_of_timm_are_applied_by_timm(mode: str, size: list[int], crop_pct: float, tmp_path: Path) -> None:
    data = pytest.importorskip("timm.data")
    settings = {**TIMM["pretrained_cfg"], "crop_mode": mode, "input_size": size, "crop_pct": crop_pct}
    source = written(tmp_path, config={**TIMM, "pretrained_cfg": settings})
    expected = data.create_transform(**data.resolve_data_config(pretrained_cfg=settings))
    assert torch.allclose(preprocessing.published(of=source).load()(IMAGE), expected(IMAGE), atol=1e-5, rtol=0)


def test_a_recipe_can_change_size_crop_and_interpolation_of_timms_settings(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    settings = {**TIMM["pretrained_cfg"], "input_size": [3, 36, 24], "test_input_size": [3, 48, 32]}
    source = written(tmp_path, config={**TIMM, "pretrained_cfg": settings})
    shapes = [preprocessing.published(of=source, size=width).load()(IMAGE).shape[1:] for width in (24, 32, 28)]
    assert list(map(tuple, shapes)) == [(36, 24), (48, 32), (28, 28)]
    plain, other = (preprocessing.published(of=source, interpolation=name).load() for name in ("bicubic", "bilinear"))
    assert not torch.equal(plain(IMAGE), other(IMAGE))
    assert plain.variant != other.variant
    for change in ({"size": 0}, {"crop_pct": 0.0}):
        with pytest.raises(UsageError, match=f"{next(iter(change))} must be"):
            preprocessing.published(of=source, **change)


def test_a_task_reads_images_by_the_published_settings(tmp_path: Path) -> None:
    settings = {**VIT, "size": 24, "image_processor_type": "ViTImageProcessor"}
    source = written(tmp_path, preprocessor_config=settings)
    published, root = preprocessing.published(of=source), image_folders(tmp_path / "in")
    data = Source(Sources(data={"mine": root}), "data:mine")
    task = image_folder(data=data, preprocessing=published)
    image = Image.open(root / "val" / "n00000001" / "0.JPEG")
    assert torch.equal(task.load("val").batch([2]).inputs[0], published.load()(image))
    assert (task.load("train").fixed, (source, "preprocessing") in task.sources) == (True, True)
    flipped = image_folder(data=data, preprocessing=published, train_transforms=[v2.RandomHorizontalFlip(1.0)])
    assert not flipped.load("train").fixed
    both = [each.load("train").batch([0]).inputs[0] for each in (task, flipped)]
    assert torch.allclose(both[0].flip(-1), both[1], atol=0.02)
    for argument in ({"size": 24}, {"mean": [0.5] * 3}, {"eval_transforms": []}):
        with pytest.raises(UsageError, match=f"{next(iter(argument))}: leave it out, because `preprocessing` decides"):
            image_folder(data=data, preprocessing=published, **argument)


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "code": ({"preprocessor_config": {**VIT, "auto_map": {"AutoImageProcessor": "evil/x--m.P"}}}, "auto_map: names"),
    "a huge size": ({"preprocessor_config": {**VIT, "size": 10**9}}, "size: 1000000000 is not a number of pixels"),
    "a huge crop": ({"preprocessor_config": {**VIT, "crop_size": {"height": 9999, "width": 4}}}, "height: 9999 is not"),
    "a negative size": ({"preprocessor_config": {**VIT, "size": [-1, 5]}}, "size: -1 is not a number of pixels"),
    "no class": ({"preprocessor_config": VIT}, "cannot be loaded"),
    "a wrong type": ({"preprocessor_config": '["x"]'}, "not a JSON object"),
    "no settings": ({"config": {"model_type": "vit"}}, "has no preprocessor_config.json, and its"),
    "a huge input": ({"config": {**TIMM, "pretrained_cfg": {"input_size": [3, 10**6, 9]}}}, "input_size: "),
    "four channels": ({"config": {**TIMM, "pretrained_cfg": {"input_size": [4, 9, 9]}}}, "input_size: "),
    "a text": ({"config": {**TIMM, "pretrained_cfg": {"input_size": "big"}}}, "input_size: 'big' is not"),
    "no deviation": ({"config": {**TIMM, "pretrained_cfg": {"std": [0, 1, 1]}}}, r"std: \[0, 1, 1\] is not"),
    "a huge image before the crop": (
        {"preprocessor_config": {**VIT, "size": {"shortest_edge": 224}, "crop_pct": 0.051}}, "0.051 of an image is 224",
    ),
    "a tiny crop": ({"preprocessor_config": {**VIT, "size": 24, "crop_pct": 0.001}}, "crop_pct: 0.001 is not a number"),
    "a huge area": ({"preprocessor_config": {**VIT, "max_pixels": 10**9}}, "max_pixels: 1000000000 is not a number"),
    "a crop of nothing": ({"config": {**TIMM, "pretrained_cfg": {"crop_pct": 1e-9}}}, "crop_pct: 1e-09 is not"),
    "random pixels": ({"config": {**TIMM, "pretrained_cfg": {"interpolation": "random"}}}, "interpolation: 'random'"),
    "another crop": ({"config": {**TIMM, "pretrained_cfg": {"crop_mode": "x"}}}, "crop_mode: 'x' is not one of"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_settings_are_refused_by_key(name: str, tmp_path: Path) -> None:
    files, message = HOSTILE[name]
    with pytest.raises(ZooError, match=message):
        preprocessing.published(of=written(tmp_path, **files)).load()


def test_settings_that_fail_on_an_image_are_an_error_of_the_source(tmp_path: Path) -> None:
    settings = {**VIT, "size": 24, "image_mean": [0.5, 0.5], "image_processor_type": "ViTImageProcessor"}
    transform = preprocessing.published(of=written(tmp_path, preprocessor_config=settings)).load()
    with pytest.raises(ZooError, match=r"preprocessor_config.json cannot be applied to an image: ValueError"):
        transform(IMAGE)
