"""Question answering: its metrics, its features, and answers as the example of transformers chooses them."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForQuestionAnswering, BertTokenizer

from harness import answer_metrics
from harness.evaluation.holdout import with_holdout
from harness.losses.cross_entropy import CrossEntropy
from harness.metrics import measure
from harness.models.outputs import run_model
from tests.helpers.glue_hub import TOKENIZER, VOCABULARY, WORDS, write_files
from tests.helpers.squad_reference import chosen_answers, made_questions, official_f1, official_words
from zoo.errors import UsageError
from zoo.fetch.sources import Source, Sources
from zoo.recipes.schema import Holdout
from zoo.tasks import question_answering
from zoo.tasks.answer_readout import AnswerReadout
from zoo.tasks.answer_scores import COLUMNS, answer_scores
from zoo.tasks.base import Task
from zoo.tasks.question_features import QuestionSplit, make_features
from zoo.tasks.questions import Question, read_questions
from zoo.tasks.tables import read_file

pytestmark = pytest.mark.filterwarnings("error")
PIECES = ["the", "a", "An", "cat", "Cat's", "dog,", "dog", "!", "", "ran-off", "U.S.", "  ", "1,000", "é"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = write_files(tmp_path_factory.mktemp("tokenizer") / "files", TOKENIZER)
    return BertTokenizer(vocab=str(folder / "vocab.txt"), do_lower_case=True)


@pytest.mark.parametrize("version_2", [False, True])
def test_scores_of_answers_are_those_of_the_official_script(version_2: bool) -> None:
    random = Random(1)  # noqa: S311
    for _ in range(200):
        answer, *truths = (" ".join(random.choices(PIECES, k=random.randint(0, 4))) for _ in range(4))
        truths = truths[: random.randint(0, 3)]
        golden = truths
        if version_2:
            golden = [truth for truth in truths if official_words(truth)] or [""]
        exact = max((float(official_words(answer) == official_words(truth)) for truth in golden), default=0.0)
        f1 = max((official_f1(answer, truth, version_2=version_2) for truth in golden), default=0.0)
        assert answer_scores(answer, truths, version_2=version_2) == pytest.approx((exact, f1), abs=1e-12)


@pytest.mark.parametrize("version_2", [False, True])
def test_answers_are_those_of_the_example_of_transformers(tokenizer: Any, version_2: bool) -> None:
    questions = made_questions(100, seed=3)
    split = QuestionSplit(questions, tokenizer=tokenizer, max_length=32, stride=8)
    assert len(split) > len(questions)
    logits = torch.randn(len(split), max(split.lengths), 2, generator=torch.Generator().manual_seed(0))
    readout = AnswerReadout(
        null_token=tokenizer.cls_token_id, n_best=5, max_answer_length=6, version_2=version_2, null_threshold=0.5
    )
    rows = readout.read(logits, split.batch(range(len(split)))).numpy()
    answers = readout.arrays(rows, split)["answers"]
    expected = chosen_answers(logits.double().numpy(), split, version_2=version_2, threshold=0.5, n_best=5, longest=6)
    for row, question, (text, odds) in zip(answers, questions, expected, strict=True):
        values = dict(zip(COLUMNS, row, strict=True))
        assert values["null_odds"] == pytest.approx(odds, abs=1e-5)
        assert (values["exact"], values["f1"]) == answer_scores(text, question.answers, version_2=version_2)
        place = slice(int(values["start"]), int(values["end"]))
        assert (question.context[place] if values["start"] >= 0 else "") == text


def test_the_best_threshold_is_that_of_the_official_script() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        n = int(random.integers(1, 12))
        answers = np.zeros((n, len(COLUMNS)))
        has_answer = random.random(n) < 0.5
        for name, values in {
            "has_answer": has_answer, "null_odds": random.integers(-3, 3, n), "is_span": random.random(n) < 0.8,
            "f1_of_span": np.where(has_answer, random.random(n), 0),
        }.items():  # fmt: skip
            answers[:, COLUMNS.index(name)] = values
        current = best = float((~has_answer).sum())
        for row in sorted(range(n), key=lambda row: answers[row, COLUMNS.index("null_odds")]):
            values = dict(zip(COLUMNS, answers[row], strict=True))
            current += values["f1_of_span"] if has_answer[row] else -values["is_span"]
            best = max(best, current)
        assert answer_metrics.best_answer_f1(answers) == pytest.approx(best / n, abs=1e-12)


def test_metrics_of_questions_with_and_without_answers_make_up_the_whole() -> None:
    answers = np.zeros((4, len(COLUMNS)))
    answers[:, COLUMNS.index("has_answer")] = [1, 1, 1, 0]
    answers[:, COLUMNS.index("exact")] = [1, 0, 0, 1]
    assert answer_metrics.exact_match(answers) == 0.5
    assert answer_metrics.has_answer_exact_match(answers) == pytest.approx(1 / 3)
    assert answer_metrics.no_answer_accuracy(answers) == 1.0
    assert measure(answer_metrics.exact_match, {"answers": answers})[1] == 0.25
    assert measure(answer_metrics.has_answer_f1, {"answers": answers})[1] == pytest.approx(1 / 3)
    assert np.isnan(answer_metrics.no_answer_accuracy(answers[:3]))


def test_positions_of_answers_are_inside_their_features(tokenizer: Any) -> None:
    split = QuestionSplit(made_questions(60, seed=5), tokenizer=tokenizer, max_length=32, stride=8)
    found = 0
    for row, (first, last) in enumerate(split.labels.tolist()):
        question = split.questions[int(split.features.question_of[row])]
        if first == 0:
            continue
        begins, finishes = split.features.characters(row)
        start, end = question.starts[0], question.starts[0] + len(question.answers[0])
        assert int(begins[first]) <= start
        assert int(finishes[last]) >= end
        found += 1
    assert found > 10


def test_each_part_of_a_long_text_is_read_and_shares_tokens_with_the_next(tokenizer: Any) -> None:
    context = " ".join(WORDS[number % len(WORDS)] for number in range(100))
    question = Question(id="q", text=WORDS[0], context=context, answers=(), starts=())
    features = make_features([question], tokenizer, 32, 8)
    covered: set[int] = set()
    parts = []
    for row in range(len(features.question_of)):
        begins, finishes = features.characters(row)
        inside = [place for place in begins.tolist() if place >= 0]
        parts.append(inside)
        covered |= {
            place for begin, end in zip(begins.tolist(), finishes.tolist(), strict=True) for place in range(begin, end)
        }
    assert {place for place, character in enumerate(context) if character != " "} <= covered
    assert all(len({*left} & {*right}) == 8 for left, right in pairwise(parts))


def test_the_loss_is_that_of_transformers(tokenizer: Any) -> None:
    torch.manual_seed(0)
    model = BertForQuestionAnswering(
        BertConfig(vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    ).eval()
    split = QuestionSplit(made_questions(20), tokenizer=tokenizer, max_length=32, stride=8)
    batch = split.batch(range(8))
    outputs = run_model(model, batch.inputs)
    ours = CrossEntropy()(outputs, None, batch.labels)
    theirs = model(**batch.inputs, start_positions=batch.labels[:, 0], end_positions=batch.labels[:, 1]).loss  # type: ignore[arg-type]
    assert torch.allclose(ours, theirs, rtol=1e-6, atol=0)


def test_a_file_of_squad_has_the_same_questions_as_a_table(tmp_path: Path) -> None:
    questions = made_questions(5)
    squad = {
        "version": "v2.0",
        "data": [
            {
                "title": "t",
                "paragraphs": [
                    {
                        "context": question.context,
                        "qas": [
                            {
                                "id": question.id, "question": question.text, "is_impossible": not question.answers,
                                "answers": [
                                    {"text": text, "answer_start": start}
                                    for text, start in zip(question.answers, question.starts, strict=True)
                                ],
                            }
                        ],
                    }
                ],
            }
            for question in questions
        ],
    }  # fmt: skip
    rows = [
        {
            "id": question.id, "question": question.text, "context": question.context,
            "answers": {"text": list(question.answers), "answer_start": list(question.starts)},
        }
        for question in questions
    ]  # fmt: skip
    (tmp_path / "dev.json").write_text(json.dumps(squad))
    (tmp_path / "indented.json").write_text(json.dumps(squad, indent=1), newline="\r\n")
    (tmp_path / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("dev.json", "indented.json", "dev.jsonl"):
        assert read_questions(read_file(tmp_path / name)) == questions


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (["Paris"], r"column 'answers', row 1: .*Paris.* is not of the form"),
        ({"text": ["x"], "answer_start": []}, "column 'answers', row 1"),
        ({"text": ["x"], "answer_start": [99]}, "'x' starts at character 99, but the context has 1"),
        ({"text": ["c"], "answer_start": [False]}, "column 'answers', row 1"),
        ({"text": ["\ud83d"], "answer_start": [0]}, "column 'answers', row 1"),
        (None, "column 'answers', row 1"),
    ],
)
def test_a_wrong_answer_is_reported_with_its_row(tmp_path: Path, answers: Any, message: str) -> None:
    right = {"id": "a", "question": "q", "context": "c", "answers": {"text": [], "answer_start": []}}
    path = tmp_path / "dev.jsonl"
    path.write_text(json.dumps(right) + "\n" + json.dumps({**right, "answers": answers}) + "\n")
    with pytest.raises(UsageError, match=message):
        read_questions(read_file(path))


@pytest.mark.parametrize("version_2", [False, True])
def test_questions_without_an_answer_are_noted_unless_they_are_expected(
    tokenizer: Any, tmp_path: Path, version_2: bool
) -> None:
    row = {"question": "the", "context": "a", "answers": {"text": ["a"], "answer_start": [0]}}
    rows = [{**row, "id": "1"}, {**row, "id": "2", "answers": {"text": [], "answer_start": []}}]
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    task = question_answering(data={"dev": Source(Sources(), f"file:{path}")}, tokenizer=tokenizer, version_2=version_2)
    loaded = task.load("dev")
    assert isinstance(loaded, QuestionSplit)
    expected = "questions have no answer; write version_2: true to score them as SQuAD 2.0 does"
    for part, count in ((loaded, "1 of 2"), (loaded.of_examples([1]), "1 of 1")):
        assert (f"{count} {expected}" in part.notes) == (not version_2)


def test_a_question_that_leaves_no_room_for_its_text_is_reported(tokenizer: Any) -> None:
    question = Question(id="q", text=" ".join(WORDS[:1] * 40), context=WORDS[0], answers=(), starts=())
    for max_length, stride in ((32, 8), (48, 8)):  # no room for the text at all; none for a part of it
        with pytest.raises(UsageError, match="the question 'q' has 40 tokens, which is too long for max_length"):
            QuestionSplit(
                [replace(question, context="the " * 9)], tokenizer=tokenizer, max_length=max_length, stride=stride
            )
    assert len(QuestionSplit([question], tokenizer=tokenizer, max_length=48, stride=8)) == 1


def test_rows_that_are_not_finite_mark_their_question(tokenizer: Any) -> None:
    split = QuestionSplit(made_questions(10, words=90), tokenizer=tokenizer, max_length=32, stride=8)
    readout = AnswerReadout(null_token=0, n_best=3, max_answer_length=5, version_2=True, null_threshold=0.0)
    rows = np.zeros(len(split), dtype=bool)
    rows[-1] = True
    assert readout.examples_of(rows, split).tolist() == [False] * 9 + [True]


def test_a_split_counts_questions_and_not_their_parts(tokenizer: Any) -> None:
    split = QuestionSplit(made_questions(10, words=90), tokenizer=tokenizer, max_length=32, stride=8)
    readout = AnswerReadout(null_token=0, n_best=3, max_answer_length=5, version_2=True, null_threshold=0.0)
    task = Task(
        name="qa",
        splits={"validation": lambda: split},
        scored=("validation",),
        metrics=("exact_match",),
        kind="structured",
        readout=readout,
    )
    assert task.content("validation")["rows"] == 10 < len(split)
    assert len(split.of_examples([1, 4]).questions) == 2


def test_questions_without_an_id_are_numbered_and_texts_that_are_no_unicode_are_refused(tmp_path: Path) -> None:
    item = {"question": "q", "answers": [{"text": "c", "answer_start": 0}]}
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "c", "qas": [item, item]}]}]}))
    assert [question.id for question in read_questions(read_file(path))] == ["0", "1"]
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "\ud83d", "qas": [item]}]}]}))
    with pytest.raises(UsageError, match=r"column 'context', row 0: .* is not a text"):
        read_questions(read_file(path))


def test_misplaced_answers_and_repeated_ids_are_noted(tokenizer: Any) -> None:
    right = Question(id="a", text="q", context="the old cat", answers=("old",), starts=(4,))
    wrong = replace(right, starts=(5,))
    split = QuestionSplit([right, wrong], tokenizer=tokenizer, max_length=32, stride=8)
    assert split.notes[0].startswith("1 answer is not at the stated place in the context, such as 'old'; a training")
    assert split.notes[1] == "1 question with the id of an earlier question; each one counts"
    assert QuestionSplit([right], tokenizer=tokenizer, max_length=32, stride=8).notes == ()


def test_a_hold_out_takes_all_questions_about_a_text(tokenizer: Any) -> None:
    questions = [
        replace(question, context=f"{WORDS[0]} {number // 4}", answers=(), starts=())
        for number, question in enumerate(made_questions(40))
    ]
    whole = QuestionSplit(questions, tokenizer=tokenizer, max_length=32, stride=8)
    readout = AnswerReadout(null_token=0, n_best=3, max_answer_length=5, version_2=True, null_threshold=0.0)
    task = Task(name="qa", splits={"train": lambda: whole}, scored=(), metrics=(), kind="structured", readout=readout)
    held = with_holdout(task, Holdout(of="train", share=0.3, seed=1))
    contexts = [{question.context for question in held.load(name).questions} for name in ("train", "validation")]  # type: ignore[attr-defined]
    assert [len(of_split) for of_split in contexts] == [7, 3]
    assert not contexts[0] & contexts[1]
    assert held.content("validation")["rows"] == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_best": 0}, "n_best must be at least 1, not 0"),
        ({"max_answer_length": -1}, "max_answer_length must be at least 1, not -1"),
        ({"version_2": True, "null_threshold": float("nan")}, "null_threshold must be a finite number, not nan"),
        ({"null_threshold": 1.0}, "null_threshold is only used with version_2; write version_2: true"),
    ],
)
def test_arguments_by_which_no_answer_can_be_chosen_are_refused(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    data = {"validation": Source(Sources(), f"file:{tmp_path / 'a.json'}")}
    with pytest.raises(UsageError, match=message):
        question_answering(data=data, tokenizer=None, **arguments)
