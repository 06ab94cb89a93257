"""Write the data that all contenders share into a folder: real data, or synthetic data from a seed.

Synthetic texts have the lengths of GLUE's texts (the deciles below), synthetic weights the shapes of all-MiniLM-L6-v2
and of a published ResNet-20, and synthetic images are noise.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmarks.speed import data
from zoo.fetch import weights_file
from zoo.models import cifar_resnet

SEED = 20231206
TRAIN_ROWS, TEST_ROWS, LENGTHS = 512, 1600, (16, 32, 48, 64, 96, 128)
"""Rows of a training split, rows of the split that grows, token counts of the splits with a single length."""
QUANTILES: Mapping[str, tuple[int, Sequence[Sequence[int]]]] = {
    "rte": (277, ((8, 20, 26, 29, 34, 38, 44, 55, 85, 120, 125), (5, 7, 8, 9, 9, 10, 11, 13, 14, 16, 33))),
    "rte-train": (
        TRAIN_ROWS, ((5, 20, 26, 31, 35, 39, 45, 56, 90, 122, 125), (3, 7, 8, 9, 9, 10, 11, 12, 14, 18, 51)),
    ),
    "sst2": (872, ((2, 10, 14, 17, 19, 22, 25, 28, 32, 38, 53),)),
    "sst2-train": (TRAIN_ROWS, ((1, 2, 4, 5, 6, 8, 11, 14, 18, 25, 64),)),
    "mrpc": (408, ((12, 16, 19, 21, 23, 25, 28, 30, 32, 35, 47), (9, 16, 19, 21, 22, 24, 26, 28, 31, 34, 41))),
    "mrpc-train": (
        TRAIN_ROWS, ((7, 16, 19, 21, 23, 25, 27, 29, 31, 34, 50), (8, 16, 19, 21, 23, 25, 27, 29, 31, 34, 50)),
    ),
    "mnli": (TEST_ROWS, ((2, 7, 11, 14, 17, 21, 25, 30, 37, 45, 104), (3, 7, 8, 9, 10, 11, 13, 14, 16, 19, 44))),
}  # fmt: skip
"""Split -> number of rows, and the measured deciles of its text lengths in WordPiece tokens without [CLS] and [SEP]."""
COLUMNS = {"rte": (1, 2, 3), "mrpc": (3, 4, 0), "sst2": (0, 1)}
"""Task -> the columns of the texts and of the class in the files of GLUE."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def prepare_data(folder: Path, shared: Path | None, encoder: Path | None) -> None:
    """Write everything that `benchmarks.speed.data` reads.

    Args:
        folder: The folder to write to.
        shared: A folder with real data: `data/glue/TASK/{train,dev}.tsv`, `data/cifar10` and `data/weights`.
            Without it, texts and images are synthetic.
        encoder: A folder with all-MiniLM-L6-v2 in the format of transformers. Without it, weights are random.
    """
    vocabulary = made_words() if encoder is None else (encoder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    words = plain_words(vocabulary)
    random = np.random.default_rng(SEED)
    for name, (count, quantiles) in QUANTILES.items():
        task, _, train = name.partition("-")
        if shared is not None and task in COLUMNS:
            write_rows(folder, name, *_glue_texts(shared / "data" / "glue", task, bool(train)))
        else:
            write_rows(folder, name, *made_rows(random, words, count, quantiles))
    for length in LENGTHS:
        write_rows(folder, f"length-{length}", *_random_texts(random, words, [[length - 2] * 256]))
    _write_weights(folder, shared, encoder)
    images = noise(random, {"train": 5000, "test": 1000}) if shared is None else _cifar(shared / "data" / "cifar10")
    np.savez(folder / "images.npz", **images)


def made_words() -> list[str]:
    """Return a vocabulary of the published size in which every word is one token."""
    count = 30522 - len(SPECIAL)
    words = [a + b + c + d for a in LETTERS for b in LETTERS for c in LETTERS for d in LETTERS[:2]]
    return [*SPECIAL, *words[:count]]


def plain_words(vocabulary: Sequence[str]) -> Any:
    """Return the words of a vocabulary that are one token wherever they stand, as an array."""
    return np.array([word for word in vocabulary if len(word) > 1 and set(word) <= set(LETTERS)])


def made_rows(
    random: Any, words: Any, count: int, deciles: Sequence[Sequence[int]]
) -> tuple[list[list[str]], list[int]]:
    """Return rows of random words, and random labels of two classes.

    Args:
        random: A generator of numpy.
        words: The words to draw from.
        count: The number of rows.
        deciles: For each column of texts, the deciles of their lengths in words.
    """
    return _random_texts(random, words, [_random_lengths(random, of_column, count) for of_column in deciles])


def _random_lengths(random: Any, quantiles: Sequence[int], count: int) -> list[int]:
    positions = np.linspace(0, 1, len(quantiles))
    return [round(value) for value in np.interp(random.random(count), positions, quantiles)]


def _random_texts(random: Any, words: Any, lengths: Sequence[Sequence[int]]) -> tuple[list[Any], list[int]]:
    """Return texts of random words, one column for each list of lengths, and random labels."""
    texts = [[" ".join(random.choice(words, length)) for length in row] for row in zip(*lengths, strict=True)]
    return texts, random.integers(2, size=len(texts)).tolist()


def _glue_texts(glue: Path, task: str, train: bool) -> tuple[list[Any], list[int]]:
    """Return the texts and labels of a split of GLUE; of a training split, a fixed random selection of rows."""
    path = glue / {"sst2": "SST-2"}.get(task, task.upper()) / ("train.tsv" if train else "dev.tsv")
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8-sig").split("\n")[1:] if line]
    if train:
        lines = [lines[row] for row in np.random.default_rng(SEED).permutation(len(lines))[:TRAIN_ROWS]]
    *columns, label = COLUMNS[task]
    classes = ("entailment", "not_entailment") if task == "rte" else ("0", "1")
    return [[line[column] for column in columns] for line in lines], [classes.index(line[label]) for line in lines]


def write_rows(folder: Path, name: str, texts: list[Any], labels: list[int]) -> None:
    """Write the rows that `data.rows` reads by this name."""
    (folder / f"{name}.json").write_text(json.dumps({"texts": texts, "labels": labels}), encoding="utf-8")


def _write_weights(folder: Path, shared: Path | None, encoder: Path | None) -> None:
    """Write the weights of all models. The larger classifier has each layer of the smaller one twice."""
    small = data.classifier(folder, "minilm6")
    if encoder is not None:
        published = load_file(encoder / "model.safetensors")
        small.load_state_dict({f"bert.{name}": value for name, value in published.items()}, strict=False)
    weights_file.save(small, folder / "minilm6.safetensors")
    large, state = data.classifier(folder, "minilm12"), small.state_dict()
    large.load_state_dict({name: state[_half_depth_name(name)] for name in large.state_dict()})
    weights_file.save(large, folder / "minilm12.safetensors")
    torch.manual_seed(SEED)
    network = cifar_resnet(**data.PUBLISHED_RESNET)
    if shared is not None:
        weights_file.load_into(network, shared / "data" / "weights" / "resnet20-12fca82f.th")
    weights_file.save(network, folder / "resnet20.safetensors")


def _half_depth_name(name: str) -> str:
    """Return the name of a weight of layer n, renamed to layer n // 2."""
    parts = name.split(".")
    return ".".join(
        str(int(part) // 2) if before == "layer" else part for before, part in zip(["", *parts], parts, strict=False)
    )


def noise(random: Any, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return random images and labels of splits, for `images.npz`."""
    return {
        **{f"{split}-images": random.integers(256, size=(n, 32, 32, 3), dtype=np.uint8) for split, n in sizes.items()},
        **{f"{split}-labels": random.integers(10, size=n) for split, n in sizes.items()},
    }


def _cifar(folder: Path) -> dict[str, Any]:
    """Return the first 5,000 training images and 1,000 test images, from files with 1,000 tiles each."""
    labels = np.fromfile(folder / "labels.bin", dtype=np.uint8).astype(np.int64)
    train = np.concatenate([_tiles(folder / "train" / f"batch_{number:02}.webp") for number in range(5)])
    test = _tiles(folder / "test1000" / "batch_50.webp")
    arrays = {"train-images": train, "train-labels": labels[: len(train)], "test-images": test}
    return {**arrays, "test-labels": labels[50_000 : 50_000 + len(test)]}


def _tiles(path: Path) -> Any:
    tiled = np.asarray(Image.open(path).convert("RGB"))
    return tiled.reshape(40, 32, 25, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)
