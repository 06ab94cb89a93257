"""Check the positions of classes and types that the arguments of metrics name, before anything is scored."""

from collections.abc import Mapping

from harness.metrics import Array, Metric
from zoo.errors import UsageError
from zoo.text_tables import counted

NAMES = {"label": ("class", "classes"), "of_type": ("type of entities", "types of entities")}
"""Argument of a metric -> what it counts."""


def counts_of(arrays: Mapping[str, Array]) -> dict[str, int]:
    """Return how many classes and types of entities an evaluation has, by the argument that names one of them.

    A count that its arrays do not show is left out.
    """
    of_classes = (arrays[name] for name in ("logits", "predictions") if name in arrays)
    classes = [array.shape[1] for array in of_classes if array.ndim == 2]
    types = {"of_type": arrays["entities"].shape[2]} if "entities" in arrays else {}
    return {**types, **({"label": classes[0]} if classes else {})}


def out_of_range(metric: Metric, counts: Mapping[str, int]) -> str:
    """Return that an argument of one of zoo's metrics names a class or type that does not exist, or an empty text."""
    if not getattr(getattr(metric, "func", None), "__module__", "").startswith("harness."):
        return ""
    for argument, count in counts.items():
        value = getattr(metric, "keywords", {}).get(argument)
        if value is not None and not (isinstance(value, int) and 0 <= value < count):
            choice = f"; write a position from 0 to {count - 1}" if count else ""
            found = f"there {'is' if count == 1 else 'are'} {counted(count, *NAMES[argument])}"
            return f"{argument} is {value!r}, but {found}{choice}"
    return ""


def check_arguments(metrics: Mapping[str, Metric], counts: Mapping[str, int]) -> None:
    """Raise UsageError if an argument of a metric names a class or type that does not exist."""
    for name, metric in metrics.items():
        if problem := out_of_range(metric, counts):
            raise UsageError(f"the metric {name!r}: {problem}")
