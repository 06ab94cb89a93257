"""What all contenders share: texts, images and weights, real or made, laid down in a folder once.

    vocab.txt  minilm6.safetensors  minilm12.safetensors  resnet20.safetensors  images.npz  TASK-SPLIT.json

A point of a case names rows of it: `rte` (its validation split), `rte-train:512` (the first 512 rows), `length-64`.
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
"""Of our trainings, and so of everybody's order of rows."""
BATCH, RATE, CLIP = 32, 5e-5, 1.0
"""Of every fine-tuning: rows a step, AdamW's learning rate, the most that the norm of the gradient may be."""
TEMPERATURE, ALPHA = 2.0, 0.5
IMAGES, SGD = 128, {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}
"""Of the training of the ResNet: images a step, and its optimiser."""
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
        """Those of `bert_classifier`; without dropout, so that programs can be compared step by step."""
        sizes = {"layers": self.layers, "hidden": self.hidden, "heads": self.heads, "intermediate": self.intermediate}
        return {**sizes, "vocab_size": 30522, "num_labels": self.classes, "max_length": 512, "dropout": 0.0}

    def flops(self, lengths: Sequence[int]) -> float:
        """Floating-point operations of the model's matrix products on rows of so many tokens, padding not counted.

        Of all that the model is made of, whoever may leave some of it out.
        """
        a_token = 2 * (4 * self.hidden**2 + 2 * self.hidden * self.intermediate)
        in_layer = sum(length * a_token + 4 * length**2 * self.hidden for length in lengths)
        return float(self.layers * in_layer + len(lengths) * 2 * self.hidden * (self.hidden + self.classes))


SHAPES = {"minilm6": Shape(6, 384, 12, 1536), "minilm12": Shape(12, 384, 12, 1536), "base": Shape(12, 768, 12, 3072, 3)}


@dataclass(frozen=True)
class Rows:
    """Texts or pairs of them, and their classes."""

    texts: Sequence[tuple[str, ...]]
    labels: Sequence[int]


def rows(folder: Path, point: str) -> Rows:
    """The rows that a point names."""
    name, _, count = point.partition(":")
    found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    end = int(count) if count else None
    return Rows([tuple(texts) for texts in found["texts"][:end]], found["labels"][:end])


@cache
def tokenizer(folder: Path) -> BertTokenizer:
    """The WordPiece tokenizer of all contenders."""
    return BertTokenizer(vocab=str(folder / "vocab.txt"), do_lower_case=True)


def features(folder: Path, point: str) -> list[dict[str, Any]]:
    """The rows as tokens, each with its `labels`: what a collator of transformers pads."""
    given = rows(folder, point)
    columns = [list(column) for column in zip(*given.texts, strict=True)]
    encoded = tokenizer(folder)(*columns, truncation="longest_first", max_length=MAX_LENGTH)
    names = list(encoded)
    values = zip(*(encoded[name] for name in names), strict=True)
    return [
        {**dict(zip(names, row, strict=True)), "labels": label} for row, label in zip(values, given.labels, strict=True)
    ]


def flops(folder: Path, point: str, model: str) -> float:
    """Of a forward pass of the model over the rows of a point, without padding."""
    return SHAPES[model].flops([len(row["input_ids"]) for row in features(folder, point)])


def classifier(folder: Path, name: str) -> nn.Module:
    """A BERT of `SHAPES` with the weights of all contenders; the base one is drawn, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = bert_classifier(**SHAPES[name].arguments())  # type: ignore[arg-type]
    path = folder / f"{name}.safetensors"
    if path.exists():
        weights_file.load_into(model, path)
    return model.eval()


def resnet(folder: Path) -> nn.Module:
    """The ResNet-20 of all contenders."""
    model = cifar_resnet(**PUBLISHED_RESNET)
    weights_file.load_into(model, folder / "resnet20.safetensors")
    return model.eval()


def images(folder: Path, point: str) -> tuple[NDArray[np.uint8], Tensor]:
    """Images `(N, 32, 32, 3)` and classes `(N,)` of a point, `test:1000` or `train:2560`."""
    split, _, count = point.partition(":")
    with np.load(folder / "images.npz") as found:
        return found[f"{split}-images"][: int(count)], torch.from_numpy(found[f"{split}-labels"][: int(count)])


class Ordered(Sampler[int]):
    """The rows in the order in which our run of seed `SEED` takes them, epoch after epoch."""

    def __init__(self, dataset: Sized) -> None:
        self.count, self.epoch = len(dataset), 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        self.epoch += 1
        return iter(shuffled_rows(self.count, SEED, 0, self.epoch - 1))
