"""Read the texts, images and weights that all contenders share, from the folder that `prepare_data` writes.

    vocab.txt  minilm6.safetensors  minilm12.safetensors  resnet20.safetensors  images.npz  TASK-SPLIT.json

A point of a case names rows: `rte` (its validation split), `rte-train:512` (the first 512 rows), `length-64`.
"""

import json
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import BertTokenizer

from harness.training.row_order import shuffled_rows
from zoo.fetch import weights_file
from zoo.models import bert_classifier, cifar_resnet

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MAX_LENGTH = 128
CROP = 4
SEED = 1
"""The seed of zoo's trainings. Its order of rows is used by all contenders."""
BATCH, RATE, CLIP = 32, 5e-5, 1.0
"""Fine-tuning: batch size, learning rate of AdamW, largest gradient norm."""
TEMPERATURE, ALPHA = 2.0, 0.5
IMAGES, SGD = 128, {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}
"""Training of the ResNet: batch size and optimizer."""
PUBLISHED_RESNET = {"depth": 20, "num_classes": 10, "shortcut": "padding", "head": "linear"}


@dataclass(frozen=True)
class Shape:
    """The sizes of a BERT."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    classes: int = 2

    def arguments(self) -> dict[str, int | float]:
        """Return arguments for `bert_classifier`, without dropout, so that losses can be compared step by step."""
        sizes = {"layers": self.layers, "hidden": self.hidden, "heads": self.heads, "intermediate": self.intermediate}
        return {**sizes, "vocab_size": 30522, "num_labels": self.classes, "max_length": 512, "dropout": 0.0}

    def flops(self, lengths: Sequence[int]) -> float:
        """Return the floating-point operations of the full model's matrix products, without padding.

        Operations that a contender skips are counted as well.

        Args:
            lengths: The number of tokens of each row.
        """
        per_token = 2 * (4 * self.hidden**2 + 2 * self.hidden * self.intermediate)
        per_layer = sum(length * per_token + 4 * length**2 * self.hidden for length in lengths)
        return float(self.layers * per_layer + len(lengths) * 2 * self.hidden * (self.hidden + self.classes))


SHAPES = {"minilm6": Shape(6, 384, 12, 1536), "minilm12": Shape(12, 384, 12, 1536), "base": Shape(12, 768, 12, 3072, 3)}


@dataclass(frozen=True)
class Rows:
    """Texts or pairs of texts, and their classes."""

    texts: Sequence[tuple[str, ...]]
    labels: Sequence[int]


def rows(folder: Path, point: str) -> Rows:
    """Return the rows of a point."""
    name, _, count = point.partition(":")
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    end = int(count) if count else None
    return Rows([tuple(texts) for texts in content["texts"][:end]], content["labels"][:end])


@cache
def tokenizer(folder: Path) -> BertTokenizer:
    """Return the WordPiece tokenizer of all contenders."""
    return BertTokenizer(vocab=str(folder / "vocab.txt"), do_lower_case=True)


def features(folder: Path, point: str) -> list[dict[str, Any]]:
    """Return the rows as tokens with their `labels`, as a collator of transformers expects them."""
    selected = rows(folder, point)
    columns = [list(column) for column in zip(*selected.texts, strict=True)]
    encoded = tokenizer(folder)(*columns, truncation="longest_first", max_length=MAX_LENGTH)
    names = list(encoded)
    values = zip(*(encoded[name] for name in names), strict=True)
    return [
        {**dict(zip(names, row, strict=True)), "labels": label}
        for row, label in zip(values, selected.labels, strict=True)
    ]


def flops(folder: Path, point: str, model: str) -> float:
    """Return the floating-point operations of a forward pass over the rows of a point, without padding."""
    return SHAPES[model].flops([len(row["input_ids"]) for row in features(folder, point)])


def classifier(folder: Path, name: str) -> nn.Module:
    """Return a BERT of `SHAPES` with the shared weights. The weights of `base` are random, from a fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = bert_classifier(**SHAPES[name].arguments())  # type: ignore[arg-type]
    path = folder / f"{name}.safetensors"
    if path.exists():
        weights_file.load_into(model, path)
    return model.eval()


def network(folder: Path, name: str) -> nn.Module:
    """Return a model by its name: `resnet20` or a BERT of `SHAPES`."""
    return resnet(folder) if name == "resnet20" else classifier(folder, name)


def resnet(folder: Path) -> nn.Module:
    """Return the ResNet-20 with the shared weights."""
    model = cifar_resnet(**PUBLISHED_RESNET)
    weights_file.load_into(model, folder / "resnet20.safetensors")
    return model.eval()


def images(folder: Path, point: str) -> tuple[NDArray[np.uint8], Tensor]:
    """Return the images `(N, 32, 32, 3)` and classes `(N,)` of a point such as `test:1000` or `train:2560`."""
    split, _, count = point.partition(":")
    with np.load(folder / "images.npz") as arrays:
        return arrays[f"{split}-images"][: int(count)], torch.from_numpy(arrays[f"{split}-labels"][: int(count)])


class Ordered(Sampler[int]):
    """Samples rows in the order of zoo's run with seed `SEED`, epoch after epoch."""

    def __init__(self, dataset: Sized) -> None:
        self.count, self.epoch = len(dataset), 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        self.epoch += 1
        return iter(shuffled_rows(self.count, SEED, 0, self.epoch - 1))
