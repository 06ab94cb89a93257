"""Transforms of an image and its mask that reproduce how the published segmentation models were trained and scored.

torchvision's own transforms resize and pad masks differently. timm's automatic augmentation of images is here too.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from zoo.errors import SourceError, UsageError
from zoo.tasks.base import IGNORED
from zoo.tasks.image_defaults import MEAN

_POLICY = re.compile(r"(?!.*\d{4})[\w.-]{1,80}", re.ASCII)
"""Policies of timm; thousands of operations for each image are refused."""


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


class TimmAutoAugment:
    """Augment an image by a policy of timm: RandAugment, AugMix or AutoAugment with timm's own operations.

    The settings are those of `transforms_imagenet_train` in timm/data/transforms_factory.py. The random numbers come
    from Python and numpy, whose generators a training seeds and saves in its checkpoints.

    Args:
        policy: The policy, such as `rand-m9-mstd0.5-inc1`, `augmix-m5-w4-d2`, `original`, `v0` or `3a`.
        size: The shorter side of the image in pixels.
        mean: The mean of each channel, the color beyond the edges of an image that is moved.
        interpolation: How a moved image is interpolated. Default: bilinear or bicubic at random.

    Raises:
        UsageError: timm has no such policy, or a mean is not from 0 to 1.
        SourceError: The package timm is missing.
    """

    def __init__(
        self,
        policy: str,
        size: int,
        mean: Sequence[float] = MEAN,
        interpolation: Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"] | None = None,
    ) -> None:
        if find_spec("timm") is None:
            raise SourceError("TimmAutoAugment needs the package timm: pip install timm")
        wrong = UsageError(f"timm has no policy {policy[:60]!r}; write one such as rand-m9-mstd0.5").about("policy")
        if not _POLICY.fullmatch(policy):
            raise wrong
        if not all(0 <= value <= 1 for value in mean):
            raise UsageError(f"the mean of a channel is a number from 0 to 1, not {list(mean)}").about("mean")
        timm = import_module("timm.data.auto_augment")
        fill = tuple(round(255 * value) for value in mean)
        settings: dict[str, Any] = {"translate_const": int(size * 0.45), "img_mean": fill}
        if interpolation is not None:
            settings["interpolation"] = import_module("timm.data.transforms").str_to_pil_interp(interpolation)
        try:
            if policy.startswith("rand"):
                self.augment = timm.rand_augment_transform(policy, settings)
            elif policy.startswith("augmix"):
                self.augment = timm.augment_and_mix_transform(policy, settings | {"translate_pct": 0.3})
            else:
                self.augment = timm.auto_augment_transform(policy, settings)
        except (AssertionError, ValueError, KeyError, IndexError, TypeError):
            raise wrong from None

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return an augmented image."""
        augmented: Image.Image = self.augment(image)
        return augmented
