"""Handwritten digits: the 1,797 real 8x8 images that ship with scikit-learn (UCI optical recognition, Kaynak 1995)."""

import torch
from sklearn.datasets import load_digits

from zoo.tasks.base import Task
from zoo.tasks.splits import TensorSplit


def digits() -> Task:
    """Return the task of ten digits: images `(1, 8, 8)` float32.

    The rows have scikit-learn's order. Even rows are `train` (899), odd rows are `test` (898). Both splits hold images
    of every writer.
    """
    return Task(
        name="digits",
        splits={"train": lambda: _every_second_row(0), "test": lambda: _every_second_row(1)},
        scored=("test",),
        metrics=("accuracy",),
        label_names=tuple("0123456789"),
        batch_size=512,
    )


def _every_second_row(first: int) -> TensorSplit:
    """Scale pixels from 0..16 to [0, 1], then to about zero mean and unit standard deviation."""
    data = load_digits()
    images = torch.tensor(data.images[first::2], dtype=torch.float32).unsqueeze(1) / 16
    return TensorSplit((images - 0.3) / 0.38, torch.tensor(data.target[first::2], dtype=torch.int64))
