"""Pad images and masks to a common size, without torchvision, which takes seconds to import."""

from dataclasses import replace

from torch import Tensor
from torch.nn import functional as F

from zoo.tasks.base import IGNORED, Batch


def pad_batch(batch: Batch, height: int, width: int) -> Batch:
    """Return a batch of images and masks with at least this size, padded as `SegmentationSplit` pads smaller images."""
    if not isinstance(batch.inputs, Tensor) or batch.inputs.shape[-2:] != batch.labels.shape[-2:]:
        return batch
    size = max(height, batch.labels.shape[-2]), max(width, batch.labels.shape[-1])
    return replace(batch, inputs=pad(batch.inputs, *size, 0.0), labels=pad(batch.labels, *size, IGNORED))


def pad(value: Tensor, height: int, width: int, fill: float) -> Tensor:
    """Return images or masks with this size, filled on the right and at the bottom."""
    return F.pad(value, (0, width - value.shape[-1], 0, height - value.shape[-2]), value=fill)
