"""The readout of object detection: the boxes that a model finds, beside those of the annotations."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from zoo.errors import OutputsError
from zoo.tasks.base import Batch, Split, Task
from zoo.tasks.readout import Arrays

NUMBERS = 6
"""The corners x1, y1, x2, y2, the score and the class of a detection."""


class Detections:
    """Keeps the detections of every image, for a model with the outputs of `zoo.models.detector`.

    The array `detections` is `(N, D, 6)`, float32: the corners x1, y1, x2, y2 in pixels, the score and the class;
    unused rows are 0. `objects` is `(N, M, 7)`, float64, with the columns `zoo.tasks.coco_boxes.COLUMNS`; the class is
    -1 in unused rows.
    """

    def check(self, task: Task, logits: Tensor, labels: Tensor) -> None:
        """Raise OutputsError if the outputs are no detections."""
        if logits.dim() != 3 or logits.shape[2] != NUMBERS:
            raise OutputsError(
                f"the model returns a tensor {tuple(logits.shape)}, but {task.name} needs detections (B, D, {NUMBERS});"
                " use the model `detector`"
            )

    def read(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the detections `(B, D, 6)`."""
        return logits

    def arrays(self, rows: NDArray[Any], split: Split) -> Arrays:
        """Return the detections, and the objects of the split."""
        objects: NDArray[Any] = split.objects  # type: ignore[attr-defined]
        return {"detections": rows, "objects": objects}

    def examples_of(self, rows: NDArray[np.bool_], split: Split) -> NDArray[np.bool_]:
        """Return the rows: each image is an example."""
        return rows

    def example(self, outputs: int, split: Split) -> Arrays:
        """Return two images: an object of each size, all found, and none."""
        boxes = np.array([[0, 0, 10, 10], [0, 0, 50, 50], [0, 0, 200, 200]], dtype=np.float64)
        areas, ones = boxes[:, 2:3] * boxes[:, 3:4], np.ones((3, 1))
        detections = np.concatenate([boxes, ones, ones], axis=1).astype(np.float32)
        objects = np.concatenate([boxes, areas, ones, 0 * ones], axis=1)
        empty = np.full_like(objects, -1)
        return {"detections": np.stack([detections, 0 * detections]), "objects": np.stack([objects, empty])}
