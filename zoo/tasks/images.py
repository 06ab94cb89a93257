"""Shared parts of tasks that read folders of images: finding the folder, decoding images, and normalization."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import v2

from zoo.errors import NoDataError, NoFileError, SourceError, UsageError
from zoo.fetch.sources import Source

MAX_16_BITS = 65535


def local_folder(data: Source, layout: Sequence[str], splits: Sequence[str], split: str, hint: str = "") -> Path:
    """Return the folder of a data set after checking that it holds the files of a split.

    Args:
        data: The source of the data set.
        layout: Glob patterns of the needed files, with "{split}" in place of the name of the split.
        splits: All splits. The error lists the files of all of them.
        split: The split to check.
        hint: How to name other folders, for the error.

    Raises:
        NoDataError: The folder that the user names is missing, or a pattern matches nothing.
        NoFileError: The same for a folder that the recipe names.
    """
    patterns = list(dict.fromkeys(part.format(split=name) for part in layout for name in splits))
    wanted = f": it is a folder that holds {', '.join(patterns)}"
    name = data.short_name
    try:
        folder = data.fetch("data").path
    except NoDataError:
        raise NoDataError(name, wanted) from None
    for part in layout:
        if not any(folder.glob(part.format(split=escape(split)))):
            lacks = f"{folder} lacks {part.format(split=split)}"
            if data.is_local_file:
                raise NoFileError(data.name, f"{lacks}; it must hold {', '.join(patterns)}{hint}")
            raise NoDataError(name, f"{wanted}, but {lacks}{hint}")
    return folder


def read_image(path: Path) -> Image.Image:
    """Decode an image without changing its mode. Raises SourceError for a file that is not an image."""
    return _decode(path, path)


def read_rgb(path: Path) -> Image.Image:
    """Decode an image and convert it to RGB, as torchvision's loader does.

    An alpha channel is dropped, and the orientation in EXIF is not applied. Gray values of 16 bits, which torchvision
    clips at 255, become their upper 8 bits, as Pillow reads colors of 16 bits.

    Raises:
        SourceError: The file is no image, or its pixels have no known range.
    """
    return _to_rgb(path, read_image(path))


def decode_rgb(content: bytes, where: str) -> Image.Image:
    """Decode the bytes of an image to RGB, upright: its orientation in EXIF is applied, as the library datasets does.

    Args:
        content: The bytes of the file.
        where: The place of the image, for messages.

    Raises:
        SourceError: See `read_rgb`.
    """
    return _to_rgb(where, _decode(io.BytesIO(content), where, upright=True))


def _decode(file: Path | io.BytesIO, where: Path | str, *, upright: bool = False) -> Image.Image:
    try:
        with Image.open(file) as image:
            image.load()
            return ImageOps.exif_transpose(image) if upright else image.copy()
    except Exception as error:  # each of Pillow's decoders raises its own exceptions
        raise SourceError(f"{where}: cannot be read as an image: {error}") from None


def _to_rgb(path: Path | str, image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return _scale_to_8_bits(path, image).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns of a direct conversion
    return image.convert("RGB")


def _scale_to_8_bits(path: Path | str, image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if image.mode == "F" or values.min(initial=0) < 0 or values.max(initial=0) > MAX_16_BITS:
        raise SourceError(f"{path}: the image has pixels of 32 bits (mode {image.mode}); save it with 8 or 16 bits")
    return Image.fromarray((values.astype(np.uint32) >> 8).astype(np.uint8))


def check_transforms(transforms: Sequence[Any]) -> None:
    """Raise UsageError if `transforms` is no list, or an item is no transform, such as a name without `{use: ...}`."""
    if callable(transforms):
        raise UsageError(f"{type(transforms).__name__} is a single transform; write a list: [{{use: ...}}]")
    for transform in transforms:
        if not callable(transform):
            raise UsageError(f"{transform!r} is not a transform; write {{use: {transform}}}")


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How a decoded RGB image becomes an input of a model, in two steps."""

    pixels: Callable[[Any], Any]
    """Turns the image into a tensor `(3, H, W)`; uint8, unless a transform of the recipe converts it."""
    normalize: Callable[[Any], Any]
    """Turns this tensor into float32, normalized as `(x - mean) / std`."""
    variant: str = ""
    """What `pixels` depends on besides the arguments of the task in the recipe."""

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the input `(3, H, W)` for an image."""
        return torch.as_tensor(self.normalize(self.pixels(image)))


def preparation(
    transforms: Sequence[Any], mean: Sequence[float], std: Sequence[float], variant: str = ""
) -> Preparation:
    """Return the preparation of images by a list of transforms and a normalization; see `with_normalization`."""
    *_, to_image, to_float, normalize = with_normalization(transforms, mean, std).transforms
    return Preparation(
        pixels=v2.Compose([*transforms, to_image]), normalize=v2.Compose([to_float, normalize]), variant=variant
    )


def with_normalization(transforms: Sequence[Any], mean: Sequence[float], std: Sequence[float]) -> v2.Compose:
    """Append the last steps to a list of transforms: float32 `(3, H, W)` in [0, 1], then `(x - mean) / std`.

    Raises:
        UsageError: See `check_transforms`.
    """
    check_transforms(transforms)
    steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))]
    return v2.Compose([*transforms, *steps])
