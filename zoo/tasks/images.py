"""What tasks over folders of images share: finding the folder, decoding, and the last steps of every transform."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torchvision.transforms import v2

from zoo.errors import NoDataError, SourceError, UsageError
from zoo.fetch.sources import Source


def local_folder(data: Source, layout: Sequence[str], splits: Sequence[str], split: str) -> Path:
    """The folder of a data set, in which the parts of `layout`, with a split for `{split}`, are there for one of them.

    Raises NoDataError, naming all that it should hold for all `splits`, where it is not there or lacks some of that.
    """
    every = list(dict.fromkeys(part.format(split=one) for part in layout for one in splits))
    wanted = f": it is a folder that holds {', '.join(every)}"
    name = data.short_name
    try:
        folder = data.fetch("data").path
    except NoDataError:
        raise NoDataError(name, wanted) from None
    for part in layout:
        if not any(folder.glob(part.format(split=split))):
            raise NoDataError(name, f"{wanted}, and {folder} lacks {part.format(split=split)}")
    return folder


def read_image(path: Path) -> Image.Image:
    """A decoded image in its own mode; raises SourceError for a file that is none."""
    try:
        with Image.open(path) as image:
            image.load()
            return image.copy()
    except Exception as error:  # Pillow's formats raise whatever they stumble over
        raise SourceError(f"{path}: cannot be read as an image: {error}") from None


def read_rgb(path: Path) -> Image.Image:
    """A decoded image in RGB; grey and other ones are converted, as torchvision's loader does."""
    return read_image(path).convert("RGB")


def normalised(transforms: Sequence[Any], mean: Sequence[float], std: Sequence[float]) -> v2.Compose:
    """The transforms, then the image as float32 `(3, H, W)` in [0, 1], less `mean`, over `std`.

    Raises UsageError for what is no transform.
    """
    for transform in transforms:
        if not callable(transform):
            raise UsageError(f"{transform!r} is no transform; write {{use: {transform}}}")
    end = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))]
    return v2.Compose([*transforms, *end])
