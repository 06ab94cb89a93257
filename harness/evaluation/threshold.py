"""Choose the threshold of a multilabel task by the scores on one split, for the other splits."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from zoo.errors import UsageError
from zoo.tasks.base import Task
from zoo.tasks.hidden_labels import are_hidden
from zoo.tasks.thresholds import HALF, log_odds

CANDIDATES = tuple(number / 100 for number in range(1, 100))


def thresholds_of(task: Task, outputs: Callable[[str], Tensor]) -> Callable[[str], Task]:
    """Return a function that gives the task with the threshold for a split.

    Args:
        task: The task. If its threshold is to be chosen, the split that it is chosen on keeps the threshold one half,
            because scores with a threshold that was chosen on the same rows are too good.
        outputs: Computes the logits `(N, C)` of a split.

    Raises:
        UsageError: The labels of the split that the threshold is chosen on are hidden.
    """
    if task.threshold is not None:
        return lambda _: task
    split = task.threshold_from
    labels = task.load(split).labels
    if are_hidden(labels):
        raise UsageError(f"threshold_from: the labels of {split!r} are hidden; name another split")
    chosen = replace(task, threshold=best_threshold(outputs(split), labels))
    undecided = replace(task, threshold=HALF, threshold_from="")
    return lambda name: undecided if name == split else chosen


def best_threshold(logits: Tensor, labels: Tensor) -> float:
    """Return the threshold, of 0.01 to 0.99, with the largest micro-averaged F1; of several the nearest to one half.

    Args:
        logits: `(N, C)`.
        labels: Zeros and ones `(N, C)`.
    """
    true, scores = labels.bool(), dict[float, float]()
    for threshold in CANDIDATES:
        predicted = logits > logits.new_tensor(log_odds(threshold))
        both = int((predicted & true).sum())
        scores[threshold] = 2 * both / max(int(predicted.sum()) + int(true.sum()), 1)
    return min(CANDIDATES, key=lambda threshold: (-scores[threshold], abs(threshold - HALF)))
