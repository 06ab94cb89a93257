"""The threshold of a multilabel task: a label is predicted if its probability is above it. Never imports torch."""

import math
from collections.abc import Iterator

HALF = 0.5
"""The threshold of a task that names none."""


def log_odds(threshold: float | None) -> float:
    """Return the logit above which a label is predicted, `log(p / (1 - p))`; 0 for one half, and for None."""
    return 0.0 if threshold in (None, HALF) else math.log(threshold / (1 - threshold))


def threshold_problems(threshold: float | None, chosen_on: str | None, kind: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the arguments of a threshold, each with the name of the argument."""
    if kind != "multilabel":
        given = {"threshold": threshold, "threshold_from": chosen_on}
        for argument in (name for name, value in given.items() if value is not None):
            yield argument, f"{argument} is for kind: multilabel; this task has kind: {kind}"
    elif threshold is not None and not 0 < threshold < 1:
        yield "threshold", f"threshold is a probability above 0 and below 1, not {threshold:g}"
