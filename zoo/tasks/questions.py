"""Questions about texts: rows of a table, or a file in SQuAD's own format."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import UsageError
from zoo.tasks.labels import shown
from zoo.tasks.tables import Table, is_unicode
from zoo.text_tables import counted


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question about a text, and the answers that people gave."""

    id: str
    text: str
    context: str
    answers: tuple[str, ...]
    """Parts of the context; none if the question cannot be answered from it."""
    starts: tuple[int, ...]
    """The position of the first character of each answer in the context."""

    def misplaced(self) -> Iterator[str]:
        """Yield the answers that are not at their place in the context."""
        for text, start in zip(self.answers, self.starts, strict=True):
            if not self.context.startswith(text, start):
                yield text

    def row(self) -> bytes:
        """Return what identifies the question with its context and answers."""
        return json.dumps([self.id, self.text, self.context, self.answers, self.starts]).encode()


def read_questions(table: Table) -> list[Question]:
    """Return the questions of a table with the columns id, question, context and answers, or of a file of SQuAD.

    Each row of `answers` is `{"text": [...], "answer_start": [...]}`, as on the Hub. A file of SQuAD is one object with
    the key `data`. Questions without an id are numbered from 0.

    Raises:
        UsageError: A column is missing, or an answer does not start in the context; with the row.
    """
    if "data" in table.columns and "question" not in table.columns:
        return [_question(*each) for each in enumerate(_of_articles(table.column("data")))]
    ids = table.columns.get("id") or [None] * len(table.column("question"))
    names = ("question", "context", "answers")
    rows = zip(ids, *(table.column(name) for name in names), strict=True)
    return [_question(row, dict(zip(("id", *names), values, strict=True))) for row, values in enumerate(rows)]


def question_notes(questions: Sequence[Question]) -> tuple[str, ...]:
    """Return what a user should know about questions: answers that are not at their place, and repeated ids."""
    notes, misplaced = [], [each for question in questions for each in question.misplaced()]
    if misplaced:
        verb = "is" if len(misplaced) == 1 else "are"
        notes.append(
            f"{counted(len(misplaced), 'answer')} {verb} not at the stated place in the context, such as"
            f" {shown(misplaced[0])}; a training uses the place, and scores use the text"
        )
    if repeated := len(questions) - len({question.id for question in questions}):
        notes.append(f"{counted(repeated, 'question')} with the id of an earlier question; each one counts")
    return tuple(notes)


def context_groups(questions: Sequence[Question]) -> list[int]:
    """Return for each question the number of its context, from 0 in the order of the data."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(question.context, len(numbers)) for question in questions]


def _of_articles(data: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Yield the questions of all paragraphs of all articles as rows of a table."""
    try:
        for article in (article for articles in data for article in articles):
            for paragraph in article["paragraphs"]:
                for item in paragraph["qas"]:
                    answers = [] if item.get("is_impossible") else item["answers"]
                    listed = {
                        "text": [answer["text"] for answer in answers],
                        "answer_start": [answer["answer_start"] for answer in answers],
                    }
                    yield {**item, "context": paragraph["context"], "answers": listed}
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"this is no file of SQuAD: {type(error).__name__}: {error}") from None


def _question(row: int, fields: Mapping[str, Any]) -> Question:
    question: Any
    context: Any
    question, context, answers, number = map(fields.get, ("question", "context", "answers", "id"))
    for name, value in (("question", question), ("context", context)):
        if not isinstance(value, str) or not is_unicode(value):
            raise UsageError(f"column {name!r}, row {row}: {shown(value)} is not a text")
    texts, starts = _answers(row, answers)
    for text, start in zip(texts, starts, strict=True):
        if not 0 <= start <= len(context):
            raise UsageError(
                f"column 'answers', row {row}: {shown(text)} starts at character {start}, but the context has"
                f" {len(context)}"
            )
    name = str(row if number is None else number)
    return Question(id=name, text=question, context=context, answers=texts, starts=starts)


def _answers(row: int, answers: Any) -> tuple[tuple[str, ...], tuple[int, ...]]:
    texts, starts = (answers.get("text"), answers.get("answer_start")) if isinstance(answers, Mapping) else (None, None)
    is_right = (
        isinstance(texts, list)
        and isinstance(starts, list)
        and len(texts) == len(starts)
        and all(isinstance(text, str) and is_unicode(text) for text in texts)
        and all(isinstance(start, int) and not isinstance(start, bool) for start in starts)
    )
    if not is_right:
        example = '{"text": ["an answer"], "answer_start": [17]}'
        raise UsageError(f"column 'answers', row {row}: {shown(answers)} is not of the form {example}")
    return tuple(texts), tuple(starts)  # type: ignore[arg-type]
