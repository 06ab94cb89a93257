"""Planted faults in honest cards, and whether arithmetic can find them at all.

A fault can be found if no honest card has the same texts: no matrix of the declared rows, or no count of them, is
printed so, whether it is rounded, cut off, rounded twice or computed in single precision. This is tested by brute force
with texts, not with the intervals of the audit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.audit.cards import FULL, Card, Style, honest_card, image_card, print_value, value_of, with_texts
from benchmarks.audit.scores import AVERAGED, Matrix
from harness.auditing.audit import audit
from zoo.claims.known_data import KNOWN_DATA

MOST_ROWS = 1100
"""Faults in scores of two classes are planted in data of at most so many rows, whose matrices can all be tried."""
ALONE = {f"a digit changed, accuracy alone, {rows} rows": task
         for rows, task in (("408", "mrpc"), ("5,463", "qnli"), ("40,430", "qqp"))}  # fmt: skip
"""Faults in cards that have no other score -> the task of GLUE."""
SINGLE_ERROR = 2.0**-23
"""A score of all digits may be computed in single precision."""
PRINTED_AS = ("rounded", "cut off", "rounded twice")


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A card with a fault."""

    fault: str
    card: Card
    names: tuple[str, ...]
    """The findings must name the fault by one of these words, unless the verdict is inconsistent or impossible."""


def plant(fault: str, decimals: int, generator: np.random.Generator) -> Planted:
    """Return an honest card with a fault planted in it."""
    while True:
        style = Style(decimals=decimals)
        card = _card_for(fault, generator, style)
        texts = FAULTS[fault](card, generator)
        if texts and any(card.printed[name] != text for name, text in texts.items()):
            words = ("averaged as", "as binary") if fault == "F1 averaged otherwise" else ()
            return Planted(fault=fault, card=with_texts(card, texts), names=words)


def is_found(planted: Planted) -> bool:
    """Return whether the audit finds the fault."""
    found = audit(planted.card.claims())
    return found.verdict in ("inconsistent", "impossible") or any(
        word in claim.text for word in planted.names for claim in found.claims
    )


def can_be_found(planted: Planted) -> bool:
    """Return whether no honest card has the same texts."""
    card = planted.card
    dataset, config, split = card.data
    counts = KNOWN_DATA[dataset, config].class_counts[split]
    shown = dict(card.printed)
    if len(shown) == 1:
        n = sum(counts)
        return not any(_is_printed(right / n, shown["accuracy"], card.style) for right in range(n + 1))
    if card.matrix is None:
        return True
    decimals = {len(text.partition(".")[2]) for text in shown.values()}
    if len(decimals) > 1 and planted.fault == "per cent for fraction":
        return True
    return not any(_explains(matrix, card, shown) for matrix in _matrices(counts, card, shown))


def _card_for(fault: str, generator: np.random.Generator, style: Style) -> Card:
    """Return an honest card of the kind that a fault needs."""
    if fault in ALONE:
        data = ("nyu-mll/glue", ALONE[fault], "validation")
        n = KNOWN_DATA[data[:2]].rows[data[2]]
        return Card(data=data, values={"accuracy": int(generator.integers(n // 2, n)) / n}, style=style)
    return image_card(generator, style) if fault == "top-5 below top-1" else _small_card(generator, style)


def _small_card(generator: np.random.Generator, style: Style) -> Card:
    while True:
        card = honest_card(generator, style, kinds=1)
        rows = sum(KNOWN_DATA[card.data[:2]].class_counts[card.data[2]])
        if rows <= MOST_ROWS and "accuracy" in card.values and len(card.values) > 1:
            return card


def _matrices(counts: tuple[int, ...], card: Card, shown: Mapping[str, str]) -> list[Matrix]:
    """Return the matrices whose accuracy is printed as on the card."""
    n, matrices = sum(counts), []
    for right in range(n + 1):
        if _is_printed(right / n, shown["accuracy"], card.style):
            for first in range(max(right - counts[1], 0), min(right, counts[0]) + 1):
                second = right - first
                matrices.append(np.array([[first, counts[0] - first], [counts[1] - second, second]]))
    return matrices


def _explains(matrix: Matrix, card: Card, shown: Mapping[str, str]) -> bool:
    positive = KNOWN_DATA[card.data[:2]].positive or 0
    return any(
        all(_is_printed(value_of(name, matrix, of), text, card.style) for name, text in shown.items())
        for of in (positive, 1 - positive)
    )


def _is_printed(value: float, text: str, style: Style) -> bool:
    if style.decimals == FULL:
        return abs(value - float(text)) < SINGLE_ERROR
    return any(print_value(value, replace(style, how=how)) == text for how in PRINTED_AS)


def _change_digit(card: Card, generator: np.random.Generator) -> dict[str, str]:
    """Change one decimal of one score by one to nine."""
    name = str(generator.choice([*card.values]))
    text = card.printed[name]
    first = text.index(".") + 1
    place = int(generator.integers(first, min(len(text), first + 7)))
    digit = (int(text[place]) + int(generator.integers(1, 10))) % 10
    return {name: f"{text[:place]}{digit}{text[place + 1 :]}"}


def _other_split(card: Card, generator: np.random.Generator) -> dict[str, str]:
    """Put an accuracy of the training split in place of that of the declared split."""
    (n,) = KNOWN_DATA[card.data[:2]].train.values()
    right = round(card.values["accuracy"] * n) + int(generator.integers(-20, 21))
    return {"accuracy": print_value(min(max(right / n, 0.0), 1.0), card.style)}


def _other_average(card: Card, generator: np.random.Generator) -> dict[str, str]:
    """Put a weighted or macro F1 in place of the declared one."""
    names = [name for name in card.values if name.startswith("f1")]
    assert card.matrix is not None
    if not names:
        return {}
    other = str(generator.choice(["f1 weighted", "f1 macro", "f1 binary"]))
    positive = KNOWN_DATA[card.data[:2]].positive or 0
    return {names[0]: print_value(value_of(other, card.matrix, positive), card.style)}


def _percent(card: Card, generator: np.random.Generator) -> dict[str, str]:
    """Print one score as a per cent among fractions."""
    name = str(generator.choice([name for name in card.values if name != "matthews_correlation"]))
    return {name: print_value(card.values[name], replace(card.style, percent=True))}


def _swap(card: Card, generator: np.random.Generator) -> dict[str, str]:
    """Swap precision and recall."""
    names = [next((name for name in card.values if name.startswith(metric)), "") for metric in AVERAGED[1:]]
    if not all(names):
        return {}
    return {names[0]: card.printed[names[1]], names[1]: card.printed[names[0]]}


def _swap_tops(card: Card, generator: np.random.Generator) -> dict[str, str]:
    """Swap top-1 and top-5 accuracy."""
    return {"accuracy": card.printed["top5_accuracy"], "top5_accuracy": card.printed["accuracy"]}


FAULTS: Mapping[str, Callable[[Card, np.random.Generator], dict[str, str]]] = {
    "a digit changed": _change_digit,
    **dict.fromkeys(ALONE, _change_digit),
    "accuracy of the training split": _other_split,
    "F1 averaged otherwise": _other_average,
    "per cent for fraction": _percent,
    "precision and recall swapped": _swap,
    "top-5 below top-1": _swap_tops,
}
"""Name of a fault -> the texts that it puts in place of printed ones; none if the card has no place for it."""
