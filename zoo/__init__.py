"""Check whether published weights, configurations and scores agree.

    >>> import zoo
    >>> zoo.verify(suite="starter").verdict
    'reproduced'

The names in `__all__` are loaded at first use, so that `import zoo` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.api import audit, evaluate, plot, read_record, reproduce, submit, train, verify
    from zoo.api import list_entries as list  # noqa: A004 - the name of the command
    from zoo.errors import IntegrityError, InternalError, RecipeError, SourceError, UsageError, ZooError

__all__ = [
    "IntegrityError",
    "InternalError",
    "RecipeError",
    "SourceError",
    "UsageError",
    "ZooError",
    "audit",
    "evaluate",
    "list",
    "plot",
    "read_record",
    "reproduce",
    "submit",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    module = import_module("zoo.errors" if name.endswith("Error") else "zoo.api")
    return getattr(module, "list_entries" if name == "list" else name)


def __dir__() -> tuple[str, ...]:
    return (*globals(), *__all__)
