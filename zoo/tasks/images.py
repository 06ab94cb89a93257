"""Shared parts of tasks that read folders of images: finding the folder, decoding images, and normalization."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torchvision.transforms import v2

from zoo.errors import NoDataError, SourceError, UsageError
from zoo.fetch.sources import Source


def local_folder(data: Source, layout: Sequence[str], splits: Sequence[str], split: str) -> Path:
    """Return the folder of a data set after checking that it holds the files of a split.

    Args:
        data: The source of the data set.
        layout: Glob patterns of the needed files, with "{split}" in place of the name of the split.
        splits: All splits. The error lists the files of all of them.
        split: The split to check.

    Raises:
        NoDataError: The folder is missing, or a pattern matches nothing.
    """
    patterns = list(dict.fromkeys(part.format(split=name) for part in layout for name in splits))
    wanted = f": it is a folder that holds {', '.join(patterns)}"
    name = data.short_name
    try:
        folder = data.fetch("data").path
    except NoDataError:
        raise NoDataError(name, wanted) from None
    for part in layout:
        if not any(folder.glob(part.format(split=split))):
            raise NoDataError(name, f"{wanted}, but {folder} lacks {part.format(split=split)}")
    return folder


def read_image(path: Path) -> Image.Image:
    """Decode an image without changing its mode. Raises SourceError for a file that is not an image."""
    try:
        with Image.open(path) as image:
            image.load()
            return image.copy()
    except Exception as error:  # each of Pillow's decoders raises its own exceptions
        raise SourceError(f"{path}: cannot be read as an image: {error}") from None


def read_rgb(path: Path) -> Image.Image:
    """Decode an image and convert it to RGB, as torchvision's loader does. Raises SourceError."""
    return read_image(path).convert("RGB")


def with_normalization(transforms: Sequence[Any], mean: Sequence[float], std: Sequence[float]) -> v2.Compose:
    """Append the last steps to a list of transforms: float32 `(3, H, W)` in [0, 1], then `(x - mean) / std`.

    Raises:
        UsageError: An item of `transforms` is not a transform, for example a name without `{use: ...}`.
    """
    for transform in transforms:
        if not callable(transform):
            raise UsageError(f"{transform!r} is not a transform; write {{use: {transform}}}")
    steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))]
    return v2.Compose([*transforms, *steps])
