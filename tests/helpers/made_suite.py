"""Stand-ins for the weights that torchvision lists, and for ImageNet: random weights, and tiny images."""

import hashlib
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms._presets import ImageClassification

from zoo.fetch.source_types import Url
from zoo.fetch.urls import Urls

PYTORCH = "https://download.pytorch.org/models"


@dataclass(frozen=True)
class MadeWeights:
    """A stand-in for a member of torchvision's enumerations of weights."""

    name: str
    url: str
    transforms: Any
    meta: dict[str, Any]

    def __str__(self) -> str:
        return f"Made_Weights.{self.name}"


def made_weights(name: str, state: dict[str, Any], home: Path, scores: tuple[float, float], crop: int) -> MadeWeights:
    """Return weights with these top-1 and top-5 per cents, whose file is among the downloads in ZOO_HOME."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    url = f"{PYTORCH}/made-{digest[:8]}.pth"
    path = Urls(folder=home / "downloads")._path(Url(url))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    meta = {
        "num_params": sum(value.numel() for value in state.values() if isinstance(value, torch.Tensor)),
        "_file_size": len(buffer.getvalue()) / 1e6,
        "_metrics": {"ImageNet-1K": {"acc@1": scores[0], "acc@5": scores[1]}},
        "backend": "fbgemm",
    }
    transforms = partial(ImageClassification, crop_size=crop, resize_size=crop + 4)
    return MadeWeights(name, url, transforms, meta)


def imagenet(root: Path, classes: int = 1000) -> Path:
    """Write one tiny JPEG for each class of the split `val`, and return the root."""
    colors = np.random.default_rng(0).integers(0, 256, (classes, 4, 5, 3), dtype=np.uint8)
    for number in range(classes):
        folder = root / "val" / f"n{number:08d}"
        folder.mkdir(parents=True)
        Image.fromarray(colors[number]).resize((44, 40)).save(folder / "0.JPEG", quality=80)
    return root
