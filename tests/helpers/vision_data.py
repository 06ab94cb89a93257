"""Small random images in the layouts that the image tasks read."""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from zoo.recipes.catalogue import Entry

Pixels = NDArray[np.uint8]
SMALLER = [
    (r"epochs: \d+", "epochs: 2"),
    (r"milestones: \[[^]]*\]", "milestones: [1]"),
    (r"classes: 1000", "classes: 6"),
    (r"mid_channels: 512", "mid_channels: 16"),
    (r"size: 224", "size: 32"),
    (r"size: 256\}", "size: 36}"),
    (r"min_size: \d+", "min_size: 24"),
    (r"max_size: \d+", "max_size: 28"),
    (r"size: (480|513)\}", "size: 20}"),
]
"""Replacements in a recipe, as regular expressions: two epochs, six classes of ImageNet, small images."""


def shrink(entry: Entry, *replacements: tuple[str, str]) -> str:
    """Return the text of a recipe after replacements by regular expressions."""
    text = entry.path.read_text(encoding="utf-8")
    for pattern, replacement in replacements:
        text = re.sub(pattern, replacement, text)
    return text


def pixels(seed: int, *shape: int) -> Pixels:
    """Return random pixels."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(pixels: Pixels) -> bytes:
    """Return a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def cifar_files(config: str, label: str, classes: int, rows: int, images: Sequence[bytes] = ()) -> dict[str, bytes]:
    """Return the files of a data set of the Hub in the layout of `uoft-cs/cifar10` and `uoft-cs/cifar100`.

    Args:
        config: The name of the configuration.
        label: The name of the column of labels.
        classes: The number of classes.
        rows: The number of rows of both splits.
        images: Image files in place of the first random images.
    """
    files: dict[str, bytes] = {}
    for seed, split in enumerate(("train", "test")):
        encoded_images = [png(image) for image in pixels(seed, rows, 32, 32, 3)]
        encoded_images[: len(images)] = images
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        encoded = pa.array([{"bytes": image, "path": None} for image in encoded_images], kind)
        labels = pa.array([row % classes for row in range(rows)], pa.int64())
        buffer = io.BytesIO()
        pq.write_table(pa.table({"img": encoded, label: labels}), buffer)
        files[f"{config}/{split}-00000-of-00001.parquet"] = buffer.getvalue()
    names = {str(i): f"class {i}" for i in range(classes)}
    features = [{"name": "img", "dtype": "image"}, {"name": label, "dtype": {"class_label": {"names": names}}}]
    paths = [{"split": split, "path": f"{config}/{split}-*"} for split in ("train", "test")]
    card: dict[str, Any] = {
        "dataset_info": {"config_name": config, "features": features},
        "configs": [{"config_name": config, "data_files": paths}],
    }
    return {"README.md": f"---\n{json.dumps(card)}\n---\n".encode(), **files}


def image_folders(root: Path, classes: int = 3, images: int = 2) -> Path:
    """Write the splits `train` and `val` with one folder per class, and return the root."""
    for seed, split in enumerate(("train", "val")):
        for number in range(classes):
            folder = root / split / f"n{number:08d}"
            folder.mkdir(parents=True)
            for image in range(images):
                random = pixels(100 * seed + 10 * number + image, 40, 48, 3)
                Image.fromarray(random).save(folder / f"{image}.JPEG")
    return root


def voc_folder(root: Path, sizes: Sequence[tuple[int, int]] = ((40, 50), (44, 40)), train: int = 3) -> Path:
    """Write VOC 2012 in torchvision's layout; `sizes` are (height, width) of the images of `val`. Return the root."""
    base = root / "VOCdevkit" / "VOC2012"
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (base / part).mkdir(parents=True)
    for split, shapes in (("train", [(40, 48)] * train), ("val", sizes)):
        names = []
        for number, (height, width) in enumerate(shapes):
            names.append(f"{split}_{number}")
            image = Image.fromarray(pixels(number, height, width, 3))
            image.save(base / "JPEGImages" / f"{names[-1]}.jpg")
            mask = (np.arange(height * width).reshape(height, width) // 80 + number) % 23
            mask = np.where(mask > 20, 255, mask).astype(np.uint8)
            colored = Image.fromarray(mask, mode="P")
            colored.putpalette(bytes(range(256)) * 3)
            colored.save(base / "SegmentationClass" / f"{names[-1]}.png")
        (base / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return root


def coco_folder(root: Path, train: int = 3, val: int = 2) -> Path:
    """Write COCO 2017 in torchvision's layout, and return the root.

    Every image has a person, a car that overlaps the person, a crowd of cats given as run lengths, and an object of a
    class that VOC lacks. The last image of `train` has only an object that is too small to count.
    """
    (root / "annotations").mkdir(parents=True)
    for split, count in (("train", train), ("val", val)):
        (root / f"{split}2017").mkdir()
        images, objects = [], []
        for number in range(count):
            Image.fromarray(pixels(number, 40, 50, 3)).save(root / f"{split}2017" / f"{number:012d}.jpg")
            images.append({"id": 100 - number, "file_name": f"{number:012d}.jpg", "height": 40, "width": 50})
            if split == "train" and number == count - 1:
                objects.append(_object(100 - number, 1, [[0, 0, 1, 0, 1, 1]], [0, 0, 1, 1]))
                continue
            objects.append(_object(100 - number, 1, [[5, 5, 25, 5, 25, 25, 5, 25]], [5, 5, 20, 20]))
            objects.append(_object(100 - number, 3, [[20, 20, 40, 20, 40, 35, 20, 35]], [20, 20, 20, 15]))
            objects.append(_object(100 - number, 90, [[0, 0, 50, 0, 50, 40, 0, 40]], [0, 0, 50, 40]))
            runs = {"size": [40, 50], "counts": [40 * 45, 40 * 5]}
            objects.append({**_object(100 - number, 17, runs, [45, 0, 5, 40]), "iscrowd": 1})
        data = {"images": images, "annotations": objects, "categories": []}
        (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(data))
    return root


def _object(image: int, category: int, segmentation: Any, box: list[int]) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "segmentation": segmentation, "bbox": box, "iscrowd": 0}
