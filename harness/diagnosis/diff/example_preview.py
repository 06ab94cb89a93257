"""Show an example: its texts, or a small picture for a page or a terminal. This module does not import torch."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from zoo.tasks.base import Split

THUMBNAIL = 64
"""The largest width and height of a thumbnail in pixels."""
CELLS = 16
"""The largest width and height of a picture in a terminal, in pixels: 16 columns, and 8 lines of two pixels each."""
SHADES = " .,-=+*#%@"
"""From dark to light. Without a colon: two of them at the start of a line are a command to GitHub's log."""
BLACK, GRAYS = 232, 24
"""The first of the 24 shades of gray among the 256 colors of a terminal, and their number."""
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ExamplePreview:
    """The texts of an example, or its picture `(H, W)` or `(H, W, 3)` with values from 0 to 255."""

    texts: tuple[str, ...] = ()
    pixels: Pixels | None = None

    @property
    def uri(self) -> str | None:
        """The picture as a PNG of at most 64 x 64 pixels, in a `data:` URI; None for texts."""
        if self.pixels is None:
            return None
        image, buffer = Image.fromarray(self.pixels), io.BytesIO()
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        image.save(buffer, "PNG")
        return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"

    def lines(self, *, colors: bool) -> list[str]:
        """Return the texts, or the picture in gray: as colored half blocks, or as ASCII characters without colors."""
        if self.pixels is None:
            return list(self.texts)
        gray = _resized(self.pixels)
        pairs = zip(gray[::2], gray[1::2], strict=True)
        return [_blocks(upper, lower) if colors else _characters(upper, lower) for upper, lower in pairs]


def preview_example(split: Split, row: int) -> ExamplePreview | None:
    """Return the preview of a row; None for data other than texts and images `(C, H, W)` with 1 or 3 channels."""
    texts = getattr(split, "texts", None)
    if texts is not None:
        return ExamplePreview(texts=tuple(texts[row]))
    inputs = split.batch([row]).inputs
    if isinstance(inputs, dict) or inputs.ndim != 4 or inputs.shape[1] not in (1, 3):
        return None
    return ExamplePreview(pixels=_pixels(np.asarray(inputs[0], dtype=np.float64)))


def _pixels(image: NDArray[np.float64]) -> Pixels:
    """Scale an image `(C, H, W)` so that its smallest value is black and its largest white."""
    low, high = float(image.min()), float(image.max())
    scaled = np.rint((image - low) * (255 / (high - low or 1.0))).astype(np.uint8)
    return scaled[0] if len(scaled) == 1 else scaled.transpose(1, 2, 0).copy()


def _resized(pixels: Pixels) -> Pixels:
    """Convert a picture to gray, with 16 pixels on its longer side and an even number of rows."""
    image = Image.fromarray(pixels).convert("L")
    scale = CELLS / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    resized = image.resize(
        (width, height + height % 2), Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    )
    return np.asarray(resized, dtype=np.uint8)


def _blocks(upper: Pixels, lower: Pixels) -> str:
    """Return a line of half blocks: the foreground is the upper pixel, the background the lower one."""
    shades = [[BLACK + int(value) * GRAYS // 256 for value in row] for row in (upper, lower)]
    cells = (f"\x1b[38;5;{front};48;5;{back}m▀" for front, back in zip(*shades, strict=True))
    return "".join(cells) + "\x1b[0m"


def _characters(upper: Pixels, lower: Pixels) -> str:
    means = (int(top) + int(bottom) for top, bottom in zip(upper, lower, strict=True))
    return "".join(SHADES[mean * len(SHADES) // 512] for mean in means)
