"""Bring the classes of a model into the order of its task by their names, and test the order by its predictions.

Published models often name their classes LABEL_0, LABEL_1 and so on. Their order cannot be read, only tested. An order
that fits the predictions better is reported as a finding; the score is never changed for it.
"""

from collections.abc import Sequence
from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
from torch import Tensor, nn

from harness.judging.paired import sign_test
from harness.metrics import Array
from zoo.class_names import has_names, match_classes

EXAMPLES = 100
"""How many of the first examples are used."""
MOST_CLASSES = 5
LEAD = 0.2
"""An order that only the whole split supports is reported if it makes more than this share of the examples right."""
SIGNIFICANCE = 0.01
"""A better order is reported if its p-value is at most this, divided by the number of other orders (Bonferroni)."""


def order_outputs(model: nn.Module, classes: Sequence[str], trained: Sequence[str] = ()) -> None:
    """Let a model return its logits in the order of the task's classes.

    The names in the model's configuration, or those of the classes that it was trained on, are matched with the task's.
    The model gets the attributes `class_order`, the output of the model for each class of the task, and `class_note`,
    which says how the names were matched.

    Args:
        model: The model. Models without class names, or with another number of them, are left as they are.
        classes: The names of the task's classes; empty if it has none.
        trained: The names of the classes that the model was trained on, for one whose configuration does not name them.

    Raises:
        UsageError: Both sides name their classes, and the names do not match.
    """
    names = getattr(getattr(model, "config", None), "id2label", None) or {}
    listed = [str(names[number]) for number in sorted(names)]
    listed = list(trained) if trained and not (listed and has_names(listed)) else listed
    if not classes or len(listed) != len(classes):
        return
    match = match_classes(listed, classes, side="the model", other="the task")
    order = [match.positions.index(number) for number in range(len(classes))]
    model.class_order, model.class_note = order, match.note  # type: ignore[assignment]
    if order != sorted(order):
        model.register_forward_hook(_reorder)


def findings(model: nn.Module, classes: Sequence[str], predictions: Array, labels: Array) -> tuple[str, ...]:
    """Return how the outputs of a model were ordered, and the evidence that another order is right.

    Args:
        model: The model, after `order_outputs`.
        classes: The names of the task's classes.
        predictions: Predicted classes, `(N,)`.
        labels: True classes, `(N,)`.

    Returns:
        One sentence for each finding.
    """
    sentences = (getattr(model, "class_note", None), _by_prediction(classes, predictions, labels))
    return tuple(f"label order: {sentence}" for sentence in sentences if sentence)


def _reorder(model: Any, _: Any, output: Any) -> Any:
    """Reorder the logits in the output of a model: a tensor, a tuple that starts with them, a mapping, or an object."""
    if isinstance(output, Tensor):
        return output[:, model.class_order]
    if isinstance(output, tuple):
        return (output[0][:, model.class_order], *output[1:])
    if isinstance(output, dict) and "out" in output:
        return type(output)({**output, "out": output["out"][:, model.class_order]})
    output.logits = output.logits[:, model.class_order]
    return output


def _by_prediction(names: Sequence[str], predictions: Array, labels: Array) -> str | None:
    """Describe the best other order, if chance does not explain its lead (exact sign test).

    It is sought on the first examples, and on all of them if it leads there by more than `LEAD`.
    """
    if not 2 <= len(names) <= MOST_CLASSES:
        return None
    first = _better_order(names, predictions[:EXAMPLES], labels[:EXAMPLES])
    if first is not None:
        return f"{first[0]} of the first {min(len(labels), EXAMPLES)} examples are right, {first[1]}"
    found = _better_order(names, predictions, labels, lead=LEAD)
    return None if found is None else f"{found[0]} of all {len(labels)} examples are right, {found[1]}"


def _better_order(
    names: Sequence[str], predictions: Array, labels: Array, *, lead: float = 0.0
) -> tuple[str, str] | None:
    """Return the best other order with its share of right examples, and the share as scored; None without evidence."""
    predicted, true = np.asarray(predictions, np.int64), np.asarray(labels, np.int64)
    right = predicted == true
    best, order = right, tuple(range(len(names)))
    for other in permutations(range(len(names))):
        hits = np.asarray(other)[predicted] == true
        if hits.sum() > best.sum():
            best, order = hits, other
    gained, lost = int((best & ~right).sum()), int((right & ~best).sum())
    is_chance = sign_test(gained, lost) > SIGNIFICANCE / (factorial(len(names)) - 1)
    if is_chance or gained - lost <= lead * len(true):
        return None
    renamed = ", ".join(
        f"{name} is {names[order[number]]}" for number, name in enumerate(names) if order[number] != number
    )
    return f"if {renamed}, {best.mean():.0%}", f"{right.mean():.0%} as scored"
