"""Generated sentence pairs: does the premise make the hypothesis true (entailment), false (contradiction), or neither?

A grammar with a fixed seed generates all pairs, so nothing is downloaded and no text belongs to anybody. A premise says
what one or two people do with a thing. A hypothesis says what one person does or never does. Someone who keeps the old
dog also keeps the animal and never sells it. Someone who keeps the animal need not keep a dog.

As in collected corpora, the hypothesis alone gives hints: "never" is more frequent in contradictions, and an adjective
that the premise lacks is more frequent in neutral pairs. A linear model of the words gets 57 % of the test split right.

Two properties make mistakes in preprocessing visible. Names are also words (Rose keeps the rose, Bill sells the bill),
so a tokenizer that lower-cases confuses them. Some premises have more than 64 tokens, so cutting there often removes
the clause that decides the label.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar

import torch

from zoo.tasks.base import Split, Task
from zoo.tasks.splits import TextSplit

LABELS = ("entailment", "neutral", "contradiction")
ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
SEED = 20231206
TRAIN_PAIRS, TEST_PAIRS = 16000, 1200
LONG_IN_TRAIN, LONG_IN_TEST = 0.003, 0.04
"""The share of pairs with a premise that is made longer by unrelated clauses."""

NAMES = ("Rose", "Mark", "Bill", "Will", "Grace", "May", "Jack", "Frank")
PEOPLE = (1, 1, 1, 1, 2)
"""How many people a premise is about, each entry with the same probability."""
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
    """An action of a person on a thing, or the statement that it never happens. The adjective may be empty."""

    name: str
    verb: str
    adjective: str
    noun: str
    denied: bool = False

    def __str__(self) -> str:
        words = (self.name, "never" if self.denied else "", self.verb, "the", self.adjective, self.noun)
        return " ".join(filter(None, words))


def entailment(*, tokenizer: Any, max_length: int = 128) -> Task:
    """Return the task of three balanced classes: 16,000 pairs in `train`, 1,200 other pairs in `test`.

    Args:
        tokenizer: A tokenizer of transformers.
        max_length: Longer pairs are cut to this number of tokens.
    """

    def split(name: str) -> Split:
        pairs, labels = _generate_splits()[name]
        return TextSplit(pairs, torch.tensor(labels), tokenizer=tokenizer, max_length=max_length)

    return Task(
        name="entailment",
        splits={"train": lambda: split("train"), "test": lambda: split("test")},
        scored=("test",),
        metrics=("accuracy",),
        label_names=LABELS,
    )


def relation(premise: Sequence[Clause], hypothesis: Clause) -> int:
    """Return the label of a pair of sentences.

    The clause of the premise about the hypothesis's person decides. If its thing is the hypothesis's thing, or a more
    specific one, then the same verb means entailment and the opposite verb contradiction. "never" swaps the two.
    Everything else is neutral.
    """
    clause = next((clause for clause in premise if clause.name == hypothesis.name), None)
    if clause is None or not _is_a(clause.noun, hypothesis.noun) or hypothesis.adjective not in ("", clause.adjective):
        return NEUTRAL
    if hypothesis.verb not in (clause.verb, OPPOSITE[clause.verb]):
        return NEUTRAL
    return ENTAILMENT if (hypothesis.verb == clause.verb) != hypothesis.denied else CONTRADICTION


def _is_a(noun: str, other: str) -> bool:
    return other in (noun, KIND_OF.get(noun))


def _generate_splits() -> dict[str, tuple[list[Pair], list[int]]]:
    """Generate both splits. They differ in the share of long pairs, and no pair of `test` is in `train`."""
    random = Random(SEED)  # noqa: S311
    test = _generate_pairs(random, TEST_PAIRS, LONG_IN_TEST, frozenset())
    return {"test": test, "train": _generate_pairs(random, TRAIN_PAIRS, LONG_IN_TRAIN, frozenset(test[0]))}


def _generate_pairs(random: Random, count: int, long: float, excluded: frozenset[Pair]) -> tuple[list[Pair], list[int]]:
    """Generate pairs that are not in `excluded`, with the three labels in turn; a share `long` of them is long."""
    pairs: list[Pair] = []
    while len(pairs) < count:
        premise, hypothesis = _draw_clauses(random, len(pairs) % len(LABELS))
        texts = [str(clause) for clause in premise]
        texts = _insert_asides(random, texts) if random.random() < long else texts
        pair = (_sentence(texts), _sentence([str(hypothesis)]))
        if pair not in excluded:
            pairs.append(pair)
    return pairs, [i % len(LABELS) for i in range(count)]


def _draw_clauses(random: Random, label: int) -> tuple[list[Clause], Clause]:
    """Draw a premise and a hypothesis until they have the label.

    Half of the hypotheses repeat a clause of the premise: less specifically, denied, or with the opposite verb. The
    others change a part of it.
    """
    while True:
        names = _shuffle(random, NAMES)
        premise = [_draw_clause(random, name) for name in names[: _pick(random, PEOPLE)]]
        clause = _pick(random, premise)
        changed, other = random.random() < 0.5, _draw_clause(random, names[2])
        verb = other.verb if changed and random.random() < 0.4 else clause.verb
        noun = other.noun if changed and random.random() < 0.6 else clause.noun
        hypothesis = Clause(
            name=other.name if changed and random.random() < 0.1 else clause.name,
            verb=OPPOSITE[verb] if random.random() < 0.15 else verb,
            adjective=_pick(random, ("", clause.adjective)) if random.random() < 0.6 else other.adjective,
            noun=KIND_OF.get(noun, noun) if random.random() < 0.4 else noun,
            denied=random.random() < 0.5,
        )
        if relation(premise, hypothesis) == label:
            return premise, hypothesis


def _draw_clause(random: Random, name: str) -> Clause:
    return Clause(name, _pick(random, VERBS), _pick(random, ADJECTIVES), _pick(random, NOUNS))


def _insert_asides(random: Random, texts: list[str]) -> list[str]:
    """Insert the clauses, in their order, among all asides. The last clause comes near the end."""
    clauses = _shuffle(random, ASIDES)
    positions = [_pick(random, range(len(clauses))) for _ in texts[1:]] + [len(clauses) - _pick(random, (0, 1))]
    for position, text in reversed(list(zip(positions, texts, strict=True))):
        clauses.insert(position, text)
    return clauses


def _pick(random: Random, items: Sequence[T]) -> T:
    return items[int(random.random() * len(items))]  # `choice` may change between versions of Python, `random()` not


def _shuffle(random: Random, items: Sequence[T]) -> list[T]:
    return sorted(items, key=lambda _: random.random())


def _sentence(clauses: list[str]) -> str:
    text = " and ".join([", ".join(clauses[:-1]), clauses[-1]] if len(clauses) > 1 else clauses)
    return f"{text[0].upper()}{text[1:]}."
