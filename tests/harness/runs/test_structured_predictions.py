"""Files with tags of words or answers to questions are scored as seqeval and the scripts of SQuAD score them."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from seqeval.metrics import accuracy_score, f1_score

from tests.helpers.glue_hub import TOKENIZER, write_files
from tests.helpers.project import Zoo
from tests.helpers.squad_reference import official_f1, official_words

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
HEAD = """\
name: mine
tokenizer: {use: wordpiece, vocab: "file:tokenizer/vocab.txt"}
model:
  use: transformers.BertFor%s
  config: {use: transformers.BertConfig, vocab_size: 40, hidden_size: 8, num_hidden_layers: 1,
    num_attention_heads: 1, intermediate_size: 8, num_labels: 5}
task: {data: {validation: "file:validation.jsonl"}, use: %s}
"""


def write_recipe(model: str, task: str, rows: list[dict[str, Any]]) -> None:
    write_files(Path("tokenizer"), TOKENIZER)
    Path("mine.yaml").write_text(HEAD % (model, task), encoding="utf-8")
    write_lines("validation.jsonl", rows)


def write_lines(name: str, rows: list[Any]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def scores(zoo: Zoo, name: str) -> dict[str, float]:
    completed = zoo("evaluate", name, "--as", "mine.yaml", "--json")
    assert completed.code == 0, completed.err
    return {result["metric"]: result["measured"] for result in json.loads(completed.out)["results"]}


@pytest.fixture
def tagged(zoo: Zoo) -> list[list[str]]:
    """Write a recipe for sentences, and return their tags."""
    random = Random(0)  # noqa: S311
    true = [[random.choice(TAGS) for _ in range(random.randint(1, 6))] for _ in range(30)]
    rows = [{"tokens": ["the"] * len(tags), "ner_tags": tags} for tags in true]
    write_recipe("TokenClassification", f"token_classification, classes: [{', '.join(TAGS)}]", rows)
    return true


def test_tags_in_a_file_have_the_scores_of_seqeval(zoo: Zoo, tagged: list[list[str]]) -> None:
    random = Random(1)  # noqa: S311
    mine = [[random.choice([tag, *TAGS]) for tag in tags] for tags in tagged]
    expected = {"entity_f1": f1_score(tagged, mine), "token_accuracy": accuracy_score(tagged, mine)}
    write_lines("lists.jsonl", [{"prediction": tags} for tags in mine])
    shuffled = random.sample(list(enumerate(mine)), k=len(mine))
    Path("texts.csv").write_text("id,prediction\n" + "".join(f"{row},{' '.join(tags)}\n" for row, tags in shuffled))
    for name in ("lists.jsonl", "texts.csv"):
        measured = scores(zoo, name)
        assert {metric: measured[metric] for metric in expected} == pytest.approx(expected, abs=1e-12), name


def test_a_word_without_a_prediction_counts_as_wrong(zoo: Zoo, tagged: list[list[str]]) -> None:
    write_lines("mine.jsonl", [{"prediction": [*tags[:-1], None]} for tags in tagged])
    words = sum(map(len, tagged))
    assert scores(zoo, "mine.jsonl")["token_accuracy"] == pytest.approx((words - 30) / words, abs=1e-12)


def test_tags_that_do_not_fit_are_an_error_with_their_row(zoo: Zoo, tagged: list[list[str]]) -> None:
    changed: dict[str, Any] = {
        "row 1: 1 tag for 2 words; write null for a word without a prediction": ["O"],
        "row 1: 'B-PRE' is not one of the classes; did you mean B-PER": ["B-PRE", "O"],
        "row 1: 7 is not a list of tags": 7,
    }
    chosen = next(position for position, tags in enumerate(tagged) if len(tags) == 2)
    others = [{"id": row, "prediction": tags} for row, tags in enumerate(tagged) if row != chosen]
    for message, value in changed.items():
        listed = [others[0], {"id": chosen, "prediction": value}, *others[1:]]
        write_lines("mine.jsonl", listed)
        completed = zoo("evaluate", "mine.jsonl", "--as", "mine.yaml")
        assert (completed.code, completed.lines[-1].startswith(f"mine.jsonl: {message}")) == (2, True), completed.err
    write_lines("short.jsonl", [{"prediction": tagged[0]}])
    assert "1 predictions for 30 examples" in zoo("evaluate", "short.jsonl", "--as", "mine.yaml").err
    Path("mine.npz").write_bytes(b"")
    assert "are read from tables" in zoo("evaluate", "mine.npz", "--as", "mine.yaml").err


@pytest.fixture
def asked(zoo: Zoo) -> dict[str, list[str]]:
    """Write a recipe for questions, and return their answers."""
    answers = {"q1": ["the old cat"], "q2": ["cat", "a cat sees"], "q3": []}
    context = "the old cat and a cat sees"
    rows = [
        {
            "id": key, "question": "the cat", "context": context,
            "answers": {"text": texts, "answer_start": [context.index(text) for text in texts]},
        }
        for key, texts in answers.items()
    ]  # fmt: skip
    write_recipe("QuestionAnswering", "question_answering, version_2: true", rows)
    return answers


def test_answers_in_a_file_have_the_scores_of_the_script_of_squad(zoo: Zoo, asked: dict[str, list[str]]) -> None:
    mine = {"q3": "", "q2": "The cat sees", "q1": "cat!"}
    best = [(text, asked[key] or [""]) for key, text in mine.items()]
    exact = [max(official_words(text) == official_words(truth) for truth in truths) for text, truths in best]
    f1 = [max(official_f1(text, truth, version_2=True) for truth in truths) for text, truths in best]
    Path("predictions.json").write_text(json.dumps(mine, indent=4), encoding="utf-8")
    write_lines("mine.jsonl", [{"id": key, "prediction_text": text} for key, text in mine.items()])
    for name in ("predictions.json", "mine.jsonl"):
        measured = scores(zoo, name)
        assert measured["exact_match"] == pytest.approx(sum(exact) / 3, abs=1e-12)
        assert measured["answer_f1"] == pytest.approx(sum(f1) / 3, abs=1e-12)
        assert measured["no_answer_accuracy"] == 1.0
        assert "best_exact_match" not in measured
    assert "best_answer_f1 is left out: it needs scores" in zoo("evaluate", "mine.jsonl", "--as", "mine.yaml").err


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"q1": "cat", "q2": ""}, "there is no answer to the question 'q3'; write \"\" for no answer"),
        ({"q1": "cat", "q2": "", "q3": "", "q4": ""}, "'q4' is not the id of a question of the split"),
        ({"q1": 3, "q2": "", "q3": ""}, "'q1': 3 is not an answer; write one object"),
        ({"prediction": "cat"}, "no column 'id' with the ids of the questions"),
        ({"id": "q1", "prediction": None}, 'row 0: None is not a text; write "" for no answer'),
    ],
)
def test_answers_that_do_not_fit_are_an_error(
    zoo: Zoo, asked: dict[str, list[str]], written: dict[str, Any], message: str
) -> None:
    write_lines("mine.json", [written])
    completed = zoo("evaluate", "mine.json", "--as", "mine.yaml")
    assert (completed.code, f"mine.json: {message}" in completed.err) == (2, True), completed.err
