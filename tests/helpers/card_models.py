"""Small text classifiers under real-looking model cards, and data sets whose labels give them a known accuracy."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import save as to_safetensors
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from tests.helpers.glue_hub import TOKENIZER, VOCABULARY, WORDS, parquet, pickled, write_files

Rows = Sequence[tuple[str, ...]]
SENTIMENTS = ("negative", "positive")
TOPICS = ("entailment", "neutral", "contradiction")


def texts(count: int, *, seed: int = 0, columns: int = 1) -> list[tuple[str, ...]]:
    """Return rows of random words, one text or two."""
    random = Random(seed)  # noqa: S311
    return [
        tuple(" ".join(random.choices(WORDS, k=random.randint(3, 9))) for _ in range(columns)) for _ in range(count)
    ]


def text_model(
    classes: Sequence[str], *, seed: int = 1, order: Sequence[int] | None = None, **settings: Any
) -> dict[str, bytes]:
    """Return the files of a classifier with varied predictions.

    Args:
        classes: The names of the classes in the order of the outputs; one name for a regression.
        seed: The seed of the weights. They do not depend on the names.
        order: Which output of the model with the same seed each output is; by default the same.
        **settings: Further settings of config.json.
    """
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, initializer_range=1.0, num_labels=len(classes),
        id2label=dict(enumerate(classes)), label2id={name: number for number, name in enumerate(classes)},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    if order is not None:
        for name in ("classifier.weight", "classifier.bias"):
            state[name] = state[name][list(order)]
    described = {**config.to_diff_dict(), "architectures": ["BertForSequenceClassification"], "model_type": "bert"}
    weights = to_safetensors(state, metadata={"format": "pt"})
    return {**TOKENIZER, "config.json": json.dumps({**described, **settings}).encode(), "model.safetensors": weights}


def outputs(files: dict[str, bytes], rows: Rows) -> torch.Tensor:
    """Return the logits `(N, C)` of a model for rows, by transformers alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_files(Path(folder) / "model", files)
        model = BertForSequenceClassification.from_pretrained(path, dtype=torch.float32).eval()
        lower = json.loads(files["tokenizer_config.json"])["do_lower_case"]
        tokenizer = BertTokenizer(vocab=str(path / "vocab.txt"), do_lower_case=lower)
        logits = [model(**tokenizer(*row, return_tensors="pt", truncation=True, max_length=64)).logits for row in rows]
    return torch.cat(logits).detach()


def labels(files: dict[str, bytes], rows: Rows, *, right: int) -> list[int]:
    """Return labels with which exactly `right` rows are predicted right, the first ones."""
    logits = outputs(files, rows)
    predicted = logits.argmax(dim=1).tolist()
    wrong = [(number + 1) % logits.shape[1] for number in predicted]
    return predicted[:right] + wrong[right:]


def text_data(
    columns: Sequence[str], splits: dict[str, tuple[Rows, Sequence[Any]]], classes: Sequence[str] = (), **card: Any
) -> dict[str, bytes]:
    """Return the files of a data set of the Hub.

    Args:
        columns: The columns of the texts.
        splits: Split -> rows and labels.
        classes: The names of the classes; none for a regression.
        **card: Further keys of the card.
    """
    label: Any = {"class_label": {"names": {str(i): name for i, name in enumerate(classes)}}} if classes else "float32"
    features = [*({"name": name, "dtype": "string"} for name in columns), {"name": "label", "dtype": label}]
    sizes = [{"name": name, "num_examples": len(rows)} for name, (rows, _) in splits.items()]
    content = {"dataset_info": {"features": features, "splits": sizes}, **card}
    files = {"README.md": f"---\n{json.dumps(content)}\n---\n# Data\n".encode()}
    for name, (rows, values) in splits.items():
        table = {column: [row[number] for row in rows] for number, column in enumerate(columns)}
        kind = pa.int64() if classes else pa.float32()
        files[f"data/{name}-00000-of-00001.parquet"] = parquet({**table, "label": list(values)}, labels=kind)
    return files


def pickled_model(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of a model with its weights as a pickle, as those of before 2023 have them."""
    with tempfile.TemporaryDirectory() as folder:
        model = BertForSequenceClassification.from_pretrained(write_files(Path(folder) / "model", files))
    rest = {name: data for name, data in files.items() if name != "model.safetensors"}
    return {**rest, "pytorch_model.bin": pickled(model.state_dict())}


def card(*results: dict[str, Any], name: str = "tiny", text: str = "# Model\n") -> bytes:
    """Return a model card with results in its model-index."""
    index = [{"name": name, "results": list(results)}]
    return f"---\n{json.dumps({'model-index': index}, indent=1)}\n---\n{text}".encode()


def result(dataset: str, *metrics: tuple[str, Any], task: str = "text-classification", **data: Any) -> dict[str, Any]:
    """Return one result of a model-index: a data set with metrics and their values."""
    listed = [{"type": metric, "value": value} for metric, value in metrics]
    return {"task": {"type": task}, "dataset": {"type": dataset, "name": dataset, **data}, "metrics": listed}
