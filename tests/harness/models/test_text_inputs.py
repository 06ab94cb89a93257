"""The result of a text depends on that text alone; a model that cannot process a text is refused before any work."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from harness.evaluation.split_runner import SplitRunner
from harness.evaluation.subset import subset
from harness.models.environment import accelerator_on
from harness.models.text_inputs import depends_on_padding, fit_to_texts
from tests.helpers.device import device
from tests.helpers.small_texts import WordTokenizer
from zoo.errors import UsageError
from zoo.tasks.base import Task
from zoo.tasks.splits import TextSplit

SMALL: dict[str, Any] = {
    "vocab_size": 40, "num_labels": 2, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "intermediate_size": 32, "max_position_embeddings": 30, "head_dim": 8, "d_model": 16,
    "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 30, "n_layers": 2, "n_heads": 2, "dim": 16,
    "hidden_dim": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "d_ff": 32, "d_kv": 8, "num_layers": 2,
    "num_heads": 2, "embedding_size": 16, "ffn_dim": 32, "word_embed_proj_dim": 16, "n_inner": 32, "emb_dim": 16,
    "d_inner": 32, "num_local_experts": 2, "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16,
    "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "decoder_start_token_id": 1,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "xlnet": {"max_position_embeddings": None, "hidden_size": None, "num_hidden_layers": None},
    "falcon": {"head_dim": None},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 4},
    "t5": {"decoder_start_token_id": 1},
    "nystromformer": {"num_landmarks": 4, "segment_means_seq_len": 4},
    "reformer": {"axial_pos_embds": False, "attn_layers": ["local", "lsh"], "attention_head_size": 8, "num_buckets": 2,
                 "local_attn_chunk_length": 4, "lsh_attn_chunk_length": 4, "feed_forward_size": 32},
}  # fmt: skip
"""Settings of some types besides the small sizes; None leaves out a size."""
BY_LAST_END = ("bart", "bigbird_pegasus", "mbart", "mt5", "mvp", "plbart", "t5", "umt5")
"""Types of models that classify by the last token, which must end the text."""
TEXTS = [("bbb cccc ddddd eeeeee fffffff bbb cccc",), ("ddddd",), ("bbb fffffff",), ("",), ("cccc bbb eeeeee",)]


def tiny(kind: str, **changes: Any) -> PreTrainedModel:
    """A classifier of a type of transformers, with random weights."""
    config = CONFIG_MAPPING[kind]
    known = {*inspect.signature(config).parameters, *vars(config()), "num_labels", "vocab_size", "pad_token_id"}
    sizes = {name: value for name, value in SMALL.items() if name in known or hasattr(config, name)}
    settings = {**sizes, **SETTINGS.get(kind, {}), **changes}
    torch.manual_seed(0)
    built = config(**{name: value for name, value in settings.items() if name in changes or value is not None})
    with torch.device("meta"):
        if AutoModelForSequenceClassification.from_config(built).num_parameters() > 3_000_000:
            raise ValueError("its size cannot be set")
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(built).float()
    return model


def tokenizer_for(kind: str, **special: int) -> WordTokenizer:
    return WordTokenizer(**(special or {"bos": 0, "pad": 1, "eos": 2}), adds_end=kind in BY_LAST_END)


def texts(tokenizer: Any, rows: list[tuple[str, ...]] = TEXTS) -> TextSplit:
    return TextSplit(rows, torch.arange(len(rows)) % 2, tokenizer=tokenizer)


def outputs(model: PreTrainedModel, split: TextSplit) -> Tensor:
    task = Task(name="t", splits={"test": lambda: split}, scored=("test",), metrics=("accuracy",))
    return SplitRunner(model, task, accelerator_on(device())).outputs(split)


def difference(model: PreTrainedModel, split: TextSplit) -> float:
    """The largest difference of a logit between rows in one batch and rows alone, relative to the largest logit."""
    together = outputs(model, split)
    alone = torch.cat([outputs(model, subset(split, [row])) for row in range(len(split))])  # type: ignore[arg-type]
    return float((together - alone).abs().max() / alone.abs().max())


@pytest.mark.parametrize(
    "kind", ["bert", "bloom", "deberta-v2", "fnet", "gpt2", "llama", "opt", "qwen2", "roberta", "t5", "xlnet"]
)
def test_a_row_has_the_same_result_alone_and_in_a_batch(kind: str) -> None:
    tokenizer = tokenizer_for(kind)
    tokenizer.padding_side = "left"
    assert difference(tiny(kind), texts(tokenizer)) < 1e-6


@pytest.mark.slow
def test_every_type_of_classifier_gives_a_row_the_same_result_alone_and_in_a_batch() -> None:
    differences = {}
    for kind in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        try:
            model = tiny(kind)
            outputs(model, texts(tokenizer_for(kind), [("bbb",)]))
        except Exception:  # noqa: S112 - its sizes have other names, or it reads more than texts
            continue
        differences[kind] = difference(model, texts(tokenizer_for(kind)))
    assert len(differences) >= 85
    assert {kind: found for kind, found in differences.items() if not found < 2e-6} == {}


@pytest.mark.parametrize(
    ("of_model", "of_tokenizer"),
    [(None, {"bos": 0, "eos": 2, "pad": 1}), (None, {"bos": 0, "eos": 2}), (3, {"bos": 0, "eos": 2, "pad": 1}),
     (2, {"bos": 0, "eos": 2}), (-1, {"bos": 2, "eos": 2})],
)  # fmt: skip
def test_the_padding_tokens_of_model_and_tokenizer_need_not_agree(
    of_model: int | None, of_tokenizer: dict[str, int]
) -> None:
    model = tiny("gpt2", pad_token_id=of_model)
    assert difference(model, texts(tokenizer_for("gpt2", **of_tokenizer))) < 1e-6
    kept = of_model is not None and of_model >= 0
    assert model.config.pad_token_id == (of_model if kept else of_tokenizer.get("pad", 2))


def _refusals() -> Iterator[Any]:
    long = [("bbb",), ("bbb " * 31,)]
    yield "bert", long, {}, "row 1 of x has 31 tokens, but the model has 30 positions; set max_length: 30"
    yield "roberta", long, {}, "row 1 of x has 31 tokens, but the model has 28 positions"
    yield "opt", [("bbb " * 31,)], {}, "row 0 of x has 31 tokens, but the model has 30 positions"
    yield "gpt2", long, {}, "but the model has 30 positions"
    yield "bert", [("bbb",), ("b" * 40,)], {}, "row 1 of x has the token id 40: the tokenizer has 50 tokens, but the"
    yield "gpt2", [("bbb",), ("bbb b",)], {"pad": 45}, "x: the padding token has the id 45, but .* `pad_token: eos`"


@pytest.mark.parametrize(("kind", "rows", "special", "message"), [*_refusals()])
def test_a_text_that_a_model_cannot_process_is_refused(
    kind: str, rows: list[tuple[str, ...]], special: dict[str, int], message: str
) -> None:
    model = tiny(kind, pad_token_id=None) if special else tiny(kind)
    with pytest.raises(UsageError, match=message):
        fit_to_texts(model, texts(tokenizer_for(kind, **special), rows), "x")


def test_positions_without_a_table_have_no_limit() -> None:
    for kind in ("llama", "bloom", "t5"):
        split = texts(tokenizer_for(kind), [("bbb " * 31,)])
        assert outputs(tiny(kind), split).isfinite().all()
    assert (depends_on_padding(tiny("xlnet")), depends_on_padding(tiny("llama"))) == (True, False)


def test_a_training_is_refused_before_its_first_step(zoo: Any, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\nrose is fine,good\n" + "rose is fine " * 30 + ",bad\n")
    (tmp_path / "test.csv").write_text("text,label\nrose is fine,good\n")
    recipe = """\
name: long
task:
  use: text_classification
  data: {train: "file:train.csv", validation: "file:test.csv"}
  text: text
  classes: [bad, good]
tokenizer: {use: wordpiece, vocab: embedded:entail-vocab.txt}
model: {use: bert_classifier, layers: 1, hidden: 16, heads: 2, intermediate: 32, vocab_size: 70, num_labels: 2,
  max_length: 64}
stages:
  - {epochs: 1, batch_size: 1, optimizer: {use: AdamW, lr: 1e-3}, criterion: {ce: {loss: CrossEntropy}}}
"""
    (tmp_path / "long.yaml").write_text(recipe)
    done = zoo("train", "long.yaml", "--out", tmp_path / "out")
    assert (done.code, "row 1 of the split 'train' has 92 tokens, but the model has 64 positions" in done.err) == (
        2,
        True,
    )
    (tmp_path / "small.yaml").write_text(recipe.replace("vocab_size: 70", "vocab_size: 40"))
    done = zoo("train", "small.yaml", "--out", tmp_path / "out")
    assert (done.code, "tokens, but the model's embedding has 40 rows" in done.err) == (2, True)
    assert not (tmp_path / "out").exists()
