"""How a published model reads images, as recipes name it: the settings of transformers or timm beside its weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from zoo.errors import IntegrityError, SourceError, UsageError, first_line
from zoo.fetch.foreign_settings import walk
from zoo.fetch.offline import offline
from zoo.fetch.published_settings import read_json, verified_view
from zoo.fetch.repository_files import CONFIG, PREPROCESSOR
from zoo.fetch.sources import Source
from zoo.fetch.timm_settings import read_timm_settings
from zoo.tasks.image_defaults import MEAN, STD
from zoo.tasks.images import Preparation, preparation

Transform = Callable[[Image.Image], Tensor]
"""Turns a decoded RGB image into a tensor `(3, H, W)`."""
SIZES = (
    "size",
    "crop_size",
    "pad_size",
    "height",
    "width",
    "shortest_edge",
    "longest_edge",
    "max_height",
    "max_width",
    "size_divisor",
)
AREAS = ("min_pixels", "max_pixels")
MAX_SIDE = 4096
"""The longest side of an image that published settings may ask for, in pixels."""
LEAST_CROP, MOST_CROP = 0.05, 2.0
"""The share of the resized image that a crop keeps. Above 1, the image is smaller than the crop, with borders."""
INPUT_SIZES = ("input_size", "test_input_size")
CROP_MODES = ("center", "squash", "border")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
IMAGENET = {"mean": MEAN, "std": STD}


@dataclass(frozen=True)
class Processed:
    """A transform of images by an image processor of transformers."""

    processor: Any
    name: str
    """The repository of the processor, for messages."""

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the input `(3, H, W)` for an image. Raises SourceError if the processor fails."""
        try:
            pixels = torch.as_tensor(self.processor(images=image, return_tensors="pt")["pixel_values"][0])
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise SourceError(f"{self.name}: {PREPROCESSOR} cannot be applied to an image: {reason}") from error
        if pixels.dim() != 3 or not pixels.is_floating_point():
            raise SourceError(f"{self.name}: {PREPROCESSOR} gives {tuple(pixels.shape)} and not an image (3, H, W)")
        return pixels


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The published preprocessing of images; see `published`. Its files are fetched when it is loaded."""

    of: Source
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings of timm that a recipe changes."""

    def load(self) -> Preparation:
        """Return the preparation of a decoded RGB image.

        Raises:
            UsageError: The source has no such settings, or does not have those that the recipe changes.
            IntegrityError: The settings cannot be used.
            SourceError: The package timm is missing, or an image cannot be processed; raised by the transform.
        """
        fetched = self.of.fetch("preprocessing")
        if (fetched.path / PREPROCESSOR).is_file():
            if self.changes:
                names = " and ".join(self.changes)
                raise UsageError(f"{self.of.name} has {PREPROCESSOR}; {names} can only change settings of timm")
            transform = _of_transformers(fetched.path, self.of.name)
            return Preparation(pixels=transform, normalize=torch.nn.Identity(), variant=self.of.name)
        settings = read_timm_settings(fetched.path)
        if settings is None:
            raise UsageError(f"{self.of.name} has no {PREPROCESSOR}, and its {CONFIG} is not timm's")
        return _of_timm(fetched.path / CONFIG, self._changed(settings))

    def _changed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with the changes of the recipe. A width may have another height in the settings."""
        changed = {**settings, **self.changes}
        if (size := changed.pop("size", None)) is not None:
            known = [value for key in INPUT_SIZES if isinstance(value := settings.get(key), list)]
            changed["input_size"] = next((value for value in known if value[-1:] == [size]), [3, size, size])
        return changed


def published(
    *,
    of: Source,
    size: int | None = None,
    crop_pct: float | None = None,
    interpolation: Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"] | None = None,
) -> Preprocessing:
    """Return the preprocessing of a repository: size, crop, interpolation, scale, mean and standard deviation.

    Args:
        of: The repository. Its `preprocessor_config.json` is read as transformers does with Pillow, else its
            `config.json` as timm does.
        size: The width of an image, for models of timm that are evaluated at another size than the published one. The
            height is the same, unless `config.json` has an input of this width and another height.
        crop_pct: The share of the resized image that the crop keeps, as `size`.
        interpolation: How images are resized, as `size`.

    Raises:
        UsageError: `size` or `crop_pct` is out of range.
    """
    Source.needed(of, "of")
    if size is not None and not 1 <= size <= MAX_SIDE:
        raise UsageError(f"size must be 1 to {MAX_SIDE:,}, not {size}").about("size")
    if crop_pct is not None and not LEAST_CROP <= crop_pct <= MOST_CROP:
        raise UsageError(f"crop_pct must be {LEAST_CROP} to {MOST_CROP}, not {crop_pct:g}").about("crop_pct")
    changes = {"size": size, "crop_pct": crop_pct, "interpolation": interpolation}
    return Preprocessing(of=of, changes={key: value for key, value in changes.items() if value is not None})


def _check_sizes(path: Path, settings: Mapping[str, Any]) -> None:
    """Raise IntegrityError for settings that ask for images which are too large, also before the crop."""
    numbers = [(key, value) for key, value, _ in walk("", settings) if isinstance(value, int | float)]
    for key, value in numbers:
        most = MAX_SIDE**2 if key in AREAS else MAX_SIDE
        if key in (*SIZES, *AREAS) and not 0 < value <= most:
            raise IntegrityError(f"{path}: {key}: {value} is not a number of pixels up to {most}")
    sides = [value for key, value in numbers if key in SIZES]
    for value in (value for key, value in numbers if key == "crop_pct"):
        _check_crop(path, value, max(sides, default=1))


def _check_crop(path: Path, crop_pct: Any, side: float) -> None:
    """Raise IntegrityError unless an image that is cropped to this side by this share is not too large before."""
    if not _is_number(crop_pct) or not LEAST_CROP <= crop_pct <= MOST_CROP:
        raise IntegrityError(f"{path}: crop_pct: {crop_pct!r} is not a number from {LEAST_CROP} to {MOST_CROP}")
    if side / crop_pct > MAX_SIDE:
        raise IntegrityError(f"{path}: crop_pct: {crop_pct!r} of an image is {side:g} pixels; it may have {MAX_SIDE}")


def _of_transformers(folder: Path, name: str) -> Processed:
    _check_sizes(folder / PREPROCESSOR, read_json(folder / PREPROCESSOR))
    names = [file for file in (CONFIG, PREPROCESSOR) if (folder / file).is_file()]
    transformers = import_module("transformers")  # before `offline`, which changes it
    try:
        with verified_view(folder, names) as view, offline():
            processor = transformers.AutoImageProcessor.from_pretrained(
                view, backend="pil", trust_remote_code=False, local_files_only=True
            )
    except IntegrityError:
        raise
    except Exception as error:  # damaged settings make every processor raise its own exceptions
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise IntegrityError(f"{folder / PREPROCESSOR}: cannot be loaded: {reason}") from error

    return Processed(processor, name)


def _of_timm(path: Path, settings: Mapping[str, Any]) -> Preparation:
    """Return timm's own transforms for evaluation, with its defaults for settings that are missing.

    The normalization is ours, so that models which differ in nothing else share decoded images.
    """
    crop_pct, size = settings.get("crop_pct") or 0.875, _size(path, settings.get("input_size") or [3, 224, 224])
    _check_crop(path, crop_pct, max(size))
    channels = {key: _channels(path, key, settings.get(key) or default) for key, default in IMAGENET.items()}
    chosen = {
        "img_size": size,
        "interpolation": _one_of(path, settings, "interpolation", INTERPOLATIONS, "bicubic"),
        "crop_mode": _one_of(path, settings, "crop_mode", CROP_MODES, "center"),
        "crop_pct": crop_pct,
    }
    if find_spec("timm") is None:
        raise SourceError(f"{path}: timm's preprocessing needs the package timm: pip install timm")
    make_transform = import_module("timm.data.transforms_factory").transforms_imagenet_eval
    borders = channels["mean"] if chosen["crop_mode"] == "border" else ()
    return preparation(
        [make_transform(**chosen, mean=channels["mean"], normalize=False)], channels["mean"], channels["std"],
        variant=repr((sorted(chosen.items()), borders)),
    )  # fmt: skip


def _size(path: Path, value: Any) -> tuple[int, int]:
    is_size = isinstance(value, list) and len(value) == 3 and all(type(side) is int for side in value)
    if not is_size or value[0] != 3 or not all(0 < side <= MAX_SIDE for side in value):
        raise IntegrityError(f"{path}: input_size: {value!r} is not [3, HEIGHT, WIDTH] with sides up to {MAX_SIDE}")
    return value[1], value[2]


def _channels(path: Path, key: str, value: Any) -> Sequence[float]:
    is_list = isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value))
    if not is_list or (key == "std" and not all(item > 0 for item in value)):
        raise IntegrityError(f"{path}: {key}: {value!r} is not a number for each of three channels")
    return tuple(value)


def _one_of(path: Path, settings: Mapping[str, Any], key: str, known: Sequence[str], default: str) -> str:
    value = settings.get(key) or default
    if value not in known:
        raise IntegrityError(f"{path}: {key}: {value!r} is not one of {', '.join(known)}")
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
