"""The values that a recipe is read into: inert calls, and plain data of them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any

from zoo.errors import Mark


@dataclass(frozen=True, kw_only=True)
class Call:
    """Something to build, written `{use: NAME, ARGUMENT: VALUE, ...}`; inert until `zoo.recipes.build` builds it."""

    use: str
    """The name of a class or function; without a dot it is looked up in the namespace of the call's field."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """The arguments: scalars, lists, mappings and calls."""
    mark: Mark = field(default=Mark(path="<code>", line=1, column=1), compare=False, repr=False)
    """Where the call stands."""
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)
    """Where the arguments' keys stand."""


class InvalidValuesError(ValueError):
    """The values of a dataclass of the schema do not fit each other. The arguments are the problems."""

    def __str__(self) -> str:
        return "; ".join(self.args)


def short_name(call: Call | Mapping[str, Any] | str) -> str:
    """Return the last part of the name that a call, or a call as a record stores it, builds: `f1` of `metrics.f1`."""
    use = call.use if isinstance(call, Call) else call if isinstance(call, str) else str(call["use"])
    return use.rpartition(".")[2]


def refuse(problems: Iterable[str]) -> None:
    """Raise InvalidValuesError with all problems, if there are any."""
    if messages := tuple(problems):
        raise InvalidValuesError(*messages)


def texts(value: Any) -> Iterator[str]:
    """Yield every text in plain data: the scalars in nested mappings and lists, but no keys."""
    if isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def to_data(value: Any) -> Any:
    """Return a value as plain sorted data without fields that hold their default. Digests are taken of it."""
    if isinstance(value, Call):
        return {"use": value.use, **{key: to_data(arg) for key, arg in sorted(value.args.items())}}
    if is_dataclass(value):
        pairs = [(part, getattr(value, part.name)) for part in fields(value)]
        stated = [(part.name, item) for part, item in pairs if part.compare and item != _default(part)]
        return {name: to_data(item) for name, item in sorted(stated)}
    if isinstance(value, Mapping):
        return {key: to_data(item) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [to_data(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no such numbers
        return f"{value}"
    return value


def _default(part: Any) -> Any:
    return part.default_factory() if part.default_factory is not MISSING else part.default
