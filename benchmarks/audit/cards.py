"""Honest cards: scores of made confusion matrices, printed in the many ways of authors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.audit.scores import AVERAGED, SCORES, Matrix, averaged, make_matrix
from zoo.claims.known_data import KNOWN_DATA
from zoo.claims.published import PublishedClaim, PublishedClaims
from zoo.errors import Mark

BINARY = tuple((*key, split) for key, data in KNOWN_DATA.items() for split in data.rows
               if len(data.class_counts.get(split, ())) == 2)  # fmt: skip
MANY = tuple((*key, split) for key, data in KNOWN_DATA.items() for split in data.rows
             if 2 < len(data.class_counts.get(split, ())) <= 100)  # fmt: skip
IMAGES = (("uoft-cs/cifar10", "", "test"), ("uoft-cs/cifar100", "", "test"), ("ILSVRC/imagenet-1k", "", "validation"))
LOW_PRECISION = ("single precision", "100 * single", "1 - single", "half precision")
HOW = ("rounded", "rounded", "rounded", "cut off", "rounded twice", *LOW_PRECISION)
FULL = 17
"""Stands for all digits of a float."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How an author prints scores."""

    decimals: int
    """The decimals of the fraction: 85.8 % has 3."""
    percent: bool = False
    sign: bool = False
    how: str = "rounded"
    declares_split: bool = True
    declares_average: bool = True


@dataclass(frozen=True, kw_only=True)
class Card:
    """A made card: the scores as printed, and what they are of."""

    data: tuple[str, str, str]
    """The id, the configuration and the split of the data set."""
    values: Mapping[str, float]
    """Name of a metric, with its average: `f1 macro` -> the true score."""
    style: Style
    matrix: Matrix | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    """Name of a metric -> the text that a fault has put in place of the printed value."""

    @property
    def printed(self) -> dict[str, str]:
        """The texts of all values."""
        return {name: self.texts.get(name, print_value(value, self.style)) for name, value in self.values.items()}

    def claims(self) -> PublishedClaims:
        """Return the card as the claims that a reader of cards would return."""
        dataset, config, split = self.data
        claims = tuple(
            PublishedClaim(
                metric=name.split()[0], text=text, mark=Mark(path="card", line=line, column=1), dataset=dataset,
                config=config, split=split if self.style.declares_split else "",
                average=name.partition(" ")[2] if self.style.declares_average else "", model="made",
            )
            for line, (name, text) in enumerate(self.printed.items(), 1)
        )  # fmt: skip
        return PublishedClaims(name="made", claims=claims)


def print_value(value: float, style: Style) -> str:
    """Return a score as an author prints it."""
    if style.how in LOW_PRECISION and style.decimals == FULL:
        return repr(_in_low_precision(value, style))
    scaled = value * 100 if style.percent else value
    if style.decimals == FULL:
        return repr(scaled)
    places = style.decimals - (2 if style.percent else 0)
    if style.how == "cut off":
        scaled = math.trunc(round(scaled * 10**places, 6)) / 10**places
    elif style.how == "rounded twice":
        scaled = round(scaled, places + 1)
    return f"{scaled:.{places}f}{'%' if style.sign else ''}"


def _in_low_precision(value: float, style: Style) -> float:
    """Return a score that a program computes in lower precision, and may convert to a per cent in double precision."""
    if style.how == "half precision" and not style.percent:
        return float(np.float16(value))
    if style.how == "1 - single":
        return (100 if style.percent else 1) * (1 - float(np.float32(1 - value)))
    if style.how == "100 * single":
        return (100 if style.percent else 1) * float(np.float32(value))
    return float(np.float32(value) * np.float32(100 if style.percent else 1))


def random_style(generator: np.random.Generator) -> Style:
    """Return one of the styles of real cards."""
    decimals = int(generator.choice([2, 3, 4, 4, 4, 5, 7, FULL, FULL]))
    percent = bool(generator.random() < 0.4)
    return Style(
        decimals=decimals, percent=percent, sign=percent and decimals != FULL and bool(generator.random() < 0.3),
        how=str(generator.choice(HOW)), declares_split=bool(generator.random() < 0.7),
        declares_average=bool(generator.random() < 0.5),
    )  # fmt: skip


def honest_card(generator: np.random.Generator, style: Style | None = None, kinds: int = 3) -> Card:
    """Return a card whose scores are all of one matrix.

    Args:
        generator: Draws everything.
        style: How the scores are printed; None to draw it.
        kinds: 1 for data of two classes only, 2 for many classes too, 3 for top-5 accuracy too.
    """
    style = style or random_style(generator)
    kind = int(generator.integers(kinds))
    if kind == 2:
        return image_card(generator, style)
    data = (BINARY, MANY)[kind][generator.integers(len((BINARY, MANY)[kind]))]
    facts = KNOWN_DATA[data[0], data[1]]
    matrix = make_matrix(facts.class_counts[data[2]], generator)
    averages = ["macro", "micro", "weighted", *(["binary", "binary"] if kind == 0 else [])]
    average = str(generator.choice(averages))
    names = [*SCORES, *(f"{name} {average}" for name in AVERAGED)]
    chosen = [name for name in names if generator.random() < 0.6] or ["accuracy"]
    if style.declares_average:
        chosen += [f"f1 {other}" for other in set(averages) - {average} if generator.random() < 0.2]
    values = {name: value_of(name, matrix, facts.positive or 0) for name in chosen}
    return Card(data=data, values=values, style=style, matrix=matrix)


def image_card(generator: np.random.Generator, style: Style) -> Card:
    """Return a card with top-1 and top-5 accuracy, one in four of them low: below 10 %, and perhaps below 1 %."""
    data = IMAGES[generator.integers(len(IMAGES))]
    n = KNOWN_DATA[data[0], data[1]].rows[data[2]]
    is_low = generator.random() < 0.25
    top5 = int(generator.integers(n // 50, n // 10) if is_low else generator.integers(n // 2, n + 1))
    top1 = int(generator.integers(n // 500 if is_low else n // 3, top5 + 1))
    return Card(data=data, values={"accuracy": top1 / n, "top5_accuracy": top5 / n}, style=style)


def claims_of_two_splits(generator: np.random.Generator) -> PublishedClaims:
    """Return the accuracy of a declared split, and another one of any split with labels that the author leaves out."""
    data = BINARY[generator.integers(len(BINARY))]
    facts, style = KNOWN_DATA[data[:2]], random_style(generator)
    other = str(generator.choice([*facts.rows, *facts.train]))
    results = []
    for split, is_declared in ((data[2], True), (other, False)):
        n = {**facts.rows, **facts.train}[split]
        values = {"accuracy": int(generator.integers(n // 2, n)) / n}
        card = Card(data=(*data[:2], split), values=values, style=replace(style, declares_split=is_declared))
        results.append(card.claims().claims)
    return PublishedClaims(name="made", claims=tuple(claim for claims in results for claim in claims))


def value_of(name: str, matrix: Matrix, positive: int) -> float:
    """Return a score of a matrix by its name with its average."""
    metric, _, average = name.partition(" ")
    return averaged(metric, matrix, average, positive) if metric in AVERAGED else SCORES[metric](matrix)


def with_texts(card: Card, texts: Mapping[str, str]) -> Card:
    """Return a card with other texts in place of printed values."""
    return replace(card, texts={**card.texts, **texts})
