"""Make what the 27 entries of configs/glue read: `python -m benchmarks.gpu.made_entries FOLDER [--quick]`.

The models have the published shapes and random weights; the validation splits have GLUE's sizes and lengths. Each size
of a model and number of outputs is one file of weights: all repositories and the cache of the Hub are hard links to it.
At the end every entry is prepared once, so that its files are in the cache, pinned, and tokenized.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import BertConfig, BertForSequenceClassification

from benchmarks.gpu.local_hub import commit_of, write_listing
from benchmarks.gpu.sizes import DECILES, QUICK_ROWS, QUICK_TASKS, ROWS, SHAPES, TINY
from benchmarks.speed import prepare_data
from harness.runs.experiment import prepare
from zoo.api.session import Session
from zoo.fetch.checksum import sha256
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import DeviceOptions, SourceOptions
from zoo.tasks.glue import GLUE

WEIGHTS = "pytorch_model.bin"
HUB, LINKS = "hub", "weights"


def selected(*, quick: bool) -> list[Entry]:
    """Return the entries to verify: all 27, or those of two tasks."""
    entries = catalogue.select(["glue"])
    return [entry for entry in entries if not quick or task_of(entry) in QUICK_TASKS]


def task_of(entry: Entry) -> str:
    """Return the task of GLUE of an entry."""
    return entry.name.split("_from_")[0].rsplit("-", 1)[1]


def make(folder: Path, *, quick: bool) -> None:
    """Write the Hub and its cache."""
    entries = selected(quick=quick)
    vocabulary = prepare_data.made_words()
    _write_data(
        folder / HUB / "datasets" / "nyu-mll" / "glue", {task_of(entry) for entry in entries}, vocabulary, quick
    )
    digests: dict[str, str] = {}
    for entry in entries:
        size, outputs = (
            "large" if entry.name.startswith("bert-large") else "base",
            len(GLUE[task_of(entry)].classes) or 1,
        )
        config = _config(TINY if quick else SHAPES, size, outputs, len(vocabulary))
        weights = folder / LINKS / f"{size}-{outputs}.bin"
        if weights.name not in digests:
            _write_weights(weights, config)
            digests[weights.name] = sha256(weights)
        name, digest = f"yoshitomo-matsubara/{entry.name}", digests[weights.name]
        repository = folder / HUB / "models" / name
        repository.mkdir(parents=True)
        os.link(weights, repository / WEIGHTS)
        _write_text_files(repository, config, vocabulary)
        write_listing(repository, {WEIGHTS: digest})
        _link_into_cache(folder / "cache", name, weights, digest)


def prepare_all(*, quick: bool) -> None:
    """Fetch, verify and tokenize everything that the entries read, in this process' cache."""
    session, entries = Session(sources=SourceOptions()), selected(quick=quick)
    context = session.context(entries, DeviceOptions(device="cpu"))
    for entry in entries:
        experiment = prepare(entry, context)
        experiment.published_weights()
        for split in experiment.task.scored:
            getattr(experiment.task.load(split), "tokens", None)


def _config(shapes: Mapping[str, Sequence[int]], size: str, outputs: int, words: int) -> BertConfig:
    hidden, layers, heads, intermediate = shapes[size]
    return BertConfig(
        vocab_size=words, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=intermediate, num_labels=outputs, architectures=["BertForSequenceClassification"],
    )  # fmt: skip


def _write_weights(path: Path, config: BertConfig) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.save(BertForSequenceClassification(config).state_dict(), path)


def _write_text_files(repository: Path, config: BertConfig, vocabulary: Sequence[str]) -> None:
    settings = {"do_lower_case": True, "tokenizer_class": "BertTokenizer"}
    (repository / "config.json").write_text(config.to_json_string(), encoding="utf-8")
    (repository / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (repository / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")


def _link_into_cache(cache: Path, name: str, weights: Path, digest: str) -> None:
    """Put a file into the cache of the Hub's client, as if it had been downloaded."""
    stored = cache / f"models--{name.replace('/', '--')}"
    (stored / "blobs").mkdir(parents=True)
    os.link(weights, stored / "blobs" / digest)
    snapshot = stored / "snapshots" / commit_of(name)
    snapshot.mkdir(parents=True)
    (snapshot / WEIGHTS).symlink_to(Path("..") / ".." / "blobs" / digest)


def _write_data(repository: Path, tasks: set[str], vocabulary: Sequence[str], quick: bool) -> None:
    """Write the validation splits in the layout of `nyu-mll/glue`; the labels are random."""
    random, words = np.random.default_rng(0), prepare_data.plain_words(vocabulary)
    infos, configs = [], []
    for task in sorted(tasks):
        spec = GLUE[task]
        (repository / task).mkdir(parents=True)
        for split, count in ROWS[task].items():
            texts, _ = prepare_data.made_rows(random, words, QUICK_ROWS if quick else count, DECILES[task])
            labels = (
                random.integers(len(spec.classes), size=len(texts)) if spec.classes else random.random(len(texts)) * 5
            )
            columns = dict(zip(spec.texts, map(list, zip(*texts, strict=True)), strict=True))
            table = pa.table({**columns, "label": pa.array(labels, pa.int64() if spec.classes else pa.float32())})
            pq.write_table(table, repository / task / f"{split}-00000-of-00001.parquet")
        classes = {"class_label": {"names": {str(n): name for n, name in enumerate(spec.classes)}}}
        features: list[Any] = [{"name": text, "dtype": "string"} for text in spec.texts]
        features.append({"name": "label", "dtype": classes if spec.classes else "float32"})
        splits = [{"name": split, "num_bytes": 0, "num_examples": 1} for split in ROWS[task]]
        infos.append({"config_name": task, "features": features, "splits": splits})
        files = [{"split": split, "path": f"{task}/{split}-*"} for split in ROWS[task]]
        configs.append({"config_name": task, "data_files": files})
    card = f"---\ndataset_info: {json.dumps(infos)}\nconfigs: {json.dumps(configs)}\n---\n# GLUE\n"
    (repository / "README.md").write_text(card, encoding="utf-8")
    write_listing(repository, {})


if __name__ == "__main__":
    make(Path(sys.argv[1]), quick="--quick" in sys.argv)
    prepare_all(quick="--quick" in sys.argv)
