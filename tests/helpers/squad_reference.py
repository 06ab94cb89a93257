"""Question answering as its papers and the example of transformers describe it, written without any of our code."""

import collections
import re
import string
from random import Random
from typing import Any

import numpy as np

from tests.helpers.glue_hub import WORDS
from zoo.tasks.question_features import QuestionSplit
from zoo.tasks.questions import Question


def made_questions(count: int, *, seed: int = 0, unanswerable: float = 0.3, words: int = 60) -> list[Question]:
    random, made = Random(seed), []  # noqa: S311
    for number in range(count):
        context = " ".join(random.choices(WORDS, k=random.randint(1, words)))
        spans = [sorted(random.sample(range(len(context) + 1), 2)) for _ in range(random.randint(1, 3))]
        if random.random() < unanswerable:
            spans = []
        made.append(
            Question(
                id=f"q{number}",
                text=" ".join(random.choices(WORDS, k=random.randint(1, 8))),
                context=context,
                answers=tuple(context[start:end] for start, end in spans),
                starts=tuple(start for start, _ in spans),
            )
        )
    return made


def official_words(text: str) -> list[str]:
    text = "".join(character for character in text.lower() if character not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def official_f1(answer: str, truth: str, *, version_2: bool) -> float:
    predicted, true = official_words(answer), official_words(truth)
    if version_2 and (len(predicted) == 0 or len(true) == 0):
        return float(predicted == true)
    same = sum((collections.Counter(predicted) & collections.Counter(true)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted), same / len(true)
    return 2 * precision * recall / (precision + recall)


def chosen_answers(
    logits: np.ndarray[Any, Any], split: QuestionSplit, *, version_2: bool, threshold: float, n_best: int, longest: int
) -> list[tuple[str, float]]:
    """Choose answers as the example of transformers describes it, one candidate after the other."""
    chosen = []
    for number, question in enumerate(split.questions):
        candidates, null = [], None
        for feature in (split.features.question_of == number).nonzero().flatten().tolist():
            length = split.lengths[feature]
            starts, ends = logits[feature, :length, 0], logits[feature, :length, 1]
            begins, finishes = (places.tolist() for places in split.features.characters(feature))
            if null is None or starts[0] + ends[0] < null:
                null = starts[0] + ends[0]
            for first in sorted(range(length), key=lambda place: -starts[place])[:n_best]:
                for last in sorted(range(length), key=lambda place: -ends[place])[:n_best]:
                    if begins[first] < 0 or begins[last] < 0 or last < first or last - first + 1 > longest:
                        continue
                    candidates.append((starts[first] + ends[last], begins[first], finishes[last]))
        score, begin, finish = max(candidates, key=lambda candidate: candidate[0], default=(0.0, 0, 0))
        odds = null - score
        text = question.context[begin:finish]
        chosen.append(("" if version_2 and odds > threshold else text, odds))
    return chosen
