"""The readout of segmentations: how many pixels of each class are predicted as each other class."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.tasks.base import IGNORED, Batch, Split, Task
from zoo.tasks.readout import Arrays


class PixelCounts:
    """Counts the pixels of class i that are predicted as class j in each image; those with the label 255 are left out.

    The array `confusion` is `(N, C, C)`, int32; all counts of an image whose outputs are not finite are 0.
    """

    def check(self, task: Task, logits: Tensor, labels: Tensor) -> None:
        """Raise OutputsError if the model has another number of outputs than the task has classes."""
        task.check_outputs(logits.shape[1], labels)

    def read(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the counts `(B, C, C)` for logits `(B, C, H, W)`."""
        classes, predicted = logits.shape[1], logits.argmax(dim=1)
        image = torch.arange(len(predicted), device=predicted.device).reshape(-1, 1, 1).expand_as(predicted)
        is_counted = batch.labels != IGNORED
        cells = ((image * classes + batch.labels) * classes + predicted)[is_counted]
        counts = torch.bincount(cells, minlength=len(predicted) * classes**2)
        is_finite = torch.isfinite(logits.reshape(len(logits), -1)).all(dim=1)
        return counts.reshape(-1, classes, classes).to(torch.int32).where(is_finite.reshape(-1, 1, 1), 0)

    def arrays(self, rows: NDArray[Any], split: Split) -> Arrays:
        """Return the counts as `confusion`."""
        return {"confusion": rows}

    def examples_of(self, rows: NDArray[np.bool_], split: Split) -> NDArray[np.bool_]:
        """Return the rows: each image is an example."""
        return rows

    def example(self, outputs: int, split: Split) -> Arrays:
        """Return the counts of two images in which each class is predicted as each other one."""
        return {"confusion": np.ones((2, outputs, outputs), dtype=np.int32)}
