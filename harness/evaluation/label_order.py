"""Bring the classes of a model into the order of its task by their names, and test the order by its predictions.

Published models often name their classes LABEL_0, LABEL_1 and so on. Their order cannot be read, only tested. An order
that fits the predictions better is reported as a finding; the score is never changed for it.
"""

from collections.abc import Sequence
from math import factorial, inf, log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from harness.judging.paired import sign_test
from harness.metrics import Array
from harness.models.outputs import TOKENS
from zoo.class_names import has_names, match_classes

Indices = NDArray[np.int64]
Right = NDArray[np.bool_]
EXAMPLES = 100
"""How many of the first examples are used."""
MOST_CLASSES = 2000
"""Of more classes the table of all pairs is too large."""
SHOWN = 10
"""The most classes that a finding renames by name."""
LEAD = 0.2
"""An order that only the whole split supports is reported if it makes more than this share of the examples right."""
SIGNIFICANCE = 0.01
"""A better order is reported if its p-value is at most this; on the rows that it is chosen by, divided by the number of
other orders (Bonferroni)."""


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
    is_of_tokens = type(output).__name__ == TOKENS  # whose classes are the last dimension
    output.logits = output.logits[..., model.class_order] if is_of_tokens else output.logits[:, model.class_order]
    return output


def _by_prediction(names: Sequence[str], predictions: Array, labels: Array) -> str | None:
    """Describe the best other order, if chance does not explain its lead.

    It is sought on the first examples, and on all of them if it leads there by more than `LEAD`.
    """
    if not 2 <= len(names) <= MOST_CLASSES:
        return None
    predicted, true = np.asarray(predictions, np.int64), np.asarray(labels, np.int64)
    first = predicted[:EXAMPLES], true[:EXAMPLES]
    order = _best_order(*first, len(names))
    if _log_p(_hits(order, *first), first[0] == first[1]) <= log(SIGNIFICANCE) - log(factorial(len(names)) - 1):
        return _sentence(f"the first {len(first[1])}", order, names, *first)
    if (predicted == true).mean() >= 1 - LEAD:
        return None
    order = _best_order(predicted, true, len(names))
    lead = int(_hits(order, predicted, true).sum()) - int((predicted == true).sum())
    if lead <= LEAD * len(true) or not _leads_on_unseen_rows(predicted, true, len(names)):
        return None
    return _sentence(f"all {len(true)}", order, names, predicted, true)


def _best_order(predicted: Indices, true: Indices, classes: int) -> Indices:
    """Return the class of each output, `(C,)`: most examples are right and, of equal orders, most outputs unchanged."""
    confusion = np.bincount(predicted * classes + true, minlength=classes**2).reshape(classes, classes)
    _, order = linear_sum_assignment(confusion * (classes + 1) + np.eye(classes, dtype=np.int64), maximize=True)
    return np.asarray(order, np.int64)


def _hits(order: Indices, predicted: Indices, true: Indices) -> Right:
    return np.asarray(order[predicted] == true)


def _log_p(hits: Right, right: Right) -> float:
    """Return the logarithm of the p-value of examples that another order changes (exact sign test)."""
    p = sign_test(int((hits & ~right).sum()), int((right & ~hits).sum()))
    return log(p) if p else -inf


def _leads_on_unseen_rows(predicted: Indices, true: Indices, classes: int) -> bool:
    """Return whether another order leads on rows that it was not chosen by, more than chance explains.

    The best order of many classes fits the rows that it is chosen by, whatever they are. So half of the rows is scored
    by the order of the other half.
    """
    right = predicted == true
    hits, halves = right.copy(), np.random.default_rng(0).permutation(len(true)) % 2
    for half in (halves == 0, halves == 1):
        hits[half] = _hits(_best_order(predicted[~half], true[~half], classes), predicted[half], true[half])
    return bool(hits.sum() > right.sum()) and _log_p(hits, right) <= log(SIGNIFICANCE)


def _sentence(rows: str, order: Indices, names: Sequence[str], predicted: Indices, true: Indices) -> str:
    """Return what another order would mean, with the shares of right examples in both orders."""
    renamed = [f"{name} is {names[order[number]]}" for number, name in enumerate(names) if order[number] != number]
    more = f", and {len(renamed) - SHOWN} more" if len(renamed) > SHOWN else ""
    share, scored = _hits(order, predicted, true).mean(), (predicted == true).mean()
    return f"if {', '.join(renamed[:SHOWN])}{more}, {share:.0%} of {rows} examples are right, {scored:.0%} as scored"
