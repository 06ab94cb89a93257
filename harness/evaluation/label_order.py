"""Whether a model's classes are in the order of its task: by their names, and by what it predicts.

Published models often say only LABEL_0, LABEL_1, ...: their order cannot be read off, only tested. A better order is
reported, never scored.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from math import factorial

import numpy as np

from harness.judging.paired import sign_test
from harness.metrics import Array

FIRST = 100
"""How many examples are tried."""
MOST_CLASSES = 5
SURE = 0.01
"""The largest p-value at which another order is called better, shared among all orders (Bonferroni)."""


def findings(id2label: Mapping[int, str], names: Sequence[str], predictions: Array, labels: Array) -> tuple[str, ...]:
    """What speaks against the order in which the model's outputs were scored, a line each."""
    found = [said for said in (_by_name(id2label, names), _by_prediction(names, predictions, labels)) if said]
    return tuple(found)


def _by_name(id2label: Mapping[int, str], names: Sequence[str]) -> str | None:
    own = [_plain(str(id2label[number])) for number in sorted(id2label)]
    expected = [_plain(name) for name in names]
    if own == expected or not expected or all(name == f"label_{number}" for number, name in enumerate(own)):
        return None
    if sorted(own) == sorted(expected):
        return f"label order: the model names its classes {', '.join(own)}, the data {', '.join(expected)}"
    return f"class names: the model says {', '.join(own)}, the data {', '.join(expected)}"


def _by_prediction(names: Sequence[str], predictions: Array, labels: Array) -> str | None:
    """The best other order on the first examples, where it is better than chance explains (exact sign test)."""
    predicted, true = np.asarray(predictions[:FIRST], np.int64), np.asarray(labels[:FIRST], np.int64)
    if not 2 <= len(names) <= MOST_CLASSES:
        return None
    right = predicted == true
    best, order = right, tuple(range(len(names)))
    for other in permutations(range(len(names))):
        hits = np.asarray(other)[predicted] == true
        if hits.sum() > best.sum():
            best, order = hits, other
    gained, lost = int((best & ~right).sum()), int((right & ~best).sum())
    if sign_test(gained, lost) > SURE / (factorial(len(names)) - 1):  # the best of so many orders that were tried
        return None
    told = ", ".join(
        f"{name} is {names[order[number]]}" for number, name in enumerate(names) if order[number] != number
    )
    share = f"{best.mean():.0%} of the first {len(true)} examples are right, {right.mean():.0%} as scored"
    return f"label order: if {told}, {share}"


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")
