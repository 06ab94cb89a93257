"""Read how the images of a split are prepared, and prepare them otherwise.

Changes of mean, standard deviation, range and channels are computed from the inputs, so they decode no image again.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import CenterCrop, Normalize, Resize, ToImage

from harness.evaluation.subset import SplitSubset
from zoo.tasks.base import CPU, Batch, Split
from zoo.tasks.image_classification import EncodedImages
from zoo.tasks.image_split import ImageSplit
from zoo.tasks.images import Preparation, preparation
from zoo.tasks.pixels import PixelSplit

WHITE = 255
CHECKED = 8
"""The number of images on which transforms that were read are compared with the real ones."""
TO_TENSOR = ("ToImage", "MaybePILToTensor")
"""Transforms that turn an image into a tensor without a change of its pixels; the second one is timm's."""
WITH_CROP_PCT = 384
"""From this side on, processors with `crop_pct`, as those of ConvNeXT, resize to the side without a crop."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How images are resized and cropped."""

    resize: tuple[int, ...]
    """The shorter side, or height and width."""
    crop: tuple[int, int] | None = None
    interpolation: str = "bilinear"
    antialias: bool = True
    """False for a resize of the tensor that reads only the nearest pixels, as torchvision did for tensors."""

    def transforms(self) -> list[Any]:
        """Return the transforms of a decoded image."""
        mode = InterpolationMode(self.interpolation)
        first = [] if self.antialias else [ToImage()]
        crop = [] if self.crop is None else [CenterCrop(self.crop)]
        return [*first, Resize(list(self.resize), mode, antialias=self.antialias), *crop]


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """How images become inputs: resized and cropped, then `(x - mean) / std` of values `x` from 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    geometry: Geometry | None = None
    """None if images are not resized, or in a way that cannot be changed."""


def settings_of(split: Split) -> ImageSettings | None:
    """Return how the images of a split are prepared; None for other splits, and for an unknown preparation."""
    inner = split.split if isinstance(split, SplitSubset) else split
    if isinstance(inner, PixelSplit):
        return ImageSettings(mean=inner.mean, std=inner.std)
    if not isinstance(inner, ImageSplit | EncodedImages):
        return None
    settings = read_preparation(inner.preparation)
    is_read = settings is not None and settings.geometry is not None
    return replace(settings, geometry=None) if settings and is_read and not _is_right(inner, settings) else settings


def changed_images(split: Split, settings: ImageSettings, changes: Mapping[str, Any]) -> Split:
    """Return a split whose images are prepared otherwise.

    Args:
        split: The split.
        settings: How its images are prepared.
        changes: New values of fields of `Geometry`, and arguments of `ChangedPixels`.
    """
    if isinstance(split, SplitSubset):
        return replace(split, split=changed_images(split.split, settings, changes))
    names = {field.name for field in fields(Geometry)}
    geometry = {name: value for name, value in changes.items() if name in names}
    pixels = {name: value for name, value in changes.items() if name not in names}
    if geometry and settings.geometry is not None:
        split = _with_geometry(split, replace(settings.geometry, **geometry), settings)
    return ChangedPixels(split, settings, **pixels) if pixels else split


class ChangedPixels:
    """A split of images with another range, order of channels or normalization.

    Args:
        split: The split.
        settings: How its images are prepared.
        mean: Mean of each channel; None for that of the settings.
        std: Standard deviation of each channel; None for that of the settings.
        largest: The value of a white pixel before the normalization.
        bgr: Whether the channels are in reverse order; they are normalized after that.
    """

    def __init__(
        self,
        split: Split,
        settings: ImageSettings,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        largest: float = 1.0,
        bgr: bool = False,
    ) -> None:
        self.split, self.settings, self.largest, self.bgr = split, settings, largest, bgr
        self.mean, self.std = settings.mean if mean is None else mean, settings.std if std is None else std
        self.fixed = bool(getattr(split, "fixed", False))

    @property
    def labels(self) -> Tensor:
        return self.split.labels

    def __len__(self) -> int:
        return len(self.split)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        batch = self.split.batch(indices, device)
        assert isinstance(batch.inputs, Tensor)
        pixels = _whole(batch.inputs * _channels(self.settings.std, device) + _channels(self.settings.mean, device))
        pixels = pixels.flip(1) if self.bgr else pixels
        return replace(
            batch, inputs=(pixels * self.largest - _channels(self.mean, device)) / _channels(self.std, device)
        )

    def rows(self) -> Iterator[bytes]:
        return self.split.rows()


def _whole(values: Tensor) -> Tensor:
    """Undo the rounding of a normalization, if the values from 0 to 1 were pixels of 8 bits."""
    pixels = (values * WHITE).round()
    return pixels / WHITE if bool((values * WHITE - pixels).abs().max() < 0.01) else values


def _channels(values: Sequence[float], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device).reshape(1, -1, 1, 1)


def _with_geometry(split: Split, geometry: Geometry, settings: ImageSettings) -> Split:
    changed: Any = copy.copy(split)
    changed.preparation, changed.decoded = preparation(geometry.transforms(), settings.mean, settings.std), None
    return changed  # type: ignore[no-any-return]


def _is_right(split: Split, settings: ImageSettings) -> bool:
    """Return whether the settings that were read give the inputs of a split.

    Half of the inputs are enough: for a quarter of all sizes, transformers crops one pixel farther to the left.
    """
    assert settings.geometry is not None
    rows = range(min(CHECKED, len(split)))
    real, read = (s.batch(rows).inputs for s in (split, _with_geometry(split, settings.geometry, settings)))
    if not isinstance(real, Tensor) or not isinstance(read, Tensor) or real.shape != read.shape:
        return False
    return bool(((real - read).abs().flatten(1).amax(1) < 1e-3).float().mean() >= 0.5)


def read_preparation(prepared: Preparation) -> ImageSettings | None:
    """Return what a preparation says of itself; None if its normalization is unknown."""
    processor = getattr(prepared.pixels, "processor", None)
    if processor is not None:
        return _of_processor(processor)
    normalize = next((step for step in _flat(prepared.normalize) if isinstance(step, Normalize)), None)
    if normalize is None:
        return None
    mean, std = (tuple(map(float, values)) for values in (normalize.mean, normalize.std))
    return ImageSettings(mean=mean, std=std, geometry=_of_transforms(_flat(prepared.pixels)))


def _flat(transform: Any) -> list[Any]:
    """Return the steps of nested `Compose`s in order."""
    inner = getattr(transform, "transforms", None)
    return [transform] if inner is None else [step for item in inner for step in _flat(item)]


def _of_transforms(steps: Sequence[Any]) -> Geometry | None:
    """Return the geometry of transforms of torchvision or timm; None if they are not a resize, and a center crop."""
    names = [type(step).__name__ for step in steps]
    while names and names[-1] in TO_TENSOR:
        names.pop()
    if names not in (["Resize"], ["Resize", "CenterCrop"]) or steps[0].size is None or steps[0].max_size is not None:
        return None
    size, crop = steps[0].size, tuple(steps[1].size) if len(names) == 2 else None
    resize = (size,) if isinstance(size, int) else tuple(size)
    mode = steps[0].interpolation
    name = Image.Resampling(mode).name.lower() if isinstance(mode, int) else InterpolationMode(mode).value
    return Geometry(resize=resize, crop=crop, interpolation=name)


def _of_processor(processor: Any) -> ImageSettings | None:
    """Return the settings of an image processor of transformers; None if it does more than these settings say."""

    def get(name: str) -> Any:
        return getattr(processor, name, None)

    if not get("do_rescale") or abs(get("rescale_factor") * WHITE - 1) > 1e-6 or get("do_flip_channel_order"):
        return None
    mean, std = (get("image_mean"), get("image_std")) if get("do_normalize") else ((0.0,) * 3, (1.0,) * 3)
    geometry = _geometry_of_processor(processor) if get("do_resize") else None
    return ImageSettings(mean=tuple(mean), std=tuple(std), geometry=geometry)


def _geometry_of_processor(processor: Any) -> Geometry | None:
    size, crop, crop_pct = processor.size, None, getattr(processor, "crop_pct", None)
    shorter, interpolation = size.get("shortest_edge"), Image.Resampling(processor.resample).name.lower()
    resize = (shorter,) if shorter else (size.get("height"), size.get("width"))
    if crop_pct and shorter:
        is_cropped = shorter < WITH_CROP_PCT
        resize = (int(shorter / crop_pct),) if is_cropped else (shorter, shorter)
        crop = (shorter, shorter) if is_cropped else None
    elif getattr(processor, "do_center_crop", False):
        crop = processor.crop_size["height"], processor.crop_size["width"]
    return Geometry(resize=resize, crop=crop, interpolation=interpolation) if all(resize) else None
