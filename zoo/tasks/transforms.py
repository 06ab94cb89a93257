"""Transforms of an image and its mask that reproduce how the published segmentation models were trained and scored.

torchvision's own transforms resize and pad masks differently.
"""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from zoo.tasks.base import IGNORED


class ShorterSide(v2.Transform):  # type: ignore[misc]
    """Resize image and mask so that the shorter side has a random length between `min_size` and `max_size` pixels.

    Masks are resized by Pillow, which takes the pixel with the nearest center. torchvision takes another pixel.

    Args:
        min_size: The smallest length in pixels.
        max_size: The largest length in pixels. Default: `min_size`, so that nothing is random.
    """

    def __init__(self, min_size: int, max_size: int | None = None) -> None:
        super().__init__()
        self.min_size, self.max_size = min_size, max_size or min_size

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"size": [int(torch.randint(self.min_size, self.max_size + 1, ()))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not isinstance(inpt, tv_tensors.Mask):
            return F.resize(inpt, params["size"], antialias=True)
        resized = F.resize(Image.fromarray(inpt.numpy()), params["size"], interpolation=InterpolationMode.NEAREST)
        return tv_tensors.Mask(torch.from_numpy(np.array(resized)))


class PadTo(v2.Transform):  # type: ignore[misc]
    """Pad image and mask at the right and at the bottom to at least `size` pixels: images with 0, masks with 255.

    Args:
        size: The smallest height and width in pixels after padding.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = F.get_size(flat_inputs[0])
        return {"padding": [0, 0, max(self.size - width, 0), max(self.size - height, 0)]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = IGNORED if isinstance(inpt, tv_tensors.Mask) else 0
        return F.pad(inpt, params["padding"], fill=fill) if any(params["padding"]) else inpt
