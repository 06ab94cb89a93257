"""Metrics of question answering: functions of the array `answers`, `(N, 9)`, one row a question.

`zoo.tasks.answer_scores.COLUMNS` names its columns. Scores are fractions. Rajpurkar et al., SQuAD, EMNLP 2016, and
Know What You Don't Know, ACL 2018.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from zoo.tasks.answer_scores import COLUMNS

Array = NDArray[np.generic]
Floats = NDArray[np.float64]


def exact_match(answers: Array) -> float:
    """The share of questions whose answer is one that people gave, but for case, articles and punctuation."""
    return _share(answers, "exact")


def answer_f1(answers: Array) -> float:
    """The mean F1 of the words of the answers, each with the person's answer that fits best."""
    return _share(answers, "f1")


def has_answer_exact_match(answers: Array) -> float:
    """The exact match of questions that have an answer; NaN without such a question."""
    return _share(answers, "exact", has_answer=True)


def has_answer_f1(answers: Array) -> float:
    """The F1 of questions that have an answer; NaN without such a question."""
    return _share(answers, "f1", has_answer=True)


def no_answer_accuracy(answers: Array) -> float:
    """The share of questions without an answer for which none was chosen; NaN without such a question."""
    return _share(answers, "exact", has_answer=False)


def best_exact_match(answers: Array) -> float:
    """The exact match with the null threshold that is best for these same questions, `best_exact` of SQuAD 2.0."""
    return float(scores_at_best_threshold(answers, "exact_of_span").mean())


def best_answer_f1(answers: Array) -> float:
    """The F1 with the null threshold that is best for these same questions, `best_f1` of SQuAD 2.0."""
    return float(scores_at_best_threshold(answers, "f1_of_span").mean())


MEANS: Mapping[Callable[[Array], float], tuple[str, bool | None]] = {
    exact_match: ("exact", None), answer_f1: ("f1", None), has_answer_exact_match: ("exact", True),
    has_answer_f1: ("f1", True), no_answer_accuracy: ("exact", False),
}  # fmt: skip
"""A metric that is a mean -> its column, and whether only questions with or without an answer count."""
BEST: Mapping[Callable[[Array], float], str] = {best_exact_match: "exact_of_span", best_answer_f1: "f1_of_span"}
"""A metric with the best null threshold -> its column."""


def scores_and_weights(metric: Callable[[Array], float], answers: Array) -> Floats:
    """Return the score of each question times its weight, and its weight, 0 or 1: `(N, 2)`.

    The metric is the sum of the scores divided by that of the weights. A best threshold is that of all questions.
    """
    if metric in BEST:
        scores = scores_at_best_threshold(answers, BEST[metric])
        return np.stack([scores, np.ones(len(scores))], axis=1)
    column, has_answer = MEANS[metric]
    weights = _of_kind(answers, has_answer).astype(np.float64)
    return np.stack([column_of(answers, column) * weights, weights], axis=1)


def scores_at_best_threshold(table: Array, column: str) -> Floats:
    """Return the score of each question with the null threshold that gives the largest mean, `(N,)`.

    The official script sorts the questions by the odds of "no answer" and takes the best place to stop, so it may stop
    between questions of equal odds.
    """
    has_answer, is_span = column_of(table, "has_answer") == 1, column_of(table, "is_span") == 1
    with_span = np.where(has_answer, column_of(table, column), ~is_span)
    without = (~has_answer).astype(np.float64)
    order = np.argsort(column_of(table, "null_odds"), kind="stable")
    gained = np.concatenate([[0.0], np.cumsum((with_span - without)[order])])
    scores: Floats = without.copy()
    answered = order[: int(gained.argmax())]
    scores[answered] = with_span[answered]
    return scores


def column_of(table: Array, name: str) -> Floats:
    """Return a column by name, `(N,)`."""
    values: Floats = table[:, COLUMNS.index(name)].astype(np.float64)
    return values


def one_answer(metric: Callable[[Array], float], answers: Array) -> float:
    """Return the largest change of a metric that another answer to one question can cause."""
    if metric in MEANS or metric in BEST:
        weights = scores_and_weights(metric, answers)[:, 1]
        return float(1 / max(1.0, weights.sum()))
    return 1 / len(answers)  # a user's metric


def _share(answers: Array, column: str, *, has_answer: bool | None = None) -> float:
    values = column_of(answers, column)[_of_kind(answers, has_answer)]
    return float(values.mean()) if len(values) else float("nan")


def _of_kind(answers: Array, has_answer: bool | None) -> NDArray[np.bool_]:
    """Return which questions have an answer, or have none; all of them for None."""
    given = column_of(answers, "has_answer") == 1
    return np.ones(len(given), dtype=bool) if has_answer is None else given == has_answer
