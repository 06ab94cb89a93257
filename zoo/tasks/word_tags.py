"""The readout of token classification: the counts of entities and of words in each sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from zoo.errors import OutputsError
from zoo.tasks.base import Batch, Split, Task
from zoo.tasks.entities import (
    NO_SCHEME,
    OUTSIDE,
    SCHEMES,
    Entity,
    entities,
    find_scheme,
    split_tag,
    strict_entities,
)
from zoo.tasks.readout import Arrays
from zoo.tasks.tagged_words import TaggedWords

Counts = NDArray[np.int32]
UNREAD = -1
"""Stands for the prediction of a word that the model does not read."""


@dataclass(frozen=True, kw_only=True)
class WordTags:
    """Counts, for each sentence, which tags and entities are predicted rightly.

    The array `words` is `(N, 1 + C, 3)`: for each class the number of words that are predicted rightly, that are
    predicted to have it, and that have it. The tag O is counted in column 0 in place of its own; tags of the scheme
    "none" leave column 0 empty.
    The array `entities` is `(N, 2, T, 3)`: the same for the entities of each of the T types, sorted by their names; in
    the default reading and in the strict one (`zoo.tasks.entities`). Tags of the scheme "none" have no entities.

    Attributes:
        scheme: The name of the scheme; empty to choose it by the prefixes of the tags.
        width: The most tokens of a row.
        leaves_out: Whether words that the model does not read are left out. By default they are predicted wrongly: they
            have the tag O, and are no right prediction of it.
    """

    scored_by: ClassVar = (entities,)
    """The code that a record hashes along with that of the metrics."""
    scheme: str
    width: int
    leaves_out: bool = False

    def check(self, task: Task, logits: Tensor, labels: Tensor) -> None:
        """Raise OutputsError if the outputs are not those of tokens, or not one for each tag."""
        if logits.dim() != 3 or logits.shape[-1] != labels.shape[-1]:
            shape = "x".join(map(str, logits.shape))
            raise OutputsError(
                f"{task.name} needs outputs for each tag of each token, but the model returns {shape} numbers for"
                f" {len(logits)} rows; use a model for tokens, such as token_classifier"
            )
        task.check_outputs(logits.shape[1], labels)

    def read(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the predicted tag of each token, `(B, width)`, for logits `(B, C, L)`."""
        predicted = logits.argmax(dim=1).to(torch.int16)
        return F.pad(predicted, (0, self.width - predicted.shape[1]), value=UNREAD)

    def arrays(self, rows: NDArray[Any], split: Split) -> Arrays:
        """Return the counts of each sentence."""
        assert isinstance(split, TaggedWords)
        return self.count(self._sentences(rows, split), split.classes)

    def count(self, sentences: Sequence[tuple[NDArray[Any], NDArray[Any]]], classes: Sequence[str]) -> Arrays:
        """Return the counts of sentences.

        Args:
            sentences: The true and the predicted class of each word of each sentence; a prediction may be `UNREAD`.
            classes: The tags.
        """
        scheme = find_scheme(self.scheme, classes)
        if self.leaves_out:
            sentences = [(true[of_words != UNREAD], of_words[of_words != UNREAD]) for true, of_words in sentences]
        if scheme == NO_SCHEME:
            return {"words": word_counts(sentences, classes, outside="")}
        return {"entities": entity_counts(sentences, classes, scheme), "words": word_counts(sentences, classes)}

    def _sentences(self, rows: NDArray[Any], split: TaggedWords) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Return the true and the predicted tag of each word of each sentence."""
        first, labels = split.words.first.numpy(), split.labels.numpy()
        predicted = np.where(first >= 0, np.take_along_axis(rows, np.maximum(first, 0), axis=1), UNREAD)
        rows_of = zip(split.texts, labels, predicted, strict=True)
        return [(true[: len(words)], of_words[: len(words)]) for words, true, of_words in rows_of]

    def examples_of(self, rows: NDArray[np.bool_], split: Split) -> NDArray[np.bool_]:
        """Return the rows: each sentence is an example."""
        return rows

    def example(self, outputs: int, split: Split) -> Arrays:
        """Return the counts of two sentences with one right word of each tag and one right entity of each type."""
        assert isinstance(split, TaggedWords)
        words = np.zeros((2, 1 + outputs, 3), dtype=np.int32)
        words[:, 1] = 1
        if find_scheme(self.scheme, split.classes) == NO_SCHEME:
            return {"words": words}
        return {"entities": np.ones((2, 2, len(entity_types(split.classes)), 3), dtype=np.int32), "words": words}


def entity_types(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the types of entities of tags, sorted."""
    return tuple(sorted({split_tag(name)[1] for name in classes if name != OUTSIDE[0]}))


def entity_counts(
    sentences: Sequence[tuple[NDArray[Any], NDArray[Any]]], classes: Sequence[str], scheme: str
) -> Counts:
    """Return the numbers of right, predicted and true entities, `(N, 2, T, 3)`; see `WordTags`.

    Args:
        sentences: The true and the predicted class of each word of each sentence; a prediction may be `UNREAD`.
        classes: The tags.
        scheme: The name of the scheme.
    """
    types = {name: position for position, name in enumerate(entity_types(classes))}
    counts = np.zeros((len(sentences), 2, len(types), 3), dtype=np.int32)
    tags = [*map(split_tag, classes), OUTSIDE]  # the last one is that of UNREAD
    for of_sentence, (true, predicted) in zip(counts, sentences, strict=True):
        true_tags, predicted_tags = ([tags[number] for number in numbers.tolist()] for numbers in (true, predicted))
        if all(tag == OUTSIDE for tag in (*true_tags, *predicted_tags)):
            continue
        _count(of_sentence[0], entities(true_tags), entities(predicted_tags), types)
        strictly = [strict_entities(each, SCHEMES[scheme]) for each in (true_tags, predicted_tags)]
        _count(of_sentence[1], strictly[0], strictly[1], types)
    return counts


def _count(counts: Counts, true: set[Entity], predicted: set[Entity], types: dict[str, int]) -> None:
    for column, found in enumerate((true & predicted, predicted, true)):
        for kind, _, _ in found:
            counts[types[kind], column] += 1


def word_counts(
    sentences: Sequence[tuple[NDArray[Any], NDArray[Any]]], classes: Sequence[str], outside: str = OUTSIDE[0]
) -> Counts:
    """Return the numbers of right, predicted and true words, `(N, 1 + C, 3)`; see `WordTags`.

    Args:
        sentences: As in `entity_counts`.
        classes: The tags.
        outside: The tag that is counted in column 0.
    """
    columns = np.array([0 if name == outside else 1 + number for number, name in enumerate(classes)])
    counts = np.zeros((len(sentences), 1 + len(classes), 3), dtype=np.int32)
    for of_sentence, (true, predicted) in zip(counts, sentences, strict=True):
        np.add.at(of_sentence, (columns[true[true == predicted]], 0), 1)
        np.add.at(of_sentence, (columns[predicted[predicted != UNREAD]], 1), 1)
        np.add.at(of_sentence, (columns[true], 2), 1)
    return counts
