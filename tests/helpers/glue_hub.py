"""Small versions of everything that the GLUE entries read: data sets, encoders and classifiers, for a local Hub."""

import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save as to_safetensors
from transformers import BertConfig, BertForSequenceClassification, BertModel

from tests.helpers.hub_server import LocalHub
from tests.helpers.project import CompletedCommand, Zoo
from zoo.recipes import catalogue
from zoo.tasks.glue import AX, ENTAILMENT, GLUE

WORDS = [
    "the", "a", "cat", "dog", "man", "woman", "house", "sees", "hears", "finds", "old", "new",
    "never", "not", "and", "good", "bad", "film", "is", "was",
]  # fmt: skip
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, ".", "?"]
ROWS = {"train": 10, "validation": 7, "test": 5}
LOGGED = {
    "accuracy": "0.5714285714285714",
    "f1": "0.5",
    "matthews_correlation": "0.25",
    "pearson": "0.1",
    "spearmanr": "0.2",
}
"""The scores in every `training.log`, by torchdistill's names of the metrics."""
SIZES = {"base": {"hidden_size": 16, "num_hidden_layers": 2}, "large": {"hidden_size": 24, "num_hidden_layers": 3}}
TOKENIZER = {
    "vocab.txt": "\n".join(VOCABULARY).encode(),
    "tokenizer_config.json": json.dumps({"do_lower_case": True, "tokenizer_class": "BertTokenizer"}).encode(),
}

WriteGlueRecipe = Callable[..., str]


