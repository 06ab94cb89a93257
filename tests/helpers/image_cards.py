"""A small published image classifier, and a data set of images in the layout of CIFAR-10."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoImageProcessor, ViTConfig, ViTForImageClassification

from tests.helpers.glue_hub import write_files
from tests.helpers.vision_data import cifar_files, pixels

CIFAR, ROWS = "uoft-cs/cifar10", 50
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": 16, "width": 16},
    "resample": 2, "do_normalize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.1, 0.1, 0.1],
}  # fmt: skip


def vit_model(names: Sequence[str] = NAMES[::-1]) -> dict[str, bytes]:
    """Return the files of a classifier with varied predictions; by default its classes are in reverse order."""
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=16, patch_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        id2label=dict(enumerate(names)), label2id={name: number for number, name in enumerate(names)},
        initializer_range=1.0,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        ViTForImageClassification(config).save_pretrained(folder)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return {**files, "preprocessor_config.json": json.dumps(PROCESSOR).encode()}


def cifar_data(label: str = "label") -> dict[str, bytes]:
    """Return the files of a data set with 50 random images, of which every tenth has the same class."""
    files = cifar_files("plain_text", label, len(NAMES), ROWS)
    for number, name in enumerate(NAMES):
        files["README.md"] = files["README.md"].replace(f'"class {number}"'.encode(), f'"{name}"'.encode())
    return files


def right_among(files: Mapping[str, bytes], first: int) -> int:
    """Return for how many images of the split `test` the class is among the first predictions, by transformers."""
    images = [Image.fromarray(image) for image in pixels(1, ROWS, 32, 32, 3)]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = write_files(Path(folder) / "model", dict(files))
        processor = AutoImageProcessor.from_pretrained(path, backend="pil")
        model = ViTForImageClassification.from_pretrained(path).eval()
        best = model(**processor(images, return_tensors="pt")).logits.topk(first).indices.tolist()
    predicted = [{model.config.id2label[number] for number in row} for row in best]
    return sum(NAMES[row % len(NAMES)] in names for row, names in enumerate(predicted))
