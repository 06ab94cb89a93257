"""The names of metrics in records and claims."""

from collections.abc import Mapping
from typing import Any

from zoo.recipes.values import Call, short_name

OF_CLASS = "label"
"""The argument of a metric that is about one class: the number of the class."""


def metric_name(call: Call | Mapping[str, Any] | str) -> str:
    """Return the name of the metric that a call, or a call as a record stores it, makes.

    It is the last part of the name of the function; of a metric of one class with the number of the class, so that a
    recipe can have several: `f1_of_class_3` of `{use: f1_of_class, label: 3}`.
    """
    arguments: Mapping[str, Any] = call.args if isinstance(call, Call) else {} if isinstance(call, str) else call
    number = arguments.get(OF_CLASS)
    return f"{short_name(call)}_{number}" if isinstance(number, int) else short_name(call)
