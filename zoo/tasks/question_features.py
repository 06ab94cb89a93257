"""Questions with parts of their texts, tokenized: a long text is cut into overlapping parts, one row each."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from zoo import paths
from zoo.errors import UsageError
from zoo.fetch.tensor_cache import cached_tensors
from zoo.tasks.questions import Question, context_groups, question_notes
from zoo.tasks.splits import TextSplit
from zoo.tasks.tokens import FEWEST_CACHED, Tokens, padding_token
from zoo.trusted_code import TRANSFORMERS, comes_from

CONTEXT_END, QUESTION_OF, STARTS, ENDS = "context_end", "question_of", "starts", "ends"
NO_CHARACTER = -1
"""The first character of a token that is not one of the context."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """The F features of a split: a question with a part of its context each.

    Attributes:
        tokens: The tokens of each feature.
        question_of: The number of the question of each feature, `(F,)` int64, ascending.
        starts: The first character in the context of every token of all features, `(T,)`; -1 for other tokens.
        ends: The character after the last one, `(T,)`.
    """

    tokens: Tokens
    question_of: Tensor
    starts: Tensor
    ends: Tensor

    def characters(self, feature: int) -> tuple[Tensor, Tensor]:
        """Return the first characters of the tokens of a feature and those after their last ones, `(L,)` each."""
        end = int(self.tokens.ends[feature])
        inside = slice(end - self.tokens.lengths[feature], end)
        return self.starts[inside], self.ends[inside]


class QuestionSplit(TextSplit):
    """A split of questions; its rows are the features, its examples the questions.

    The labels are the positions of the first and the last token of the first answer, `(F, 2)` int64. Both are that of
    the token for "no answer" if the feature does not contain the answer, see `null_position`.

    Args:
        questions: The questions.
        tokenizer: A fast tokenizer of transformers.
        max_length: The number of tokens of a feature.
        stride: The number of tokens that two parts of one context share.
    """

    def __init__(self, questions: Sequence[Question], *, tokenizer: Any, max_length: int, stride: int) -> None:
        self.questions, self.tokenizer, self.max_length, self.stride = questions, tokenizer, max_length, stride
        pairs = [(questions[number].text, questions[number].context) for number in self.features.question_of.tolist()]
        nulls = [null_position(self.features.tokens.row(row), tokenizer) for row in range(len(pairs))]
        labels = torch.tensor([_positions(self.features, *row, questions) for row in enumerate(nulls)])
        super().__init__(pairs, labels.reshape(-1, 2), tokenizer=tokenizer, max_length=max_length)

    @cached_property
    def features(self) -> Features:
        """The features of all questions."""
        return make_features(self.questions, self.tokenizer, self.max_length, self.stride)

    @cached_property
    def tokens(self) -> Tokens:
        """The tokens of all features."""
        return self.features.tokens

    @property
    def example_count(self) -> int:
        """The number of questions."""
        return len(self.questions)

    @property
    def example_groups(self) -> list[int]:
        """The number of the context of each question, by which a hold-out is taken."""
        return context_groups(self.questions)

    @property
    def notes(self) -> tuple[str, ...]:
        return (*question_notes(self.questions), *super().notes)

    def of_examples(self, numbers: Sequence[int]) -> "QuestionSplit":
        """Return the split of some of the questions, with all of their features."""
        return self.with_changes(questions=[self.questions[number] for number in numbers])

    def with_changes(self, **changes: Any) -> "QuestionSplit":
        """Return a split with other arguments; see the class."""
        arguments = {
            "questions": self.questions, "tokenizer": self.tokenizer, "max_length": self.max_length,
            "stride": self.stride,
        }  # fmt: skip
        return type(self)(**{**arguments, **changes})

    def rows(self) -> Iterator[bytes]:
        """Yield the questions with their contexts and answers."""
        return (question.row() for question in self.questions)


def make_features(questions: Sequence[Question], tokenizer: Any, max_length: int, stride: int) -> Features:
    """Tokenize questions with their contexts, or read them from the cache in `$ZOO_HOME/cache/tokens`.

    Only contexts are cut. Spaces before a question are left out, because some have so many that nothing else fits.

    Raises:
        UsageError: The tokenizer is none of the fast ones, or a question leaves no room for its context.
    """
    if not comes_from(tokenizer, TRANSFORMERS) or not getattr(tokenizer, "is_fast", False):
        raise UsageError(f"{type(tokenizer).__name__} cannot say which characters a token has; use a fast tokenizer")
    folder, key = paths.home() / "cache" / "tokens", _key(questions, tokenizer, max_length, stride)
    make = partial(_tokenized, questions, tokenizer, max_length, stride)
    columns = dict(make() if len(questions) < FEWEST_CACHED else cached_tensors(folder, key, make))
    question_of, starts, ends, row_ends = (columns.pop(name) for name in (QUESTION_OF, STARTS, ENDS, CONTEXT_END))
    _, pad = padding_token(tokenizer)
    padding = {"input_ids": pad, "token_type_ids": tokenizer.pad_token_type_id, "attention_mask": 0}
    tokens = Tokens(columns, row_ends, {name: padding.get(name) or 0 for name in columns})
    return Features(tokens=tokens, question_of=question_of, starts=starts, ends=ends)


def _tokenized(questions: Sequence[Question], tokenizer: Any, max_length: int, stride: int) -> dict[str, Tensor]:
    first = tokenizer.padding_side != "left"  # models that are padded on the left read the context first
    pairs = [(question.text.lstrip(), question.context) for question in questions]
    texts = [list(column) for column in zip(*(pair if first else pair[::-1] for pair in pairs), strict=True)]
    _check_room(questions, tokenizer, max_length, stride)
    encoding = tokenizer(
        *texts, truncation="only_second" if first else "only_first", max_length=max_length, stride=stride,
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    context = 1 if first else 0
    characters = [
        [place if part == context else (NO_CHARACTER, NO_CHARACTER) for place, part in zip(offsets, parts, strict=True)]
        for offsets, parts in zip(
            encoding.pop("offset_mapping"), map(encoding.sequence_ids, range(len(encoding["input_ids"]))), strict=True
        )
    ]
    question_of = torch.tensor(encoding.pop("overflow_to_sample_mapping"), dtype=torch.int64)
    row_ends = torch.tensor([len(row) for row in encoding["input_ids"]], dtype=torch.int64).cumsum(0)
    places = torch.tensor([place for row in characters for place in row], dtype=torch.int32).reshape(-1, 2)
    columns = {
        name: torch.tensor([value for row in rows for value in row], dtype=torch.int32)
        for name, rows in encoding.items()
    }
    return {
        **columns, QUESTION_OF: question_of, CONTEXT_END: row_ends, STARTS: places[:, 0].contiguous(),
        ENDS: places[:, 1].contiguous(),
    }  # fmt: skip


def _check_room(questions: Sequence[Question], tokenizer: Any, max_length: int, stride: int) -> None:
    """Raise UsageError if a question leaves no room for its context; the tokenizers would stop the program."""
    room = max_length - tokenizer.num_special_tokens_to_add(pair=True)
    for number, ids in enumerate(_token_ids(tokenizer, [question.text.lstrip() for question in questions])):
        if len(ids) + stride < room:
            continue
        (context,) = _token_ids(tokenizer, [questions[number].context])
        if len(ids) + len(context) > room:
            raise UsageError(
                f"the question {questions[number].id!r} has {len(ids)} tokens, which is too long for max_length"
                f" {max_length} with stride {stride}; set a larger max_length or a smaller stride"
            )


def _token_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]  # type: ignore[no-any-return]


def null_position(ids: Sequence[int], tokenizer: Any) -> int:
    """Return the position of the token whose logits stand for "no answer": the CLS token, else the first one."""
    return list(ids).index(tokenizer.cls_token_id) if tokenizer.cls_token_id in ids else 0


def _positions(features: Features, feature: int, null: int, questions: Sequence[Question]) -> tuple[int, int]:
    """Return the tokens at which the first answer starts and ends; `null` twice if the feature lacks a part of it.

    The start is the last token of the context that begins at or before the answer, the end the first token that ends at
    or after it.
    """
    question = questions[int(features.question_of[feature])]
    if not question.answers:
        return null, null
    start, end = question.starts[0], question.starts[0] + len(question.answers[0])
    begins, finishes = features.characters(feature)
    inside = (begins != NO_CHARACTER).nonzero().flatten()
    if not len(inside) or int(begins[inside[0]]) > start or int(finishes[inside[-1]]) < end:
        return null, null
    first = inside[begins[inside] <= start][-1]
    last = inside[finishes[inside] >= end][0]
    return int(first), int(last)


def _key(questions: Sequence[Question], tokenizer: Any, max_length: int, stride: int) -> str:
    """Return a SHA-256 over the questions and everything that decides how they are tokenized."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for left_by_a_call in ("truncation", "padding"):
        state.pop(left_by_a_call, None)
    settings = {
        "questions": 1, "tokenizer": state, "class": str(type(tokenizer)), "max_length": max_length, "stride": stride,
        "side": tokenizer.padding_side, "columns": tokenizer.model_input_names,
        "versions": [version("tokenizers"), version("transformers")],
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for question in questions:
        row = question.row()
        digest.update(len(row).to_bytes(8) + row)
    return digest.hexdigest()
