"""Classification of images in parquet files or data sets of the Hub."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch

from zoo.errors import UsageError, errors_about
from zoo.fetch.sources import Source
from zoo.preprocessing import Preprocessing
from zoo.tasks.base import CPU, Batch, Task
from zoo.tasks.image_defaults import MEAN, STD
from zoo.tasks.image_transforms import ImageTransforms, image_metrics
from zoo.tasks.images import Preparation, decode_rgb
from zoo.tasks.labelled_rows import LabelledRows, Labels
from zoo.tasks.labels import Classes, shown
from zoo.tasks.tables import Table


class EncodedImages:
    """A split of image files in memory, decoded when a batch needs them.

    Args:
        files: The bytes of the image of every row.
        labels: The labels of the rows.
        preparation: Turns a decoded RGB image into a tensor `(3, H, W)`.
        fixed: True if no transform is random.
        where: The split, for messages.
    """

    def __init__(
        self, files: Sequence[bytes], labels: Labels, preparation: Preparation, *, fixed: bool, where: str
    ) -> None:
        self.files, self.labels, self.preparation, self.fixed = files, labels.values, preparation, fixed
        self.classes, self.class_notes, self.where = labels.classes, labels.notes, where

    def __len__(self) -> int:
        return len(self.files)

    def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
        ids = list(indices)
        with ThreadPoolExecutor() as pool:  # only decoding is parallel: transforms must draw random numbers in order
            images = list(pool.map(lambda row: decode_rgb(self.files[row], f"{self.where}, row {row}"), ids))
        inputs = torch.stack([self.preparation(image) for image in images])
        rows = torch.tensor(ids, dtype=torch.int64)
        return Batch(inputs=inputs, labels=self.labels[rows], ids=rows).to(device)

    def rows(self) -> Iterator[bytes]:
        """Yield the SHA-256 of every image and its label."""
        for content, label in zip(self.files, self.labels.tolist(), strict=True):
            yield f"{hashlib.sha256(content).hexdigest()}\t{label}".encode()


def image_classification(
    *,
    data: Source | Mapping[str, Source],
    image: str = "image",
    label: str = "label",
    classes: Classes = (),
    config: str | None = None,
    splits: str | Sequence[str] = ("train", "validation"),
    scored: str | Sequence[str] | None = None,
    train_transforms: Sequence[Any] | None = None,
    eval_transforms: Sequence[Any] | None = None,
    size: int | None = None,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    preprocessing: Preprocessing | None = None,
) -> Task:
    """Return a classification task over images in a column of a table.

    The files of the images are held in memory. Their orientation in EXIF is applied, as the library datasets does.

    Args:
        data: A data set of the Hub, or one parquet file for each split: `{train: "file:train.parquet", ...}`.
        image: The column with the images: their bytes, or `{bytes, path}` as the library datasets writes them.
        label: The column with the label: the name of a class, or its number if no class is called like a number.
        classes: As in `text_classification`; more than five also have a top-5 accuracy.
        config: The configuration of a data set of the Hub.
        splits: The splits of a data set of the Hub to offer. Files define their own.
        scored: The splits that are evaluated. Their labels must be public. Default: all but `train`, validation splits
            first, then by name.
        train_transforms: As in `image_folder`, for the split `train`.
        eval_transforms: As in `image_folder`, for the other splits.
        size: As in `image_folder`.
        mean: As in `image_folder`.
        std: As in `image_folder`.
        preprocessing: As in `image_folder`.

    Raises:
        UsageError: An argument is wrong. `Task.load` raises it, with the row, for a value that is no image or label.
    """
    rows = LabelledRows(data=data, label=label, classes=classes, config=config, splits=splits, scored=scored)
    transforms = ImageTransforms(
        train=train_transforms, evaluation=eval_transforms, size=size, mean=mean, std=std, preprocessing=preprocessing
    )

    # images of a scored split must not be cropped at random, also if it is called train
    has_training = rows.training not in rows.scored_splits

    def load(split: str, *, trains: bool) -> EncodedImages:
        def make(files: list[bytes], labels: Labels) -> EncodedImages:
            is_fixed = not (trains and transforms.is_random)
            return EncodedImages(files, labels, transforms.of(trains=trains), fixed=is_fixed, where=split)

        return rows.load(split, partial(_files, column=image), make)

    return Task(
        name="image_classification",
        splits={split: partial(load, split, trains=has_training and split == rows.training) for split in rows.names},
        plain={rows.training: partial(load, rows.training, trains=False)},
        scored=rows.scored_splits,
        metrics=image_metrics(classes if isinstance(classes, int) else len(rows.listed)),
        label_names=rows.listed,
        sources=(*rows.needs, *transforms.sources),
    )


def _files(table: Table, column: str) -> list[bytes]:
    """Return the bytes of every image. Raises UsageError with the row of a value that has none."""
    with errors_about("image"):
        values = table.column(column)
        contents = [value.get("bytes") if isinstance(value, Mapping) else value for value in values]
        files = [content for content in contents if isinstance(content, bytes)]
        if len(files) < len(contents):
            row = next(row for row, content in enumerate(contents) if not isinstance(content, bytes))
            raise UsageError(f"column {column!r}, row {row}: {shown(values[row])} has no bytes of an image")
        return files
