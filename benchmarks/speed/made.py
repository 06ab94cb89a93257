"""The shared data laid down in a folder: made from nothing but a seed, or the real ones.

Made texts have the lengths of GLUE's (quantiles in tokens, below), made weights the shapes of all-MiniLM-L6-v2 and of a
published ResNet-20, made images are noise.
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
TRAINED, TESTED, LENGTHS = 512, 1600, (16, 32, 48, 64, 96, 128)
"""Rows of a split to train on, rows of the split of any number, tokens of the splits of one length."""
QUANTILES: Mapping[str, tuple[int, Sequence[Sequence[int]]]] = {
    "rte": (277, ((8, 20, 26, 29, 34, 38, 44, 55, 85, 120, 125), (5, 7, 8, 9, 9, 10, 11, 13, 14, 16, 33))),
    "rte-train": (
        TRAINED, ((5, 20, 26, 31, 35, 39, 45, 56, 90, 122, 125), (3, 7, 8, 9, 9, 10, 11, 12, 14, 18, 51)),
    ),
    "sst2": (872, ((2, 10, 14, 17, 19, 22, 25, 28, 32, 38, 53),)),
    "sst2-train": (TRAINED, ((1, 2, 4, 5, 6, 8, 11, 14, 18, 25, 64),)),
    "mrpc": (408, ((12, 16, 19, 21, 23, 25, 28, 30, 32, 35, 47), (9, 16, 19, 21, 22, 24, 26, 28, 31, 34, 41))),
    "mrpc-train": (
        TRAINED, ((7, 16, 19, 21, 23, 25, 27, 29, 31, 34, 50), (8, 16, 19, 21, 23, 25, 27, 29, 31, 34, 50)),
    ),
    "mnli": (TESTED, ((2, 7, 11, 14, 17, 21, 25, 30, 37, 45, 104), (3, 7, 8, 9, 10, 11, 13, 14, 16, 19, 44))),
}  # fmt: skip
"""Split -> rows, and the deciles of its texts' lengths as measured, in WordPiece tokens without [CLS] and [SEP]."""
COLUMNS = {"rte": (1, 2, 3), "mrpc": (3, 4, 0), "sst2": (0, 1)}
"""Where GLUE's files have texts and class."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def lay(folder: Path, shared: Path | None, encoder: Path | None) -> None:
    """Write all that `benchmarks.speed.data` reads.

    `shared` holds under `data/` the folders `glue/TASK/{train,dev}.tsv`, `cifar10` and `weights`; `encoder` is
    all-MiniLM-L6-v2 as transformers keeps it. Without the two everything is made.
    """
    vocabulary = _words() if encoder is None else (encoder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    words = [word for word in vocabulary if len(word) > 1 and set(word) <= set(LETTERS)]
    random = np.random.default_rng(SEED)
    for name, (count, quantiles) in QUANTILES.items():
        task, _, train = name.partition("-")
        if shared is not None and task in COLUMNS:
            _write(folder, name, *_real(shared / "data" / "glue", task, bool(train)))
        else:
            _write(folder, name, *_drawn(random, words, [_lengths(random, one, count) for one in quantiles]))
    for length in LENGTHS:
        _write(folder, f"length-{length}", *_drawn(random, words, [[length - 2] * 256]))
    _lay_weights(folder, shared, encoder)
    pictures = _noise(random) if shared is None else _cifar(shared / "data" / "cifar10")
    np.savez(folder / "images.npz", **pictures)


def _words() -> list[str]:
    """A vocabulary of the published size, each of whose words is one token."""
    count = 30522 - len(SPECIAL)
    made = [a + b + c + d for a in LETTERS for b in LETTERS for c in LETTERS for d in LETTERS[:2]]
    return [*SPECIAL, *made[:count]]


def _lengths(random: Any, quantiles: Sequence[int], count: int) -> list[int]:
    places = np.linspace(0, 1, len(quantiles))
    return [round(value) for value in np.interp(random.random(count), places, quantiles)]


def _drawn(random: Any, words: Sequence[str], lengths: Sequence[Sequence[int]]) -> tuple[list[Any], list[int]]:
    """Texts of random words, one column for each list of lengths."""
    texts = [[" ".join(random.choice(words, length)) for length in row] for row in zip(*lengths, strict=True)]
    return texts, random.integers(2, size=len(texts)).tolist()


def _real(glue: Path, task: str, train: bool) -> tuple[list[Any], list[int]]:
    """A split of GLUE; of one to train on, rows drawn once and for all."""
    path = glue / {"sst2": "SST-2"}.get(task, task.upper()) / ("train.tsv" if train else "dev.tsv")
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8-sig").split("\n")[1:] if line]
    if train:
        lines = [lines[at] for at in np.random.default_rng(SEED).permutation(len(lines))[:TRAINED]]
    *columns, label = COLUMNS[task]
    classes = ("entailment", "not_entailment") if task == "rte" else ("0", "1")
    return [[line[at] for at in columns] for line in lines], [classes.index(line[label]) for line in lines]


def _write(folder: Path, name: str, texts: list[Any], labels: list[int]) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"texts": texts, "labels": labels}), encoding="utf-8")


def _lay_weights(folder: Path, shared: Path | None, encoder: Path | None) -> None:
    """The classifiers, the larger of which has every layer of the smaller one twice, and the ResNet."""
    small = data.classifier(folder, "minilm6")
    if encoder is not None:
        published = load_file(encoder / "model.safetensors")
        small.load_state_dict({f"bert.{name}": value for name, value in published.items()}, strict=False)
    weights_file.save(small, folder / "minilm6.safetensors")
    large, given = data.classifier(folder, "minilm12"), small.state_dict()
    large.load_state_dict({name: given[_halved(name)] for name in large.state_dict()})
    weights_file.save(large, folder / "minilm12.safetensors")
    torch.manual_seed(SEED)
    network = cifar_resnet(**data.PUBLISHED_RESNET)
    if shared is not None:
        weights_file.load_into(network, shared / "data" / "weights" / "resnet20-12fca82f.th")
    weights_file.save(network, folder / "resnet20.safetensors")


def _halved(name: str) -> str:
    """The name of a weight of layer n as that of layer n / 2."""
    parts = name.split(".")
    return ".".join(
        str(int(part) // 2) if before == "layer" else part for before, part in zip(["", *parts], parts, strict=False)
    )


def _noise(random: Any) -> dict[str, Any]:
    sizes = {"train": 5000, "test": 1000}
    return {
        **{f"{split}-images": random.integers(256, size=(n, 32, 32, 3), dtype=np.uint8) for split, n in sizes.items()},
        **{f"{split}-labels": random.integers(10, size=n) for split, n in sizes.items()},
    }


def _cifar(folder: Path) -> dict[str, Any]:
    """The first 5,000 images to train on and the first 1,000 of the test, from files that tile 1,000 each."""
    labels = np.fromfile(folder / "labels.bin", dtype=np.uint8).astype(np.int64)
    train = np.concatenate([_tiles(folder / "train" / f"batch_{number:02}.webp") for number in range(5)])
    test = _tiles(folder / "test1000" / "batch_50.webp")
    named = {"train-images": train, "train-labels": labels[: len(train)], "test-images": test}
    return {**named, "test-labels": labels[50_000 : 50_000 + len(test)]}


def _tiles(path: Path) -> Any:
    picture = np.asarray(Image.open(path).convert("RGB"))
    return picture.reshape(40, 32, 25, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)
