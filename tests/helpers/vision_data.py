"""Tiny image data in the layouts that the tasks read, made anew by each test."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def pixels(seed: int, *shape: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(image: Pixels, mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    made = Image.fromarray(image)
    (made.convert(mode) if mode else made).save(buffer, "PNG")
    return buffer.getvalue()


def cifar_files(config: str, label: str, classes: int, rows: int, images: Sequence[bytes] = ()) -> dict[str, bytes]:
    """A data set of the Hub as `uoft-cs/cifar10` and `uoft-cs/cifar100` are laid out; `images` replace the first."""
    files: dict[str, bytes] = {}
    for seed, split in enumerate(("train", "test")):
        made = [png(image) for image in pixels(seed, rows, 32, 32, 3)]
        made[: len(images)] = images
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        encoded = pa.array([{"bytes": image, "path": None} for image in made], kind)
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
    for seed, split in enumerate(("train", "val")):
        for number in range(classes):
            folder = root / split / f"n{number:08d}"
            folder.mkdir(parents=True)
            for image in range(images):
                made = Image.fromarray(pixels(100 * seed + 10 * number + image, 40, 48, 3))
                made.save(folder / f"{image}.JPEG")
    return root


def voc_folder(root: Path, sizes: Sequence[tuple[int, int]] = ((40, 50), (44, 40)), train: int = 3) -> Path:
    """VOC 2012 as torchvision has it: `sizes` are height and width of the images of `val`."""
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
            coloured = Image.fromarray(mask, mode="P")
            coloured.putpalette(bytes(range(256)) * 3)
            coloured.save(base / "SegmentationClass" / f"{names[-1]}.png")
        (base / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return root


def coco_folder(root: Path, train: int = 3, val: int = 2) -> Path:
    """COCO 2017: each image has a person, a car that overlaps it, a crowd by run lengths, and a thing VOC lacks."""
    (root / "annotations").mkdir(parents=True)
    for split, count in (("train", train), ("val", val)):
        (root / f"{split}2017").mkdir()
        images, objects = [], []
        for number in range(count):
            Image.fromarray(pixels(number, 40, 50, 3)).save(root / f"{split}2017" / f"{number:012d}.jpg")
            images.append({"id": 100 - number, "file_name": f"{number:012d}.jpg", "height": 40, "width": 50})
            if split == "train" and number == count - 1:  # nobody is on the last one, so it is left out
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
