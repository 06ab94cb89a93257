"""Small images held as one tensor of bytes: cropped, flipped and normalised as whole batches, on the device."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.tasks.base import CPU, Batch


class PixelSplit:
    """Images `(N, C, H, W)` of uint8 and labels `(N,)`; batches are float32, `(x / 255 - mean) / std` by channel.

    With `padding` each image of a batch is cropped at its own random place out of a frame of as many black pixels, with
    `flip` it is mirrored with probability 1/2: what torchvision's `RandomCrop(size, padding)` and
    `RandomHorizontalFlip` do one image at a time.
    """

    def __init__(
        self,
        pixels: Tensor,
        labels: Tensor,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        padding: int = 0,
        flip: bool = False,
    ) -> None:
        self.pixels, self.labels, self.padding, self.flip = pixels, labels, padding, flip
        self.fixed = not (padding or flip)
        shape = (1, -1, 1, 1)
        deviation = torch.tensor(std, dtype=torch.float64)
        self.scale = (1 / (255 * deviation)).float().reshape(shape)
        self.shift = (-torch.tensor(mean, dtype=torch.float64) / deviation).float().reshape(shape)
        self._on: dict[torch.device, tuple[Tensor, Tensor, Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        pixels, labels, scale, shift = self._moved(device)
        at = torch.as_tensor(indices, dtype=torch.int64, device=device)
        chosen = pixels.index_select(0, at)
        if not self.fixed:
            chosen = self._transformed(chosen)
        return Batch(inputs=torch.addcmul(shift, chosen.float(), scale), labels=labels[at], ids=at)

    def rows(self) -> Iterator[bytes]:
        for row, label in zip(self.pixels.numpy(), self.labels.numpy(), strict=True):
            yield row.tobytes() + label.tobytes()

    def _moved(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if device not in self._on:
            parts = (self.pixels, self.labels, self.scale, self.shift)
            self._on[device] = tuple(part.to(device) for part in parts)  # type: ignore[assignment]
        return self._on[device]

    def _transformed(self, pixels: Tensor) -> Tensor:
        """Each image cropped and flipped as it is drawn: whole rows of pixels are copied, then places in them."""
        count, channels, height, width = pixels.shape
        device, places = pixels.device, 2 * self.padding + 1
        rows = torch.randint(places, (count, 1), device=device) + torch.arange(height, device=device)
        columns = torch.randint(places, (count, 1), device=device) + torch.arange(width, device=device)
        if self.flip:
            columns = torch.where(torch.rand(count, 1, device=device) < 0.5, columns.flip(1), columns)
        framed = F.pad(pixels, (self.padding,) * 4)
        starts = torch.arange(count * channels, device=device).reshape(count, channels, 1) * framed.shape[2]
        copied = framed.flatten(0, 2).index_select(0, (starts + rows[:, None]).flatten())
        copied = copied.reshape(count, channels, height, -1)
        return copied.gather(3, columns[:, None, None].expand(-1, channels, height, -1))
