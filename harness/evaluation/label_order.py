"""Check whether the classes of a model are in the order of its task, by their names and by its predictions.

Published models often name their classes LABEL_0, LABEL_1 and so on. Their order cannot be read, only tested. A better
order is reported as a finding; the score is never changed.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from math import factorial

import numpy as np

from harness.judging.paired import sign_test
from harness.metrics import Array

EXAMPLES = 100
"""How many of the first examples are used."""
MOST_CLASSES = 5
SIGNIFICANCE = 0.01
"""A better order is reported if its p-value is at most this, divided by the number of other orders (Bonferroni)."""


def findings(id2label: Mapping[int, str], names: Sequence[str], predictions: Array, labels: Array) -> tuple[str, ...]:
    """Return the evidence that the outputs of a model were scored in a wrong class order.

    Args:
        id2label: The class names in the configuration of the model.
        names: The class names of the data, in the order of the labels.
        predictions: Predicted classes, `(N,)`.
        labels: True classes, `(N,)`.

    Returns:
        One sentence for each finding.
    """
    sentences = (_by_name(id2label, names), _by_prediction(names, predictions, labels))
    return tuple(sentence for sentence in sentences if sentence)


def _by_name(id2label: Mapping[int, str], names: Sequence[str]) -> str | None:
    of_model = [_plain(str(id2label[number])) for number in sorted(id2label)]
    of_data = [_plain(name) for name in names]
    if of_model == of_data or not of_data or all(name == f"label_{number}" for number, name in enumerate(of_model)):
        return None
    kind = "label order" if sorted(of_model) == sorted(of_data) else "class names"
    return f"{kind}: the model names its classes {', '.join(of_model)}, the data {', '.join(of_data)}"


def _by_prediction(names: Sequence[str], predictions: Array, labels: Array) -> str | None:
    """Describe the best other order on the first examples, if chance does not explain its lead (exact sign test)."""
    predicted, true = np.asarray(predictions[:EXAMPLES], np.int64), np.asarray(labels[:EXAMPLES], np.int64)
    if not 2 <= len(names) <= MOST_CLASSES:
        return None
    right = predicted == true
    best, order = right, tuple(range(len(names)))
    for other in permutations(range(len(names))):
        hits = np.asarray(other)[predicted] == true
        if hits.sum() > best.sum():
            best, order = hits, other
    gained, lost = int((best & ~right).sum()), int((right & ~best).sum())
    if sign_test(gained, lost) > SIGNIFICANCE / (factorial(len(names)) - 1):
        return None
    renamed = ", ".join(
        f"{name} is {names[order[number]]}" for number, name in enumerate(names) if order[number] != number
    )
    share = f"{best.mean():.0%} of the first {len(true)} examples are right, {right.mean():.0%} as scored"
    return f"label order: if {renamed}, {share}"


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")
