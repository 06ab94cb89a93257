"""A model for question answering is trained on made-up questions, recorded, judged and compared with another run."""

import json
from pathlib import Path
from random import Random

import pytest

from harness.records.record import read_record
from tests.helpers.device import device
from tests.helpers.glue_hub import TOKENIZER, VOCABULARY, WORDS, write_files
from tests.helpers.project import Zoo

RECIPE = """\
name: marked-word
task:
  use: question_answering
  data: {{train: "file:train.jsonl", dev: "file:dev.jsonl"}}
  version_2: true
  max_length: 24
  stride: 6
tokenizer: {{use: wordpiece, vocab: "file:tokenizer/vocab.txt"}}
model:
  use: transformers.BertForQuestionAnswering
  config: {{use: transformers.BertConfig, vocab_size: {vocabulary}, hidden_size: 32, num_hidden_layers: 2,
    num_attention_heads: 4, intermediate_size: 64, max_position_embeddings: 32}}
stages:
  - epochs: 30
    batch_size: 32
    optimizer: {{use: AdamW, lr: 3e-3}}
    criterion: {{ce: {{loss: CrossEntropy}}}}
"""


NAMES = [word for word in WORDS if word not in ("the", "a")]


def made_rows(count: int, seed: int) -> str:
    """Return rows whose answer is the word that the question names; every fourth text does not contain it."""
    random, rows = Random(seed), []  # noqa: S311
    for number in range(count):
        asked, *others = random.sample(NAMES, k=len(NAMES))
        before, after = ([random.choice(others) for _ in range(random.randint(4, 15))] for _ in range(2))
        has_answer = number % 4 > 0
        context = " ".join([*before, *[asked] * has_answer, *after])
        answers = {"text": [asked] * has_answer, "answer_start": [len(" ".join(before)) + 1] * has_answer}
        rows.append({"id": str(number), "question": asked, "context": context, "answers": answers})
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_files(tmp_path / "tokenizer", TOKENIZER)
    (tmp_path / "train.jsonl").write_text(made_rows(400, 0))
    (tmp_path / "dev.jsonl").write_text(made_rows(80, 1))
    path = tmp_path / "marked-word.yaml"
    path.write_text(RECIPE.format(vocabulary=len(VOCABULARY)))
    return path


@pytest.mark.slow
def test_a_model_learns_to_answer_and_its_weights_reproduce_its_score(zoo: Zoo, recipe: Path) -> None:
    completed = zoo("train", recipe, "--device", device(), "--json")
    assert completed.code == 0, completed.err
    path = Path(json.loads(completed.out)["record"])
    result = read_record(path).results[-1]
    scores = {name: score["value"] for name, score in result.metrics.items()}
    assert result.n == 80
    assert scores["exact_match"] > 0.5, "never answering is right for a quarter of the questions"
    assert "pipeline_tag: question-answering" in (path.parent / "README.md").read_text()
    claim = f"{{of: weights, split: dev, metric: answer_f1, value: {scores['answer_f1']:.4f}, decimals: 4, source: me}}"
    weights = path.parent / "model.safetensors"
    recipe.write_text(f"{recipe.read_text()}weights: file:{weights}\nclaims: [{claim}]\n")
    verified = zoo("verify", recipe, "--device", device())
    assert (verified.code, "reproduced" in verified.out) == (0, True), verified.err
    again = zoo("train", recipe, "--seed", 1, "--device", device(), "--json")
    compared = zoo("diff", path.parent, Path(json.loads(again.out)["record"]).parent, "--json")
    assert compared.code in (0, 1), compared.err
    (split,) = json.loads(compared.out)["splits"]
    assert {metric["metric"] for metric in split["metrics"]} == {*scores}
    assert all(metric["interval"] for metric in split["metrics"])
