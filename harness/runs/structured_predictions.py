"""Read files of predictions for tasks that predict the tags of words, or answers to questions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.answer_metrics import BEST
from harness.metrics import Array, Metric
from harness.runs.predictions_file import ARRAYS, COLUMNS, prediction_column, row_order
from zoo.errors import UsageError
from zoo.tasks.answer_readout import AnswerReadout
from zoo.tasks.answer_scores import answer_scores
from zoo.tasks.base import Split, Task
from zoo.tasks.labels import RowError, shown, to_class_numbers, to_text
from zoo.tasks.question_features import NO_CHARACTER, QuestionSplit
from zoo.tasks.readout import Arrays
from zoo.tasks.tables import Table, read_file
from zoo.tasks.tagged_words import TaggedWords
from zoo.tasks.word_tags import UNREAD, WordTags
from zoo.text_tables import counted

ANSWER_COLUMNS = (*COLUMNS, "prediction_text")
"""The last one is that of the metric `squad` of the library evaluate."""
UNKNOWN = np.nan


def structured_arrays(path: Path, task: Task, split: Split) -> Arrays:
    """Return the arrays that the metrics read, from a file with the tags of each sentence or the answers to questions.

    Args:
        path: A table.
        task: The task. Its labels are tags of words or answers to questions.
        split: The split that the predictions are for.

    Raises:
        UsageError: The task is another one, or the predictions do not fit the split; with the row or the id.
        SourceError: The file cannot be read.
    """
    readout = task.readout
    if not isinstance(readout, WordTags | AnswerReadout):
        raise UsageError(f"{path}: predictions of {task.name} cannot be read from a file; pass weights instead")
    if path.suffix.lower() == ARRAYS:
        raise UsageError(f"{path}: predictions of {task.name} are read from tables; pass JSON lines, for example")
    table = read_file(path)
    try:
        if isinstance(readout, WordTags):
            assert isinstance(split, TaggedWords)
            return readout.count(_sentences(table, split), split.classes)
        assert isinstance(split, QuestionSplit)
        return {"answers": _scored_answers(_answers(table), split, version_2=readout.version_2)}
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def computable(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Return the metrics that need no score of "no answer", which a file of answers does not have."""
    return {name: metric for name, metric in metrics.items() if metric not in BEST}


def _sentences(table: Table, split: TaggedWords) -> list[tuple[Array, Array]]:
    """Return the true and the predicted tag of each word of each sentence; `UNREAD` for a word without one."""
    listed = [_listed(*each) for each in enumerate(table.labels(prediction_column(table)))]
    order = row_order(table, len(split.texts))
    for position, words in zip(order, split.texts, strict=True):
        if len(listed[position]) != len(words):
            found = f"{counted(len(listed[position]), 'tag')} for {counted(len(words), 'word')}"
            raise RowError(position, f"{found}; write null for a word without a prediction")
    predicted = _tag_numbers(listed, split.classes)
    labels = split.labels.numpy()
    return [(true[: len(predicted[row])], predicted[row]) for true, row in zip(labels, order, strict=True)]


def _listed(row: int, value: Any) -> list[Any]:
    """Return the tags of a sentence: a list, or a text with spaces between them."""
    if isinstance(value, str):
        return value.split()
    if not isinstance(value, list):
        raise RowError(row, f'{shown(value)} is not a list of tags, such as ["B-PER", "O"]')
    return value


def _tag_numbers(listed: Sequence[Sequence[Any]], classes: Sequence[str]) -> list[Array]:
    """Return the numbers of the tags of each sentence."""
    pairs = [(row, tag) for row, tags in enumerate(listed) for tag in tags if tag is not None]
    try:
        numbers = iter(to_class_numbers([tag for _, tag in pairs], classes))
    except RowError as error:
        raise RowError(pairs[error.row][0], error.problem) from None
    return [np.array([UNREAD if tag is None else next(numbers) for tag in tags], np.int64) for tags in listed]


def _answers(table: Table) -> dict[str, str]:
    """Return the answers by the ids of their questions, from a table or from one object {id: answer}."""
    name = next((name for name in ANSWER_COLUMNS if name in table.columns), None)
    if name is None:
        return _of_object(table)
    if "id" not in table.columns:
        raise UsageError("no column 'id' with the ids of the questions")
    answers: dict[str, str] = {}
    for row, (key, answer) in enumerate(zip(table.columns["id"], table.column(name), strict=True)):
        if not isinstance(answer, str):
            raise RowError(row, f'{shown(answer)} is not a text; write "" for no answer')
        if (text := to_text(key) or "") in answers:
            raise RowError(row, f"the id {shown(key)} occurs twice")
        answers[text] = answer
    return answers


def _of_object(table: Table) -> dict[str, str]:
    for key, values in table.columns.items():
        if len(values) != 1 or not isinstance(values[0], str):
            form = 'one object {"ID": "ANSWER", ...}, or rows with the columns id and prediction'
            raise UsageError(f"{shown(key)}: {shown(values[0])} is not an answer; write {form}")
    return {key: values[0] for key, values in table.columns.items()}


def _scored_answers(answers: Mapping[str, str], split: QuestionSplit, *, version_2: bool) -> Array:
    """Return the array `answers` of `AnswerReadout`; the score of "no answer" is not known."""
    ids = [question.id for question in split.questions]
    if (missing := next((each for each in ids if each not in answers), None)) is not None:
        raise UsageError(f'there is no answer to the question {missing!r}; write "" for no answer')
    if (extra := next(iter(answers.keys() - {*ids}), None)) is not None:
        raise UsageError(f"{extra!r} is not the id of a question of the split")
    rows = []
    for question in split.questions:
        text = answers[question.id]
        scores = answer_scores(text, question.answers, version_2=version_2)
        place = (NO_CHARACTER, NO_CHARACTER)
        rows.append([*scores, float(bool(question.answers)), UNKNOWN, *scores, float(bool(text)), *map(float, place)])
    return np.array(rows, dtype=np.float64)
