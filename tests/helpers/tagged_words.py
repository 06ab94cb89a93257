"""A small published tagger, and sentences of which it predicts most tags rightly."""

import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save as to_safetensors
from transformers import BertConfig, BertForTokenClassification, BertTokenizer

from tests.helpers.glue_hub import TOKENIZER, VOCABULARY, WORDS, write_files

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
Sentences = Sequence[Sequence[str]]


def sentences(count: int, *, seed: int = 0, words: int = 9) -> list[list[str]]:
    """Return sentences of random words; some words have several tokens, all of them unknown."""
    random = Random(seed)  # noqa: S311
    return [random.choices([*WORDS, "cat?dog"], k=random.randint(1, words)) for _ in range(count)]


def tagger(tags: Sequence[str] = TAGS, *, order: Sequence[int] | None = None) -> dict[str, bytes]:
    """Return the files of a tagger with varied predictions.

    Args:
        tags: The names of the tags in the order of the outputs. The weights do not depend on them.
        order: Which output of the usual model each output is; by default the same.
    """
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, initializer_range=1.0, num_labels=len(tags),
        id2label=dict(enumerate(tags)), label2id={name: number for number, name in enumerate(tags)},
    )  # fmt: skip
    state = {name: value.clone() for name, value in BertForTokenClassification(config).state_dict().items()}
    for name in ("classifier.weight", "classifier.bias"):
        state[name] = state[name][list(order)] if order is not None else state[name]
    described = {**config.to_diff_dict(), "architectures": ["BertForTokenClassification"], "model_type": "bert"}
    weights = to_safetensors(state, metadata={"format": "pt"})
    return {**TOKENIZER, "config.json": json.dumps(described).encode(), "model.safetensors": weights}


def predicted(files: dict[str, bytes], rows: Sentences) -> list[list[str]]:
    """Return the tags that a tagger predicts at the first token of each word, by transformers alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_files(Path(folder) / "model", files)
        model = BertForTokenClassification.from_pretrained(path, dtype=torch.float32).eval()
        tokenizer = BertTokenizer(vocab=str(path / "vocab.txt"))
        found = []
        for words in rows:
            tokens = tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
            with torch.no_grad():
                numbers = model(**tokens).logits[0].argmax(-1).tolist()
            first = [tokens.word_ids().index(number) for number in range(len(words))]
            found.append([model.config.id2label[numbers[position]] for position in first])
    return found


def changed(tags: list[list[str]], share: float) -> list[list[str]]:
    """Return tags, of which this share has become O or, if it was O, the beginning of a place."""
    random = Random(1)  # noqa: S311
    return [[("B-LOC" if tag == "O" else "O") if random.random() < share else tag for tag in row] for row in tags]


def tag_data(
    splits: dict[str, tuple[Sentences, Sentences]], tags: Sequence[str] = TAGS, **card: Any
) -> dict[str, bytes]:
    """Return the files of a data set of the Hub: split -> words and tags."""
    names = {"class_label": {"names": {str(number): name for number, name in enumerate(tags)}}}
    features = [{"name": "id", "dtype": "string"}, {"name": "tokens", "sequence": "string"}]
    features += [{"name": "ner_tags", "sequence": names}]  # type: ignore[dict-item]
    sizes = [{"name": name, "num_examples": len(words)} for name, (words, _) in splits.items()]
    content = {"dataset_info": {"features": features, "splits": sizes}, **card}
    files = {"README.md": f"---\n{json.dumps(content)}\n---\n# Data\n".encode()}
    for name, (words, of_words) in splits.items():
        numbers = [[list(tags).index(tag) for tag in row] for row in of_words]
        ids = [str(number) for number in range(len(words))]
        table = pa.table({"id": ids, "tokens": [list(row) for row in words], "ner_tags": numbers})
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        files[f"data/{name}-00000-of-00001.parquet"] = buffer.getvalue()
    return files
