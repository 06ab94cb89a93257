"""Transforms of an image and its mask that torchvision does otherwise than the published segmentation models."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from zoo.tasks.base import IGNORED


class ShorterSide(v2.Transform):  # type: ignore[misc]
    """Resize so that the shorter side is of `min_size` to `max_size` pixels, drawn evenly; both may be one number.

    Masks are resized by Pillow, which takes the pixel whose centre is nearest; torchvision takes another.
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
    """Pad what is smaller than `size` pixels to it, at the right and at the bottom: images with 0, masks with 255."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = F.get_size(flat_inputs[0])
        return {"padding": [0, 0, max(self.size - width, 0), max(self.size - height, 0)]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = IGNORED if isinstance(inpt, tv_tensors.Mask) else 0
        return F.pad(inpt, params["padding"], fill=fill) if any(params["padding"]) else inpt
