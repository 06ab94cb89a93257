"""The task `image_classification`: images in parquet files and in data sets of the Hub."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.helpers.vision_data import pixels, png
from zoo.errors import SourceError, UsageError
from zoo.fetch.sources import Source, Sources
from zoo.tasks import image_classification

PLAIN = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, images: list[Any], labels: list[Any], kind: Any = STRUCT) -> Source:
    values = images if kind != STRUCT else [{"bytes": image, "path": None} for image in images]
    pq.write_table(pa.table({"image": pa.array(values, kind), "label": labels}), path)
    return Source(Sources(), f"file:{path}")


@pytest.mark.parametrize("kind", [STRUCT, pa.binary()])
def test_images_are_decoded_and_prepared_as_the_recipe_says(kind: Any, tmp_path: Path) -> None:
    images = [png(image) for image in pixels(1, 3, 16, 16, 3)]
    source = write(tmp_path / "a.parquet", images, ["cat", "dog", "cat"], kind)
    task = image_classification(data={"train": source, "test": source}, size=14, **PLAIN)
    split = task.load("test")
    assert (len(split), split.labels.tolist(), split.classes) == (3, [0, 1, 0], ("cat", "dog"))
    batch = split.batch([2, 0])
    expected = torch.from_numpy(np.array(Image.open(io.BytesIO(images[2])))).permute(2, 0, 1) / 255
    assert torch.allclose(batch.inputs[0], expected[:, 1:15, 1:15])
    assert (task.scored, task.metrics, task.kind, split.fixed) == (("test",), ("accuracy",), "classification", True)
    assert not task.load("train").fixed
    assert task.plain["train"]().fixed
    assert image_classification(data={"test": source}, size=14).load("test").fixed
    assert task.content("test")["sha256"] == task.content("train")["sha256"]


@pytest.mark.parametrize("name", ["train", "test"])
def test_no_image_of_a_scored_split_is_cropped_at_random(name: str, tmp_path: Path) -> None:
    source = write(tmp_path / "a.parquet", [png(image) for image in pixels(1, 2, 40, 50, 3)], [0, 1])
    split = image_classification(data={name: source}, size=32, scored=[name]).load(name)
    assert split.fixed
    assert torch.equal(split.batch([0, 1]).inputs, split.batch([0, 1]).inputs)


def test_rows_depend_on_the_bytes_of_images_and_on_labels(tmp_path: Path) -> None:
    images = [png(image) for image in pixels(1, 2, 8, 8, 3)]
    digests = set()
    for number, (files, labels) in enumerate([(images, [0, 1]), (images[::-1], [0, 1]), (images, [1, 0])]):
        source = write(tmp_path / f"{number}.parquet", files, labels)
        digests.add(image_classification(data={"test": source}, classes=2).content("test")["sha256"])
    assert len(digests) == 3


def test_the_orientation_of_an_image_is_applied_as_datasets_does(tmp_path: Path) -> None:
    image, exif = Image.fromarray(pixels(0, 8, 16, 3)), Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    task = image_classification(
        data={"test": write(tmp_path / "a.parquet", [buffer.getvalue()], [0])}, classes=1, train_transforms=[],
        eval_transforms=[], **PLAIN,
    )  # fmt: skip
    assert tuple(task.load("test").batch([0]).inputs.shape) == (1, 3, 16, 8)


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (None, STRUCT, "column 'image', row 1: {'bytes': None, 'path': None} has no bytes of an image"),
        ("a.png", pa.string(), "row 0: 'a.png' has no bytes"),
    ],
)
def test_a_row_without_an_image_is_an_error_with_its_row(image: Any, kind: Any, message: str, tmp_path: Path) -> None:
    images = [png(pixels(0, 8, 8, 3)), image] if kind == STRUCT else [image, image]
    task = image_classification(data={"test": write(tmp_path / "a.parquet", images, [0, 1], kind)}, classes=2)
    with pytest.raises(UsageError, match=message):
        task.load("test")


def test_damaged_images_and_wrong_columns_are_errors(tmp_path: Path) -> None:
    source = write(tmp_path / "a.parquet", [png(pixels(0, 8, 8, 3)), b"no image"], [0, 1])
    with pytest.raises(SourceError, match="test, row 1: cannot be read as an image"):
        image_classification(data={"test": source}, classes=2).load("test").batch([0, 1])
    with pytest.raises(UsageError, match="the data have no column 'img'; did you mean image"):
        image_classification(data={"test": source}, image="img").load("test")
