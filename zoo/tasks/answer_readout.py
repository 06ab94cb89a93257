"""From the logits of features to the answers to questions, as the question answering example of transformers does it.

Every pair of a likely first and a likely last token of a feature is a candidate, with the sum of its two logits as its
score. The best candidate of all features of a question is its answer. For SQuAD 2.0 the score of "no answer" is the sum
of the two logits of the CLS token, the smallest one over the features (Devlin et al., BERT, NAACL 2019, section 4.3).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.errors import OutputsError
from zoo.tasks.answer_scores import COLUMNS, answer_scores
from zoo.tasks.base import Batch, Split, Task
from zoo.tasks.question_features import NO_CHARACTER, Features, QuestionSplit
from zoo.tasks.questions import Question
from zoo.tasks.readout import Arrays

Floats = NDArray[np.float64]
NO_POSITION = -1


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a context, by its characters, and the sum of the logits of its ends."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, kw_only=True)
class AnswerReadout:
    """Chooses answers. The arguments are those of `question_answering`.

    The array `answers` is `(N, 9)`, one row a question; `zoo.tasks.answer_scores.COLUMNS` names its columns.
    """

    scored_by: ClassVar = (answer_scores, Features)
    """The code that a record hashes along with that of the metrics."""
    null_token: int | None
    """The id of the token whose logits stand for "no answer"; None for the first token of each row."""
    n_best: int
    max_answer_length: int
    version_2: bool
    null_threshold: float

    def check(self, task: Task, logits: Tensor, labels: Tensor) -> None:
        """Raise OutputsError unless the logits are `(B, L, 2)`."""
        if logits.dim() != 3 or logits.shape[2] != 2:
            raise OutputsError(
                f"the model returns logits {tuple(logits.shape)}, but {task.name} needs two for each token, of the"
                " start and the end of an answer; use the model question_answerer"
            )

    def read(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return for each feature the `n_best` largest logits of starts and their positions, the same of ends, and the
        score of "no answer": `(B, 4 n_best + 1)`. Missing positions are -1.
        """
        assert isinstance(batch.inputs, dict)
        is_token = batch.inputs["attention_mask"].bool()
        ids, rows = batch.inputs["input_ids"], torch.arange(len(logits), device=logits.device)
        null = torch.zeros_like(rows) if self.null_token is None else (ids == self.null_token).int().argmax(dim=1)
        parts = [part for side in (0, 1) for part in self._largest(logits[:, :, side], is_token)]
        return torch.cat([*parts, logits[rows, null].sum(dim=1, keepdim=True)], dim=1)

    def _largest(self, logits: Tensor, is_token: Tensor) -> tuple[Tensor, Tensor]:
        """Return the largest logits `(B, n_best)` and their positions; equal ones in the order of their positions."""
        values, positions = logits.masked_fill(~is_token, -torch.inf).sort(dim=1, descending=True, stable=True)
        values, positions = values[:, : self.n_best], positions[:, : self.n_best].to(logits.dtype)
        missing = (0, self.n_best - values.shape[1])
        values = torch.nn.functional.pad(values, missing, value=-torch.inf)
        positions = torch.nn.functional.pad(positions, missing, value=NO_POSITION)
        return values, positions.where(values != -torch.inf, NO_POSITION)

    def arrays(self, rows: NDArray[Any], split: Split) -> Arrays:
        """Return the array `answers`."""
        assert isinstance(split, QuestionSplit)
        bounds = np.searchsorted(split.features.question_of.numpy(), np.arange(split.example_count + 1))
        values = rows.astype(np.float64)
        answers = [
            self._answer(question, values[first:last], range(first, last), split.features)
            for question, first, last in zip(split.questions, bounds[:-1], bounds[1:], strict=True)
        ]
        return {"answers": np.array(answers, dtype=np.float64)}

    def examples_of(self, rows: NDArray[np.bool_], split: Split) -> NDArray[np.bool_]:
        """Return the questions that have a marked feature."""
        assert isinstance(split, QuestionSplit)
        marked = np.zeros(split.example_count, dtype=bool)
        np.logical_or.at(marked, split.features.question_of.numpy(), rows)
        return marked

    def example(self, outputs: int, split: Split) -> Arrays:
        """Return the answers to three made-up questions, of which the last has no answer."""
        values = np.zeros((3, len(COLUMNS)))
        values[:2, [COLUMNS.index(name) for name in ("exact", "f1", "has_answer", "f1_of_span", "is_span")]] = 1.0
        return {"answers": values}

    def _answer(self, question: Question, rows: Floats, numbers: range, features: Features) -> list[float]:
        """Return the columns of one question."""
        spans = [self._best_span(row, number, features) for row, number in zip(rows, numbers, strict=True)]
        span = max(filter(None, spans), key=lambda each: each.score, default=None)
        null_odds = rows[:, -1].min() - (span.score if span else 0.0)
        text = question.context[span.start : span.end] if span else ""
        of_span = answer_scores(text, question.answers, version_2=self.version_2)
        is_null = not text or (self.version_2 and null_odds > self.null_threshold)
        chosen = answer_scores("" if is_null else text, question.answers, version_2=self.version_2)
        place = (NO_CHARACTER, NO_CHARACTER) if is_null or span is None else (span.start, span.end)
        return [*chosen, float(bool(question.answers)), null_odds, *of_span, float(bool(text)), *map(float, place)]

    def _best_span(self, row: Floats, feature: int, features: Features) -> Span | None:
        """Return the best candidate of a feature; of equal ones that with the likelier start."""
        start_logits, starts, end_logits, ends = row[:-1].reshape(4, self.n_best)
        begins, finishes = (places.numpy() for places in features.characters(feature))
        starts, ends = starts.astype(np.int64), ends.astype(np.int64)
        is_inside = [(places >= 0) & (begins[places] != NO_CHARACTER) for places in (starts, ends)]
        length = ends[None, :] - starts[:, None] + 1
        is_span = is_inside[0][:, None] & is_inside[1][None, :] & (length >= 1) & (length <= self.max_answer_length)
        if not is_span.any():
            return None
        with np.errstate(invalid="ignore"):
            scores = np.where(is_span, start_logits[:, None] + end_logits[None, :], -np.inf)
        first, last = np.unravel_index(int(scores.argmax()), scores.shape)
        return Span(start=int(begins[starts[first]]), end=int(finishes[ends[last]]), score=float(scores[first, last]))