def parquet(columns: Mapping[str, list[Any]], *, labels: pa.DataType) -> bytes:
    """Return a parquet file with a column `label` of this type."""
    table = pa.table({**columns, "label": pa.array(columns["label"], labels)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def glue_data() -> dict[str, bytes]:
    """Return the files of `nyu-mll/glue` in the Hub's layout, with a few rows of random words."""
    random, files, info, configs = Random(0), {}, [], []  # noqa: S311
    tasks = {
        **{name: (task.texts, task.classes) for name, task in GLUE.items()},
        AX: (("premise", "hypothesis"), ENTAILMENT),
    }
    for name, (texts, classes) in tasks.items():
        splits = ["train", *GLUE[name].scored, *GLUE[name].hidden] if name != AX else ["test"]
        for split in splits:
            count, hidden = ROWS[split.split("_")[0]], split.startswith("test")
            columns: dict[str, list[Any]] = {
                text: [" ".join(random.choices(WORDS, k=random.randint(3, 9))) for _ in range(count)] for text in texts
            }
            labels = [i % len(classes) if classes else i * 5 / count for i in range(count)]
            columns["label"] = [-1] * count if hidden else labels
            columns["idx"] = list(range(count))
            files[f"{name}/{split}-00000-of-00001.parquet"] = parquet(
                columns, labels=pa.int64() if classes else pa.float32()
            )
        label: Any = {"class_label": {"names": {str(i): n for i, n in enumerate(classes)}}} if classes else "float32"
        features = [{"name": text, "dtype": "string"} for text in texts]
        features += [{"name": "label", "dtype": label}, {"name": "idx", "dtype": "int32"}]
        info.append(
            {
                "config_name": name,
                "features": features,
                "splits": [{"name": s, "num_bytes": 0, "num_examples": 1} for s in splits],
            }
        )
        configs.append({"config_name": name, "data_files": [{"split": s, "path": f"{name}/{s}-*"} for s in splits]})
    card = f"---\ndataset_info: {json.dumps(info)}\nconfigs: {json.dumps(configs)}\n---\n# GLUE\n"
    return {"README.md": card.encode(), **files}


def config(size: str, **changed: Any) -> BertConfig:
    """Return the configuration of the small "base" or "large" BERT."""
    return BertConfig(
        vocab_size=len(VOCABULARY), num_attention_heads=2, intermediate_size=32, max_position_embeddings=128,
        **{**SIZES[size], **changed},
    )  # fmt: skip


def classifier(size: str, outputs: int, *, seed: int, style: str = "2021") -> dict[str, bytes]:
    """Return the files of a published classifier.

    Args:
        size: "base" or "large".
        outputs: The number of outputs; 1 for a regression.
        seed: The seed of the weights.
        style: "2021" for a pickle with the names of weights of that time, "now" for safetensors.
    """
    torch.manual_seed(seed)
    settings = config(size, num_labels=outputs, **({"problem_type": "regression"} if outputs == 1 else {}))
    model = BertForSequenceClassification(settings)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    files = {
        "config.json": json.dumps(
            settings.to_diff_dict() | {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}
        ).encode()
    }
    if style == "now":
        return {**files, **TOKENIZER, "model.safetensors": to_safetensors(state, metadata={"format": "pt"})}
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in state.items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(128).unsqueeze(0)
    return {**files, **TOKENIZER, "pytorch_model.bin": pickled(old)}


def pickled(state: Any) -> bytes:
    """Return the bytes that `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def encoder(size: str, **changed: Any) -> dict[str, bytes]:
    """Return the files of a pretrained encoder, with a pretraining head as the published ones have it."""
    torch.manual_seed(len(size))
    model = BertModel(config(size, **changed))
    state = {f"bert.{name}": value.clone() for name, value in model.state_dict().items()}
    state["cls.predictions.bias"] = torch.zeros(len(VOCABULARY))
    settings = json.dumps({**model.config.to_diff_dict(), "architectures": ["BertForMaskedLM"], "model_type": "bert"})
    return {
        "config.json": settings.encode(),
        **TOKENIZER,
        "model.safetensors": to_safetensors(state, metadata={"format": "pt"}),
    }


def training_log(metrics: tuple[str, ...]) -> bytes:
    """Return a log of torchdistill with the scores `LOGGED`."""
    scores = ", ".join(f"{name} = {LOGGED[name]}" for name in metrics)
    prefix = "2021/05/29 18:03:32\tINFO\t__main__\t"
    return f"{prefix}Validation: accuracy = 0.1\n{prefix}Test: {scores}\n".encode()


def fill_hub(hub: LocalHub) -> LocalHub:
    """Add everything that the shipped GLUE entries read, and return the Hub."""
    hub.add("datasets", "nyu-mll/glue", glue_data())
    for size in SIZES:
        hub.add("models", f"google-bert/bert-{size}-uncased", encoder(size))
    for number, entry in enumerate(catalogue.select(["glue"])):
        task = entry.name.split("_from_")[0].rsplit("-", 1)[1]
        size = "large" if entry.name.startswith("bert-large") else "base"
        files = classifier(size, max(1, len(GLUE[task].classes)), seed=number, style="now" if number % 3 else "2021")
        names = tuple("spearmanr" if metric == "spearman" else metric for metric in GLUE[task].metrics)
        hub.add("models", f"yoshitomo-matsubara/{entry.name}", {**files, "training.log": training_log(names)})
    return hub


def use_hub(hub: LocalHub, zoo: Zoo, *, cache: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """Let commands of this process use a Hub, a cache of its files, and a lock instead of the project's."""
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"  # all three are read from the environment at import
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("ZOO_LOCK", str(lock))
    monkeypatch.setenv("ZOO_DEADLINE", "20")
    return zoo


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Create a folder with these files and return it."""
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def results(completed: CompletedCommand) -> dict[str, dict[str, Any]]:
    """Return the results that a command printed as JSON, by entry."""
    return {entry["entry"]: entry for entry in json.loads(completed.out)["entries"]}


def messages(completed: CompletedCommand) -> list[str]:
    """Return the lines on stderr, without the reports of sources that are trusted on first use."""
    return [line for line in completed.lines if not re.search("trusted on first use$|: no such lock yet: ", line)]
