"""The files of a tiny sentence encoder, as sentence-transformers publishes it."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from safetensors.torch import save
from torch.nn import functional as F
from transformers import BertModel, BertTokenizer

from tests.helpers.glue_hub import TOKENIZER, config

Compare = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
TYPES = "sentence_transformers.models."
MODULES: list[dict[str, Any]] = [
    {"idx": number, "name": str(number), "path": path, "type": f"{TYPES}{kind}"}
    for number, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")])
]
POOLING = {
    "word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "modules.json": MODULES, "1_Pooling/config.json": POOLING,
    "sentence_bert_config.json": {"max_seq_length": 12, "do_lower_case": False},
    "config_sentence_transformers.json": {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
}  # fmt: skip


def cosine(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the cosine of two embeddings."""
    return F.cosine_similarity(first, second, dim=0)


def bert() -> BertModel:
    """Return the encoder, with random weights that are always the same, and large enough for varied embeddings."""
    torch.manual_seed(0)
    return BertModel(config("base", hidden_size=16, num_hidden_layers=2, initializer_range=0.3)).eval()


def cosines_of(
    pairs: Iterable[tuple[str, ...]], *, pooling: str = "mean", max_length: int = 12, compare: Compare = cosine
) -> list[float]:
    """Return the cosine of every pair of texts, computed by plain transformers, one text at a time.

    Another function `compare` of two embeddings replaces the cosine.
    """
    model = bert()
    vocabulary = TOKENIZER["vocab.txt"].decode().splitlines()
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(vocabulary)})

    def embedding(text: str) -> torch.Tensor:
        with torch.no_grad():
            tokens = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
            states = model(**tokens).last_hidden_state[0]
        choices = {"mean": states.mean(0), "cls": states[0], "max": states.max(0).values, "last": states[-1]}
        return choices[pooling]

    return [compare(embedding(a), embedding(b)).item() for a, b in pairs]


def encoder_files(settings: Mapping[str, Any] = SETTINGS) -> dict[str, bytes]:
    """Return the files of a tiny encoder with random weights, as sentence-transformers publishes it."""
    model = bert()
    described = json.dumps({**model.config.to_diff_dict(), "architectures": ["BertModel"], "model_type": "bert"})
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("pooler.")}
    state["embeddings.position_ids"] = torch.arange(128).unsqueeze(0)
    files = {"config.json": described.encode(), **TOKENIZER, "model.safetensors": save(state, {"format": "pt"})}
    return {**files, **{name: json.dumps(content).encode() for name, content in settings.items()}}
