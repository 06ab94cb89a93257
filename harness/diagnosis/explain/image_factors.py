"""Other ways to read the images of a task: size, crop, interpolation, normalization, range and order of channels."""

from collections.abc import Iterator
from math import floor
from typing import Any

from harness.diagnosis.explain.candidates import Candidates, Untried
from harness.diagnosis.explain.image_settings import Geometry, ImageSettings
from harness.diagnosis.explain.variant import Change, Variant
from harness.diagnosis.explain.variant_runs import VariantRunner
from zoo.tasks.base import Split
from zoo.tasks.image_defaults import MEAN, STD
from zoo.tasks.splits import TextSplit

FACTOR = "image preprocessing"
RATIOS = (0.875, 0.9, 0.95, 0.965, 1.0)
"""Shares of the resized image that a crop keeps: 256, 248, 235, 232 and 224 to 224."""
SIZES = (224, 256, 288)
LARGE = 128
"""From this side on, images have the sizes of ImageNet's models; below, those of CIFAR."""
INTERPOLATIONS = ("bilinear", "bicubic", "nearest")
WITH_ANTIALIAS = ("bilinear", "bicubic")
NONE = "none (0 and 1)"
CAFFE_MEAN = tuple(255 * value for value in MEAN)
STATISTICS = {
    "ImageNet": (MEAN, STD),
    "0.5 and 0.5": ((0.5,) * 3, (0.5,) * 3),
    "CLIP": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    NONE: ((0.0,) * 3, (1.0,) * 3),
}
OF_CIFAR = {
    "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CIFAR-10 with std 0.20": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "CIFAR-100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
"""The second one has the mean of the standard deviations of single images, which many programs use."""
TOLERANCE = 5e-4


def images(runner: VariantRunner, name: str) -> Candidates:
    """Try other preparations of the images of a split."""
    split = runner.split(name)
    settings = runner.image_settings(split)
    if settings is None:
        has_texts = isinstance(split, TextSplit)
        yield Untried(FACTOR, "the task has no images" if has_texts else "zoo cannot change how this task reads images")
        return
    height, width = _size(split)
    yield from _statistics(settings, width)
    yield from _ranges(settings)
    if settings.geometry is None:
        yield Untried("resize and crop", "images are not prepared by a resize and a center crop")
        return
    yield from _geometries(settings.geometry, height, width)


def _size(split: Split) -> tuple[int, int]:
    """Return height and width of an input."""
    height, width = split.batch([0]).inputs.shape[-2:]  # type: ignore[union-attr]
    return int(height), int(width)


def _statistics(settings: ImageSettings, side: int) -> Candidates:
    known = STATISTICS if side >= LARGE else {**OF_CIFAR, **STATISTICS}
    if len(settings.mean) != 3:
        return
    before = _name_of(settings)
    for name, (mean, std) in known.items():
        if not _is_near(settings, mean, std):
            yield _changed("mean and std", before, name, mean=mean, std=std)


def _name_of(settings: ImageSettings) -> str:
    known = {**STATISTICS, **OF_CIFAR}
    name = next((name for name, (mean, std) in known.items() if _is_near(settings, mean, std)), None)
    numbers = [" ".join(f"{value:.3g}" for value in values) for values in (settings.mean, settings.std)]
    return name or " and ".join(numbers)


def _is_near(settings: ImageSettings, mean: tuple[float, ...], std: tuple[float, ...]) -> bool:
    pairs = zip((*settings.mean, *settings.std), (*mean, *std), strict=False)
    return len(settings.mean) == len(mean) and all(abs(a - b) < TOLERANCE for a, b in pairs)


def _ranges(settings: ImageSettings) -> Candidates:
    zeros, ones = (0.0,) * len(settings.mean), (1.0,) * len(settings.mean)
    yield _changed("input range", "0 to 1", "0 to 255", largest=255.0)
    if not _is_near(settings, zeros, ones):
        yield _changed("input range", "0 to 1", "0 to 255, not normalized", largest=255.0, mean=zeros, std=ones)
    yield _changed("input range", "0 to 1", "0 to 1/255, divided twice", largest=1 / 255)
    if len(settings.mean) == 3:
        yield _changed("channel order", "RGB", "BGR", bgr=True)
        caffe: dict[str, Any] = {"largest": 255.0, "bgr": True, "mean": CAFFE_MEAN[::-1], "std": ones}
        yield _changed("channel order", "RGB", "BGR, 0 to 255 minus the mean, as in Caffe", **caffe)


def _geometries(geometry: Geometry, height: int, width: int) -> Candidates:
    for interpolation in INTERPOLATIONS:
        if interpolation != geometry.interpolation:
            yield _changed("interpolation", geometry.interpolation, interpolation, interpolation=interpolation)
    if geometry.interpolation in WITH_ANTIALIAS and geometry.antialias:
        yield _changed("interpolation", "with antialias", "without antialias", antialias=False)
    seen = {(geometry.resize, geometry.crop)}
    if geometry.crop is None:
        seen.add(((height, width), None))  # a resize of the shorter side gives this size too
    for factor, resize, crop in _sizes(geometry, height, width):
        if (resize, crop) not in seen:
            seen.add((resize, crop))
            after = Geometry(resize=resize, crop=crop)
            yield _changed(factor, _shown(geometry), _shown(after), resize=resize, crop=crop)


def _sizes(
    geometry: Geometry, height: int, width: int
) -> Iterator[tuple[str, tuple[int, ...], tuple[int, int] | None]]:
    """Yield factor, resize and crop: first for inputs of this height and width, then for other sizes."""
    if height == width:
        for ratio in RATIOS:
            yield "resize and crop", (floor(height / ratio),), (height, height)
    yield "resize and crop", (height, width), None
    ratio = height / geometry.resize[0]
    for size in SIZES if height == width and height >= LARGE else ():
        is_squashed = len(geometry.resize) == 2
        crop = None if geometry.crop is None else (size, size)
        yield "image size", (floor(size / ratio),) * (1 + is_squashed), crop


def _shown(geometry: Geometry) -> str:
    resized = " x ".join(map(str, geometry.resize))
    return f"resize {resized}, crop {geometry.crop[0]}" if geometry.crop else f"resize {resized}, no crop"


def _changed(factor: str, before: str, after: str, **images: Any) -> Variant:
    return Variant(changes=(Change(factor, "", before, after),), images=images)
