"""A small model for question answering under a real-looking card, its data set, and its score by transformers alone."""

import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save as to_safetensors
from transformers import BertConfig, BertForQuestionAnswering, BertTokenizer

from tests.helpers.card_models import card, result
from tests.helpers.glue_hub import TOKENIZER, VOCABULARY, write_files
from tests.helpers.squad_reference import chosen_answers, made_questions, official_f1, official_words
from zoo.tasks.question_features import QuestionSplit
from zoo.tasks.questions import Question

QUESTIONS = "someone/squad_v2-made"
POSITIONS = 64
"""The number of tokens that the model reads; the texts are longer."""


def question_model() -> dict[str, bytes]:
    """Return the files of a model with varied answers."""
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=POSITIONS, initializer_range=1.0,
    )  # fmt: skip
    settings = {**config.to_diff_dict(), "architectures": ["BertForQuestionAnswering"], "model_type": "bert"}
    weights = to_safetensors(dict(BertForQuestionAnswering(config).state_dict()), metadata={"format": "pt"})
    return {**TOKENIZER, "config.json": json.dumps(settings).encode(), "model.safetensors": weights}


def question_data(questions: Sequence[Question]) -> dict[str, bytes]:
    """Return the files of a data set of the Hub in the form of SQuAD's."""
    answers = [{"text": list(question.answers), "answer_start": list(question.starts)} for question in questions]
    kind = pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int32())})
    columns = {
        "id": [question.id for question in questions], "question": [question.text for question in questions],
        "context": [question.context for question in questions], "answers": pa.array(answers, kind),
    }  # fmt: skip
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    features = [{"name": name, "dtype": "string"} for name in ("id", "question", "context")] + [{"name": "answers"}]
    info = {"features": features, "splits": [{"name": "validation", "num_examples": len(questions)}]}
    shown = f"---\n{json.dumps({'dataset_info': info})}\n---\n# Data\n"
    return {"README.md": shown.encode(), "data/validation-00000-of-00001.parquet": buffer.getvalue()}


def reference_scores(files: dict[str, bytes], questions: Sequence[Question]) -> tuple[float, float]:
    """Return the exact match and F1 of SQuAD 2.0 of a model, one part of a text at a time."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_files(Path(folder) / "model", files)
        model = BertForQuestionAnswering.from_pretrained(path, dtype=torch.float32).eval()
        tokenizer = BertTokenizer(vocab=str(path / "vocab.txt"), do_lower_case=True)
    split = QuestionSplit(questions, tokenizer=tokenizer, max_length=POSITIONS, stride=POSITIONS // 3)
    logits = np.full((len(split), POSITIONS, 2), -np.inf)
    for row in range(len(split)):
        ids = torch.tensor([split.tokens.row(row)])
        kinds = torch.cumsum(ids == tokenizer.sep_token_id, 1).clamp(max=1) - (ids == tokenizer.sep_token_id).int()
        kinds[0, -1] = 1
        outputs = model(ids, token_type_ids=kinds.clamp(min=0))
        stacked = torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)
        logits[row, : ids.shape[1]] = stacked[0].detach().numpy()
    chosen = chosen_answers(logits, split, version_2=True, threshold=0.0, n_best=20, longest=30)
    golden = [[text for text in question.answers if official_words(text)] or [""] for question in questions]
    pairs = [(text, truths) for (text, _), truths in zip(chosen, golden, strict=True)]
    exact = [max(float(official_words(text) == official_words(truth)) for truth in truths) for text, truths in pairs]
    f1 = [max(official_f1(text, truth, version_2=True) for truth in truths) for text, truths in pairs]
    return float(np.mean(exact)), float(np.mean(f1))


def question_card() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the files of a model with a true card, and those of its data set."""
    questions, files = made_questions(40, seed=9, words=120, unanswerable=0.5), question_model()
    exact, f1 = reference_scores(files, questions)
    claimed = result(
        QUESTIONS, ("exact_match", round(100 * exact, 4)), ("f1", round(100 * f1, 4)), ("rouge", 0.5),
        task="question-answering", split="validation",
    )  # fmt: skip
    return {**files, "README.md": card(claimed)}, question_data(questions)
