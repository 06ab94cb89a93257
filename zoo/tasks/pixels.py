"""Small images held as one uint8 tensor, cropped, flipped and normalized as whole batches on the device."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.tasks.base import CPU, Batch
from zoo.tasks.device_copies import DeviceCopies, move


class PixelSplit:
    """Images in memory. Batches are float32, `(x / 255 - mean) / std` per channel.

    A GPU gets a copy of all images if they fit in its memory, and batches are formed there.

    With `padding` and `flip` the images of a batch are transformed as torchvision's `RandomCrop(size, padding)` and
    `RandomHorizontalFlip` do, with separate random numbers for each image.

    Args:
        pixels: `(N, C, H, W)` uint8.
        labels: `(N,)`.
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        padding: Pad images by this many black pixels on each side, and crop them to their size at random.
        flip: Mirror images with probability 1/2.
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
        self.fixed, self.mean, self.std = not (padding or flip), tuple(mean), tuple(std)
        shape = (1, -1, 1, 1)
        deviation = torch.tensor(std, dtype=torch.float64)
        self.scale = (1 / (255 * deviation)).float().reshape(shape)
        self.shift = (-torch.tensor(mean, dtype=torch.float64) / deviation).float().reshape(shape)
        self._images, self._statistics = DeviceCopies(), DeviceCopies()

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        images, statistics = (self.pixels, self.labels), (self.scale, self.shift)
        size = sum(value.nbytes for value in images)
        pixels, labels = self._images.on(device, size, lambda: [value.to(device) for value in images]) or images
        scale, shift = self._statistics.on(device, 0, lambda: [value.to(device) for value in statistics]) or statistics
        rows = move(torch.as_tensor(indices, dtype=torch.int64), pixels.device)
        chosen = move(pixels.index_select(0, rows), device)
        if not self.fixed:
            chosen = self._augment(chosen)
        # two steps: some processors round once for both in addcmul, and a fingerprint hashes these bits
        inputs = chosen.float().mul_(scale).add_(shift)
        return Batch(inputs=inputs, labels=move(labels[rows], device), ids=move(rows, device))

    def rows(self) -> Iterator[bytes]:
        for row, label in zip(self.pixels.numpy(), self.labels.numpy(), strict=True):
            yield row.tobytes() + label.tobytes()

    def _augment(self, pixels: Tensor) -> Tensor:
        """Crop and flip each image at random. Copying whole rows of pixels before columns is faster than one gather."""
        count, channels, height, width = pixels.shape
        device, offsets = pixels.device, 2 * self.padding + 1
        rows = torch.randint(offsets, (count, 1), device=device) + torch.arange(height, device=device)
        columns = torch.randint(offsets, (count, 1), device=device) + torch.arange(width, device=device)
        if self.flip:
            columns = torch.where(torch.rand(count, 1, device=device) < 0.5, columns.flip(1), columns)
        padded = F.pad(pixels, (self.padding,) * 4)
        starts = torch.arange(count * channels, device=device).reshape(count, channels, 1) * padded.shape[2]
        cropped_rows = padded.flatten(0, 2).index_select(0, (starts + rows[:, None]).flatten())
        cropped_rows = cropped_rows.reshape(count, channels, height, -1)
        return cropped_rows.gather(3, columns[:, None, None].expand(-1, channels, height, -1))
