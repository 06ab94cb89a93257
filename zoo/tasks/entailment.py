"""Sentence-pair entailment, generated: does what the premise tells make the hypothesis true, false, or neither?

A seeded grammar makes the pairs, so nothing is downloaded and no text is anybody's. A premise tells what one or two
people do with a thing, a hypothesis what one person does or never does. Who keeps the old dog keeps the animal and
never sells it; who keeps the animal may not keep a dog. As in collected corpora the hypothesis alone betrays something:
"never" goes with contradiction, a new adjective with neither. A linear model of its words gets 57 % of the test right.

Names are words too (Rose keeps the rose, Bill sells the bill), so a tokenizer that lower-cases mixes them up. Some
premises are padded to more than 64 tokens, so one that cuts there often loses the clause that counts.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar

import torch

from zoo.tasks.base import Split, Task, TextSplit

LABELS = ("entailment", "neutral", "contradiction")
ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
SEED = 20231206
TRAIN_PAIRS, TEST_PAIRS = 16000, 1200
LONG_IN_TRAIN, LONG_IN_TEST = 0.003, 0.04

NAMES = ("Rose", "Mark", "Bill", "Will", "Grace", "May", "Jack", "Frank")
PEOPLE = (1, 1, 1, 1, 2)  # of a premise, each as likely
KINDS = {"animal": ("dog", "bird", "fish"), "plant": ("rose", "fern", "oak"), "paper": ("bill", "will", "map")}
OPPOSITES = {"keeps": "sells", "finds": "loses", "loves": "hates"}
ADJECTIVES = ("", "old", "new")
ASIDES = (
    "the sky is grey", "it rains in the town", "the road to the sea is long", "nobody is at home", "it is late in May",
    "the shop opens at noon", "a train leaves the station", "the river is high and cold", "the lamp on the wall is new",
)  # fmt: skip
KIND_OF = {word: kind for kind, words in KINDS.items() for word in words}
NOUNS = (*KINDS, *KIND_OF)
OPPOSITE = {**OPPOSITES, **{second: first for first, second in OPPOSITES.items()}}
VERBS = tuple(OPPOSITE)

Pair = tuple[str, str]
T = TypeVar("T")


class Clause(NamedTuple):
    """What somebody does with some thing, or never does; the adjective may be empty."""

    name: str
    verb: str
    adjective: str
    noun: str
    denied: bool = False

    def __str__(self) -> str:
        words = (self.name, "never" if self.denied else "", self.verb, "the", self.adjective, self.noun)
        return " ".join(filter(None, words))


def entailment(*, tokenizer: Any, max_length: int = 128) -> Task:
    """Three classes, equally many of each: 16,000 pairs to train on, 1,200 others to test on."""

    def split(name: str) -> Split:
        pairs, labels = _generated()[name]
        return TextSplit(pairs, torch.tensor(labels), tokenizer=tokenizer, max_length=max_length)

    return Task(
        name="entailment",
        splits={"train": lambda: split("train"), "test": lambda: split("test")},
        scored=("test",),
        metrics=("accuracy",),
        label_names=LABELS,
    )


def relation(premise: Sequence[Clause], hypothesis: Clause) -> int:
    """The label: what is told of the hypothesis's person decides, if it is of the same thing, perhaps more exactly.

    The same verb then makes it true and the opposite one false; denying it swaps the two.
    """
    told = next((clause for clause in premise if clause.name == hypothesis.name), None)
    if told is None or not _is_a(told.noun, hypothesis.noun) or hypothesis.adjective not in ("", told.adjective):
        return NEUTRAL
    if hypothesis.verb not in (told.verb, OPPOSITE[told.verb]):
        return NEUTRAL
    return ENTAILMENT if (hypothesis.verb == told.verb) != hypothesis.denied else CONTRADICTION


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
        premise, hypothesis = _clauses(random, len(pairs) % len(LABELS))
        texts = [str(clause) for clause in premise]
        pair = (_sentence(_padded(random, texts) if random.random() < long else texts), _sentence([str(hypothesis)]))
        if pair not in taken:
            pairs.append(pair)
    return pairs, [i % len(LABELS) for i in range(count)]


def _clauses(random: Random, label: int) -> tuple[list[Clause], Clause]:
    """A premise and a hypothesis drawn until they have the label: half of the hypotheses only repeat what is told, told
    less exactly, denied or turned to its opposite; the others change a part of it.
    """
    while True:
        names = _shuffled(random, NAMES)
        premise = [_clause(random, name) for name in names[: _pick(random, PEOPLE)]]
        told = _pick(random, premise)
        changed, other = random.random() < 0.5, _clause(random, names[2])
        verb = other.verb if changed and random.random() < 0.4 else told.verb
        noun = other.noun if changed and random.random() < 0.6 else told.noun
        hypothesis = Clause(
            name=other.name if changed and random.random() < 0.1 else told.name,
            verb=OPPOSITE[verb] if random.random() < 0.15 else verb,
            adjective=_pick(random, ("", told.adjective)) if random.random() < 0.6 else other.adjective,
            noun=KIND_OF.get(noun, noun) if random.random() < 0.4 else noun,
            denied=random.random() < 0.5,
        )
        if relation(premise, hypothesis) == label:
            return premise, hypothesis


def _clause(random: Random, name: str) -> Clause:
    return Clause(name, _pick(random, VERBS), _pick(random, ADJECTIVES), _pick(random, NOUNS))


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
