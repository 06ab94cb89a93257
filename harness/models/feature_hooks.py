"""Reading a model's inside: the input or output of any module, by its path, while a `with` lasts.

    PATH[#CALL][:input|:output[.ITEM...]]

    layer1.-1.relu         the output of a module; a negative number counts from the end of a list of modules
    bert:output.pooler_output    one item of an output that is a tuple, a dict or an object of transformers
    fc:input               what a module is called with; `:input.1` its second argument, `:input.mask` one by name
    relu#1   relu#*        the second call of a module that is called several times; all of them, stacked
    :output                the model itself

Where no item is named it is the first tensor there is. Tensors are copied as they pass: what comes after may change
them in place, as the ReLU and the `out += identity` of a ResNet do.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import UsageError, did_you_mean

_GRAMMAR = re.compile(r"(?P<path>[^#:]*)(#(?P<call>\d+|\*))?(:(?P<side>input|output)(\.(?P<items>.+))?)?")


@contextmanager
def feature_hooks(model: nn.Module, paths: Sequence[str], *, stop: bool = False) -> Iterator[Mapping[str, Tensor]]:
    """Read what flows at `paths` in the forward inside the `with`: a mapping from path to tensor, filled as it runs.

    The hooks are gone when the `with` ends. With `stop` the forward ends where nothing is left to read (a tap of all
    calls, `#*`, never lets it). Raises UsageError for a path that the model does not have, naming the nearest, for a
    module that was not called, or that was called several times and no call is named.
    """
    seen: dict[str, Tensor] = {}
    readings = [_Reading(parse_feature_path(path)) for path in paths]

    def see(reading: _Reading, value: Any) -> None:
        if reading.see(value):
            seen[reading.tap.text] = reading.tensor()
        if stop and all(reading.done for reading in readings):
            raise _Stop

    with ExitStack() as hooks:
        for reading in readings:
            module = find_module(model, reading.tap.path)
            hooks.callback(_hook(module, reading, see).remove)
        with suppress(_Stop):
            yield seen
    for reading in readings:
        reading.check()


def find_module(model: nn.Module, path: str) -> nn.Module:
    """The module at a path; raises UsageError naming the nearest."""
    module = model
    for part in path.split(".") if path else []:
        children = dict(module.named_children())
        if re.fullmatch(r"-\d+", part) and 0 < int(part[1:]) <= len(children):
            part = list(children)[int(part)]  # noqa: PLW2901
        if part not in children:
            names = [name for name, _ in model.named_modules() if name]
            raise UsageError(f"{type(model).__name__} has no module {path!r}{did_you_mean(path, names)}")
        module = children[part]
    return module


@dataclass(frozen=True)
class FeaturePath:
    """What is to be read: the `call` (a number, `*`, or None: the only one) of the module at `path`."""

    text: str
    path: str
    call: str | None
    side: str
    items: tuple[str, ...]


def parse_feature_path(text: str) -> FeaturePath:
    """A tap as it is written; raises UsageError for what is none."""
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no tap; write PATH[#CALL][:input|:output[.ITEM...]], such as layer1.0:input")
    items = match["items"]
    return FeaturePath(
        text, match["path"], match["call"], match["side"] or "output", tuple(items.split(".")) if items else ()
    )


class _Stop(Exception):
    """Nothing is left to read."""


@dataclass
class _Reading:
    """What has been read of a tap."""

    tap: FeaturePath
    calls: int = 0
    found: list[Tensor] = field(default_factory=list)

    def see(self, value: Any) -> bool:
        """Take the value if it is of the call that is wanted; whether it was."""
        wanted = self.tap.call == "*" or self.calls == int(self.tap.call or 0)
        self.calls += 1
        if wanted:
            self.found.append(_item(value, self.tap).clone())
        return wanted

    def tensor(self) -> Tensor:
        """What was read; of all calls stacked, `(calls, ...)`."""
        if self.tap.call == "*" and len({tensor.shape for tensor in self.found}) == 1:
            return torch.stack(self.found)
        return self.found[-1]

    @property
    def done(self) -> bool:
        return self.tap.call != "*" and bool(self.found)

    def check(self) -> None:
        """Raise UsageError unless exactly what was asked for has been read."""
        tap = self.tap
        ran = f"{tap.path or 'the model'} ran {self.calls} times in this forward"
        if not self.found:
            raise UsageError(f"nothing to read at {tap.text!r}: {ran}")
        if tap.call is None and self.calls > 1:
            raise UsageError(f"{ran}; write {tap.path}#N:{tap.side} for one of them, N from 0, or #* for all")
        if tap.call == "*" and len({tensor.shape for tensor in self.found}) > 1:
            raise UsageError(f"{tap.text!r}: {ran}, with different shapes, which cannot be stacked")


def _hook(module: nn.Module, reading: _Reading, see: Callable[[_Reading, Any], None]) -> Any:
    if reading.tap.side == "input":

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            see(reading, {**{str(place): value for place, value in enumerate(args)}, **kwargs})

        return module.register_forward_pre_hook(before, with_kwargs=True)

    def after(_: nn.Module, args: Any, output: Any) -> None:
        see(reading, output)

    return module.register_forward_hook(after)


def _item(value: Any, tap: FeaturePath) -> Tensor:
    """The tensor at the items of nested tuples and mappings, the first there is where they end before a tensor."""
    for item in tap.items:
        parts = _parts(value)
        if re.fullmatch(r"-\d+", item) and isinstance(value, Sequence) and int(item[1:]) <= len(value):
            value = value[int(item)]
        elif item in parts:
            value = parts[item]
        else:
            raise UsageError(f"{tap.text!r}: there is no item {item!r}{did_you_mean(item, list(parts))}")
    tensor = next(_tensors(value), None)
    if tensor is None:
        raise UsageError(f"{tap.text!r}: there is no tensor, but {type(value).__name__}")
    return tensor


def _parts(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):  # an output of transformers is one
        return {str(key): part for key, part in value.items()}
    return {str(place): part for place, part in enumerate(value)} if isinstance(value, list | tuple) else {}


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    for part in _parts(value).values():
        yield from _tensors(part)
