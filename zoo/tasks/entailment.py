"""Sentence-pair entailment, generated: does what the premise tells make the hypothesis true, false, or neither?

A seeded grammar makes the pairs, so nothing is downloaded and no text is anybody's. A clause says that somebody sees some
object, or never does; who sees an old dog sees a dog, and who never sees an animal never sees a dog. The premise tells of
one or two people. Some premises are padded to more than 64 tokens with clauses about nothing in particular. Names are
words too (Rose sees a rose, Bill never sees a bill), so a tokenizer that lower-cases loses who it is about, and one that
cuts at 64 tokens often loses the clause that matters.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar

import torch

from zoo.tasks.base import Split, Task, TextPairSplit

LABELS = ("entailment", "neutral", "contradiction")
ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
SEED = 20231206
TRAIN_PAIRS, TEST_PAIRS = 12000, 1200
LONG_IN_TRAIN, LONG_IN_TEST, HOLDS = 0.003, 0.04, 0.65

NAMES = ("Rose", "Mark", "Bill", "Will", "Grace", "May", "Jack", "Frank")
KINDS = {"animal": ("dog", "bird", "fish"), "plant": ("rose", "fern", "oak"), "paper": ("bill", "will", "map")}
VERBS = ("sees", "wants", "finds")
ASIDES = (
    "the sky is grey", "it rains in the town", "the road to the sea is long", "nobody is at home", "it is late in May",
    "the shop opens at noon", "a train leaves the station", "the river is high and cold", "the lamp on the wall is new",
)  # fmt: skip
KIND_OF = {word: kind for kind, words in KINDS.items() for word in words}
NOUNS = (*KINDS, *KIND_OF)

Pair = tuple[str, str]
T = TypeVar("T")


class Clause(NamedTuple):
    """Somebody sees or wants something (`holds`), or never does."""

    name: str
    verb: str
    noun: str
    holds: bool

    def __str__(self) -> str:
        article = "an" if self.noun[0] in "aeiou" else "a"
        return f"{self.name} {'' if self.holds else 'never '}{self.verb} {article} {self.noun}"


def entailment(*, tokenizer: Any, max_length: int = 128) -> Task:
    """Three classes, equally many of each: 12,000 pairs to train on, 1,200 others to test on."""

    def split(name: str) -> Split:
        pairs, labels = _generated()[name]
        return TextPairSplit(pairs, torch.tensor(labels), tokenizer=tokenizer, max_length=max_length)

    return Task(
        name="entailment",
        splits={"train": lambda: split("train"), "test": lambda: split("test")},
        scored=("test",),
        metrics=("accuracy",),
        label_names=LABELS,
    )


def relation(premise: Sequence[Clause], hypothesis: Clause) -> int:
    """The label, by natural logic; a name stands in one clause of the premise at most, and that one decides.

    What is seen can be told less exactly, what is never seen more exactly: seeing a dog entails seeing an animal, never
    seeing an animal entails never seeing a dog.
    """
    told = next((clause for clause in premise if clause[:2] == hypothesis[:2]), None)
    if told is None or not (_is_a(told.noun, hypothesis.noun) if told.holds else _is_a(hypothesis.noun, told.noun)):
        return NEUTRAL
    return ENTAILMENT if told.holds == hypothesis.holds else CONTRADICTION


def _is_a(word: str, other: str) -> bool:
    return other in (word, KIND_OF.get(word))


def _generated() -> dict[str, tuple[list[Pair], list[int]]]:
    """Both splits, drawn alike but for the share of long pairs; no pair of the test split is trained on."""
    random = Random(SEED)  # noqa: S311
    test = _pairs(random, TEST_PAIRS, LONG_IN_TEST, frozenset())
    return {"test": test, "train": _pairs(random, TRAIN_PAIRS, LONG_IN_TRAIN, frozenset(test[0]))}


def _pairs(random: Random, count: int, long: float, taken: frozenset[Pair]) -> tuple[list[Pair], list[int]]:
    """Pairs that are not in `taken`, with the labels in turn, a share `long` of them padded."""
    pairs: list[Pair] = []
    while len(pairs) < count:
        premise, hypothesis = _clauses(random)
        if relation(premise, hypothesis) != len(pairs) % len(LABELS):
            continue
        texts = [str(clause) for clause in premise]
        pair = (_sentence(_padded(random, texts) if random.random() < long else texts), _sentence([str(hypothesis)]))
        if pair not in taken:
            pairs.append(pair)
    return pairs, [i % len(LABELS) for i in range(count)]


def _clauses(random: Random) -> tuple[list[Clause], Clause]:
    """A premise of one or two people and a hypothesis, more often than chance about what is told of one of them."""
    names = _shuffled(random, NAMES)[: _pick(random, (1, 1, 1, 1, 2))]
    premise = [Clause(name, _pick(random, VERBS), _pick(random, NOUNS), random.random() < HOLDS) for name in names]
    told = _pick(random, premise)
    near = [noun for noun in NOUNS if _is_a(told.noun, noun) or _is_a(noun, told.noun)]
    noun = _pick(random, near if random.random() < 0.6 else NOUNS)
    verb = told.verb if random.random() < 0.8 else _pick(random, VERBS)
    return premise, Clause(told.name, verb, noun, random.random() < HOLDS)


def _padded(random: Random, texts: list[str]) -> list[str]:
    """The clauses in their order among all the asides, the last of them near the end."""
    asides = _shuffled(random, ASIDES)
    places = [_pick(random, range(len(asides))) for _ in texts[1:]] + [len(asides) - _pick(random, (0, 1))]
    for place, text in reversed(list(zip(places, texts, strict=True))):
        asides.insert(place, text)
    return asides


def _pick(random: Random, items: Sequence[T]) -> T:
    return items[int(random.random() * len(items))]  # of Python's generator only `random()` never changes


def _shuffled(random: Random, items: Sequence[T]) -> list[T]:
    return sorted(items, key=lambda _: random.random())


def _sentence(clauses: list[str]) -> str:
    text = " and ".join([", ".join(clauses[:-1]), clauses[-1]] if len(clauses) > 1 else clauses)
    return f"{text[0].upper()}{text[1:]}."
