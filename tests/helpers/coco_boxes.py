"""Small data sets for object detection: rectangles on a dark ground, with annotations in COCO's format."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

COLORS = {1: (220, 40, 40), 3: (40, 60, 220)}
"""The color of each category; category 2 is missing, as some are in COCO."""


def boxes_folder(root: Path, train: int = 4, val: int = 3, seed: int = 0, size: int = 80) -> Path:
    """Write a folder in COCO 2017's layout with one to three rectangles in every image, and return it."""
    random = np.random.default_rng(seed)
    (root / "annotations").mkdir(parents=True)
    for split, count in (("train", train), ("val", val)):
        (root / f"{split}2017").mkdir()
        images: list[dict[str, Any]] = []
        objects: list[dict[str, Any]] = []
        for number in range(count):
            width, height = (int(size + random.integers(-12, 13)) for _ in range(2))
            image = Image.new("RGB", (width, height), (30, 30, 30))
            images.append({"id": 50 - number, "file_name": f"{number}.png", "width": width, "height": height})
            for _ in range(random.integers(1, 4)):
                box = _draw(image, random, category := int(random.choice([*COLORS])))
                objects.append(annotation(len(objects) + 1, 50 - number, category, box))
            image.save(root / f"{split}2017" / f"{number}.png")
        write_annotations(root, split, images, objects)
    return root


def annotation(number: int, image: int, category: int, box: list[float], crowd: int = 0) -> dict[str, Any]:
    """Return an object as in COCO's files."""
    return {
        "id": number, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd
    }  # fmt: skip


def write_annotations(root: Path, split: str, images: Any, objects: Any, categories: Any = tuple(COLORS)) -> None:
    """Write the annotations of a split."""
    named = [{"id": number, "name": f"category {number}"} for number in categories]
    data = {"images": images, "annotations": objects, "categories": named}
    (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(data))


def _draw(image: Image.Image, random: np.random.Generator, category: int) -> list[float]:
    width, height = (int(random.integers(16, 40)) for _ in range(2))
    x, y = (int(random.integers(0, side - own)) for side, own in zip(image.size, (width, height), strict=True))
    ImageDraw.Draw(image).rectangle([x, y, x + width - 1, y + height - 1], fill=COLORS[category])
    return [x, y, width, height]
