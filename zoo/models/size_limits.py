"""Stop building a model that is far larger than intended, before it fills the memory."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.nn.parameter import is_lazy

from zoo.errors import UsageError
from zoo.fetch.build_limits import limit

Count = Callable[[str, int], None]
_building = threading.RLock()
"""Held while copies are counted: two threads cannot replace a method of all modules and restore it."""


LIMITS = {
    "modules": "ZOO_MAX_MODULES",
    "parameter tensors": "ZOO_MAX_MODULES",
    "parameters": "ZOO_MAX_PARAMETERS",
}
"""The variables that limit what a model has."""


def _too_many(what: str) -> str:
    return f"more than {limit(LIMITS[what]):,} {what}; {LIMITS[what]} raises this limit"


def too_many_recurrent_layers(kind: Any, arguments: Mapping[str, Any]) -> str | None:
    """Return the problem with the layers of an RNN, LSTM or GRU, or None. Torch needs minutes to build very many.

    Args:
        kind: A class or function; only those of recurrent layers are checked.
        arguments: Its arguments.
    """
    layers = arguments.get("num_layers", 1)
    if not (isinstance(kind, type) and issubclass(kind, nn.RNNBase)) or type(layers) is not int:
        return None
    tensors = layers * (2 if arguments.get("bias", True) is False else 4) * (2 if arguments.get("bidirectional") else 1)
    is_deep = tensors > limit(LIMITS["parameter tensors"])
    return f"num_layers: {_too_many('parameter tensors')}" if is_deep else None


@contextmanager
def size_limits() -> Iterator[None]:
    """Limit the number of modules, of parameter tensors and of values that are built or copied in the block.

    Raises:
        UsageError: There are more than ZOO_MAX_MODULES modules or parameter tensors, or more than ZOO_MAX_PARAMETERS
            values.
    """
    counts, thread = dict.fromkeys(LIMITS, 0), threading.get_ident()
    most = {what: limit(variable) for what, variable in LIMITS.items()}

    def count(what: str, number: int) -> None:
        counts[what] += number if threading.get_ident() == thread else 0
        if counts[what] > most[what]:
            raise UsageError(f"the model has {_too_many(what)}")

    def count_module(parent: nn.Module, name: str, child: nn.Module | None) -> None:
        count("modules", 1)

    def count_values(parent: nn.Module, name: str, values: Tensor | None) -> None:
        if values is not None:
            count("parameter tensors", isinstance(values, nn.Parameter))
            count("parameters", 0 if is_lazy(values) else values.numel())

    with ExitStack() as stack:
        stack.callback(hooks.register_module_module_registration_hook(count_module).remove)
        stack.callback(hooks.register_module_parameter_registration_hook(count_values).remove)
        stack.callback(hooks.register_module_buffer_registration_hook(count_values).remove)
        stack.enter_context(_copies_counted(count))
        yield


@contextmanager
def _copies_counted(count: Count) -> Iterator[None]:
    """Count the modules that are copied in the block: copying registers none, and layers are copied before they are."""
    with _building:
        set_state: Callable[[nn.Module, dict[str, Any]], None] = nn.Module.__setstate__

        def counted(module: nn.Module, state: dict[str, Any]) -> None:
            set_state(module, state)
            values = (*module.parameters(recurse=False), *module.buffers(recurse=False))
            count("parameters", sum(each.numel() for each in values if not is_lazy(each)))
            count("modules", 1)

        nn.Module.__setstate__ = counted  # type: ignore[method-assign]
        try:
            yield
        finally:
            nn.Module.__setstate__ = set_state  # type: ignore[method-assign]
