"""What entries of one command have in common: tokenizers and tasks, with what was read of them, are made once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from zoo.recipes.build import Builder
from zoo.recipes.reader import Call
from zoo.tasks.base import Task

_CHANGING = Lock()
MOST = 16
"""So many tokenizers and as many tasks are kept, those that were used last."""


@dataclass
class SharedTasks:
    """Tokenizers and tasks by what their calls say, and in which repository `hub:.` is read."""

    tokenizers: dict[Any, Any] = field(default_factory=dict)
    tasks: dict[Any, tuple[Any, Task]] = field(default_factory=dict)

    def tokenizer(self, call: Call, builder: Builder) -> Any:
        """The tokenizer of a call."""
        return _kept(self.tokenizers, (builder.sources.here, repr(call)), lambda: builder.build(call, "tokenizer"))

    def task(self, call: Call, tokenizer: Any, builder: Builder) -> Task:
        """The task of a call, given the tokenizer unless that is None."""
        given = {} if tokenizer is None else {"tokenizer": tokenizer}
        key = (builder.sources.here, repr(call), id(tokenizer))  # kept beside the task, so that no other has its id
        found: tuple[Any, Task] = _kept(self.tasks, key, lambda: (tokenizer, builder.build(call, "task", **given)))
        return found[1]


def _kept(known: dict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
    """What is known under a key, else made; the one that was not used for longest makes room.

    The next entry is made ready by another thread: two that want the same at once may both make it.
    """
    with _CHANGING:
        found = known.pop(key, None)
    found = make() if found is None else found
    with _CHANGING:
        known[key] = found
        if len(known) > MOST:
            del known[next(iter(known))]
    return found
