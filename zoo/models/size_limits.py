"""Stop building a model that is far larger than intended, before it fills the memory."""

import threading
from collections.abc import Callable, Iterator
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


@contextmanager
def size_limits() -> Iterator[None]:
    """Limit the number of modules and of values that are built or copied in the block.

    Raises:
        UsageError: There are more than ZOO_MAX_MODULES modules, or more than ZOO_MAX_PARAMETERS values.
    """
    most = {name: limit(name) for name in ("ZOO_MAX_MODULES", "ZOO_MAX_PARAMETERS")}
    counts, thread = dict.fromkeys(most, 0), threading.get_ident()

    def count(variable: str, number: int) -> None:
        counts[variable] += number if threading.get_ident() == thread else 0
        if counts[variable] > most[variable]:
            what = "modules" if variable == "ZOO_MAX_MODULES" else "parameters"
            raise UsageError(f"the model has more than {most[variable]:,} {what}; {variable} raises this limit")

    def count_module(parent: nn.Module, name: str, child: nn.Module | None) -> None:
        count("ZOO_MAX_MODULES", 1)

    def count_values(parent: nn.Module, name: str, values: Tensor | None) -> None:
        if values is not None and not is_lazy(values):
            count("ZOO_MAX_PARAMETERS", values.numel())

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
            count("ZOO_MAX_PARAMETERS", sum(each.numel() for each in values if not is_lazy(each)))
            count("ZOO_MAX_MODULES", 1)

        nn.Module.__setstate__ = counted  # type: ignore[method-assign]
        try:
            yield
        finally:
            nn.Module.__setstate__ = set_state  # type: ignore[method-assign]
