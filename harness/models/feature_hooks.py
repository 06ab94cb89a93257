"""Forward hooks that read the input or output of any module of a model.

A feature path names the tensor to read:

    PATH[#CALL][:input|:output[.ITEM...]]

    layer1.-1.relu              the output of a module; a negative number counts from the end of a list of modules
    bert:output.pooler_output   one item of an output that is a tuple, a dict or a transformers output object
    fc:input                    the first argument of a module; `:input.1` is its second argument, `:input.mask` the
                                argument of that name
    relu#1   relu#*             the second call of a module that is called several times; all calls, stacked
    :output                     the output of the model itself

A path without an item reads the first tensor that it finds. Hooks copy the tensors, because later modules may change
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
    """Read the tensors at `paths` during the forward pass inside the `with` block.

    The hooks are removed when the block ends.

    Args:
        model: The model to read.
        paths: Feature paths, as the module docstring describes them.
        stop: Whether to end the forward pass as soon as every path has been read. A path that reads all calls (`#*`)
            prevents this.

    Yields:
        A mapping from path to tensor, filled while the model runs.

    Raises:
        UsageError: The model has no such module or item, the module was not called, or it was called several times and
            the path names no call.
    """
    features: dict[str, Tensor] = {}
    readers = [_Reader(parse_feature_path(path)) for path in paths]

    def read(reader: _Reader, value: Any) -> None:
        if reader.read(value):
            features[reader.feature.text] = reader.tensor()
        if stop and all(reader.is_done for reader in readers):
            raise _StopForward

    with ExitStack() as hooks:
        for reader in readers:
            module = find_module(model, reader.feature.path)
            hooks.callback(_register_hook(module, reader, read).remove)
        with suppress(_StopForward):
            yield features
    for reader in readers:
        reader.check()


def find_module(model: nn.Module, path: str) -> nn.Module:
    """Return the module at a path such as `layer1.-1.relu`.

    Raises:
        UsageError: There is no such module. The message suggests the nearest name.
    """
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
    """A parsed feature path.

    Attributes:
        text: The path as written.
        path: The path of the module; empty for the model itself.
        call: The number of the call to read, `*` for all calls, or None for the only call.
        side: `input` or `output`.
        items: Keys and positions that lead to the tensor inside the input or output.
    """

    text: str
    path: str
    call: str | None
    side: str
    items: tuple[str, ...]


def parse_feature_path(text: str) -> FeaturePath:
    """Parse a feature path; raises UsageError if its syntax is wrong."""
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not a feature path; write PATH[#CALL][:input|:output[.ITEM...]], such as layer1.0:input"
        )
    items = match["items"]
    return FeaturePath(
        text, match["path"], match["call"], match["side"] or "output", tuple(items.split(".")) if items else ()
    )


class _StopForward(Exception):
    """Every path has been read."""


@dataclass
class _Reader:
    """The tensors read at one feature path."""

    feature: FeaturePath
    calls: int = 0
    tensors: list[Tensor] = field(default_factory=list)

    def read(self, value: Any) -> bool:
        """Copy the tensor if the path names this call, and return whether it does."""
        is_wanted = self.feature.call == "*" or self.calls == int(self.feature.call or 0)
        self.calls += 1
        if is_wanted:
            self.tensors.append(_item(value, self.feature).clone())
        return is_wanted

    def tensor(self) -> Tensor:
        """Return the tensor; for all calls of equal shape `(calls, ...)`."""
        if self.feature.call == "*" and len({tensor.shape for tensor in self.tensors}) == 1:
            return torch.stack(self.tensors)
        return self.tensors[-1]

    @property
    def is_done(self) -> bool:
        return self.feature.call != "*" and bool(self.tensors)

    def check(self) -> None:
        """Raise UsageError unless the module was called as the path expects."""
        feature = self.feature
        ran = f"{feature.path or 'the model'} ran {self.calls} times in this forward pass"
        if not self.tensors:
            raise UsageError(f"no tensor was read at the feature path {feature.text!r}: {ran}")
        if feature.call is None and self.calls > 1:
            raise UsageError(f"{ran}; write {feature.path}#N:{feature.side} for call N (from 0), or #* for all calls")
        if feature.call == "*" and len({tensor.shape for tensor in self.tensors}) > 1:
            raise UsageError(f"{feature.text!r}: {ran}, with different shapes, which cannot be stacked")


def _register_hook(module: nn.Module, reader: _Reader, read: Callable[[_Reader, Any], None]) -> Any:
    if reader.feature.side == "input":

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            read(reader, {**{str(position): value for position, value in enumerate(args)}, **kwargs})

        return module.register_forward_pre_hook(before, with_kwargs=True)

    def after(_: nn.Module, args: Any, output: Any) -> None:
        read(reader, output)

    return module.register_forward_hook(after)


def _item(value: Any, path: FeaturePath) -> Tensor:
    """Return the first tensor below the path's items in nested tuples and mappings."""
    for item in path.items:
        parts = _parts(value)
        if re.fullmatch(r"-\d+", item) and isinstance(value, Sequence) and int(item[1:]) <= len(value):
            value = value[int(item)]
        elif item in parts:
            value = parts[item]
        else:
            raise UsageError(f"{path.text!r}: there is no item {item!r}{did_you_mean(item, list(parts))}")
    tensor = next(_tensors(value), None)
    if tensor is None:
        raise UsageError(f"{path.text!r}: expected a tensor, found {type(value).__name__}")
    return tensor


def _parts(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):  # also an output object of transformers
        return {str(key): part for key, part in value.items()}
    return {str(position): part for position, part in enumerate(value)} if isinstance(value, list | tuple) else {}


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    for part in _parts(value).values():
        yield from _tensors(part)
