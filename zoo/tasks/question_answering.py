"""Extractive question answering: the answer to a question is a part of a text, or, in SQuAD 2.0, there is none."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from zoo.errors import UsageError, errors_about
from zoo.fetch.sources import Source
from zoo.tasks.answer_readout import AnswerReadout
from zoo.tasks.base import Task
from zoo.tasks.labelled_rows import LabelledRows
from zoo.tasks.question_features import QuestionSplit
from zoo.tasks.questions import read_questions


class AnsweredQuestions(QuestionSplit):
    """A split of questions that should all have an answer, as in SQuAD 1.1. A note counts those that have none."""

    @property
    def notes(self) -> tuple[str, ...]:
        count = sum(not question.answers for question in self.questions)
        advice = "write version_2: true to score them as SQuAD 2.0 does"
        note = f"{count:,} of {len(self.questions):,} questions have no answer; {advice}"
        return (*super().notes, note) if count else super().notes


def question_answering(
    *,
    data: Source | Mapping[str, Source],
    tokenizer: Any,
    version_2: bool = False,
    config: str | None = None,
    splits: str | Sequence[str] = ("train", "validation"),
    scored: str | Sequence[str] | None = None,
    max_length: int = 384,
    stride: int = 128,
    n_best: int = 20,
    max_answer_length: int = 30,
    null_threshold: float = 0.0,
) -> Task:
    """Return a task over questions and texts that contain their answers.

    The metrics are `exact_match` and `answer_f1` of SQuAD 1.1 (Rajpurkar et al., EMNLP 2016) or 2.0 (Rajpurkar et al.,
    ACL 2018). A text that does not fit into `max_length` tokens is read in overlapping parts.

    Args:
        data: A data set of the Hub with the columns `id`, `question`, `context` and `answers`, or one file for each
            split: `{train: "file:train-v2.0.json", ...}`, in SQuAD's format or with these columns.
        tokenizer: A fast tokenizer of transformers.
        version_2: Whether questions may have no answer, as in SQuAD 2.0.
        config: The configuration of a data set of the Hub.
        splits: The splits of a data set of the Hub to offer. Files define their own.
        scored: The splits that are evaluated. Default: all but `train`, validation splits first, then by name.
        max_length: The number of tokens of a question with a part of its text.
        stride: The number of tokens that two parts of one text share.
        n_best: The number of likely first and last tokens of an answer that are combined.
        max_answer_length: The most tokens of an answer.
        null_threshold: With `version_2`, no answer is chosen if the score of "no answer" is larger than that of the
            best answer by more than this. A claim holds for one threshold.

    Raises:
        UsageError: An argument is wrong. `Task.load` raises it, with the row, for an answer that is wrong.
    """
    if not 0 <= stride < max_length:
        raise UsageError(f"stride must be at least 0 and less than max_length {max_length}, not {stride}").about(
            "stride"
        )
    _check_choice(n_best, max_answer_length, null_threshold, version_2)
    rows = LabelledRows(data=data, label="answers", config=config, splits=splits, scored=scored)

    def load(split: str) -> QuestionSplit:
        with errors_about("data"):
            questions = read_questions(rows.table(split))
        kind = QuestionSplit if version_2 else AnsweredQuestions
        return kind(questions, tokenizer=tokenizer, max_length=max_length, stride=stride)

    metrics = ("exact_match", "answer_f1")
    return Task(
        name="question_answering",
        splits={split: partial(load, split) for split in rows.names},
        scored=rows.scored_splits,
        metrics=(*metrics, *OF_VERSION_2) if version_2 else metrics,
        kind="structured",
        hub_type="question-answering",
        readout=AnswerReadout(
            null_token=getattr(tokenizer, "cls_token_id", None), n_best=n_best, max_answer_length=max_answer_length,
            version_2=version_2, null_threshold=null_threshold,
        ),
        sources=rows.needs,
    )  # fmt: skip


def _check_choice(n_best: int, max_answer_length: int, null_threshold: float, version_2: bool) -> None:
    """Raise UsageError for an argument by which no answer can be chosen."""
    for argument, value in (("n_best", n_best), ("max_answer_length", max_answer_length)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{argument} must be at least 1, not {value!r}").about(argument)
    if not math.isfinite(null_threshold):
        raise UsageError(f"null_threshold must be a finite number, not {null_threshold}").about("null_threshold")
    if null_threshold and not version_2:
        advice = "write version_2: true if questions may have no answer, or leave it out"
        raise UsageError(f"null_threshold is only used with version_2; {advice}").about("null_threshold")


OF_VERSION_2 = (
    "has_answer_exact_match", "has_answer_f1", "no_answer_accuracy", "best_exact_match", "best_answer_f1",
)  # fmt: skip
"""The metrics that only SQuAD 2.0 has."""
