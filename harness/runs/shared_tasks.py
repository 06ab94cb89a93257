"""Tokenizers and tasks that the entries of one command share, so that their data are read once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

from harness.evaluation.chosen_rows import with_chosen_rows
from zoo.fetch.published_settings import read_settings
from zoo.fetch.repository_files import CONFIG
from zoo.recipes.build import Builder
from zoo.recipes.positions import located_by_task
from zoo.recipes.schema import Recipe
from zoo.recipes.values import Call
from zoo.tasks.base import Task

MAX_ITEMS = 16
"""The number of tokenizers, and of tasks, that stay in memory: the most recently used."""


@dataclass
class _Cache:
    """The most recently used items. Threads build different items at the same time, and the same item once."""

    items: dict[Any, Any] = field(default_factory=dict)
    locks: dict[Any, Any] = field(default_factory=dict)
    """Key -> the lock that is held while the item is built."""
    lock: Any = field(default_factory=RLock)
    """Held while the dictionaries change."""

    def get_or_build(self, key: Any, build: Callable[[], Any]) -> Any:
        """Return an item, built if it is not in the cache. A thread waits while another one builds the same item."""
        with self.lock:
            lock = self.locks.setdefault(key, RLock())
        with lock:
            item = self.items.get(key)
            item = build() if item is None else item
            with self.lock:
                self.items.pop(key, None)  # the order of the items is that of their use
                self.items[key] = item
                if len(self.items) > MAX_ITEMS:
                    oldest = next(iter(self.items))
                    self.items.pop(oldest)
                    self.locks.pop(oldest, None)
        return item


@dataclass
class SharedTasks:
    """Tokenizers and tasks by their call in a recipe, and by where `hub:.` and relative paths lead."""

    tokenizers: _Cache = field(default_factory=_Cache)
    tasks: _Cache = field(default_factory=_Cache)

    def tokenizer(self, call: Call, builder: Builder, *, by_content: bool = False) -> Any:
        """Return the tokenizer of a call.

        Args:
            call: The call in a recipe.
            builder: Builds it.
            by_content: Whether a published tokenizer may be that of another repository with the same files, so that
                the texts of many models are tokenized once. A trained model must be saved with its own.
        """
        key = (by_content and _content(call, builder)) or (*_context(builder), repr(call))
        return self.tokenizers.get_or_build(key, lambda: builder.build(call, "tokenizer"))

    def task(self, call: Call, tokenizer: Any, builder: Builder, recipe: Recipe | None = None) -> Task:
        """Return the task of a call with the rows that a recipe chooses; its tokenizer may be None."""
        argument = {} if tokenizer is None else {"tokenizer": tokenizer}
        # the tokenizer is stored with the task, so that its id stays in use
        chosen = None if recipe is None else (recipe.rows, recipe.holdout)
        key = (*_context(builder), repr(call), id(tokenizer), repr(chosen))

        def build() -> tuple[Any, Task]:
            task = builder.instance(call, "task", Task, **argument)
            return tokenizer, with_chosen_rows(task, recipe, builder.sources)

        item: tuple[Any, Task] = self.tasks.get_or_build(key, build)
        return replace(item[1], located=partial(located_by_task, call))


def _context(builder: Builder) -> tuple[str | None, Path | None]:
    """Return what a call's sources depend on besides the call: where `hub:.` and relative paths lead."""
    return builder.sources.recipe_repo, builder.sources.recipe_folder


def _content(call: Call, builder: Builder) -> tuple[Any, ...] | None:
    """Return what decides how a published tokenizer works: its files, and the kind of the model. None for any other."""
    source = call.args.get("of")
    if call.use != "published" or not isinstance(source, str):
        return None
    fetched = builder.sources.fetch(source, "tokenizer")
    digests = dict(zip(fetched.names, fetched.files.values(), strict=True))
    settings = {} if digests.pop(CONFIG, None) is None else read_settings(fetched.path / CONFIG)
    kind = (settings.get("model_type"), settings.get("tokenizer_class"))
    others = {name: value for name, value in call.args.items() if name != "of"}
    return ("published", repr(others), kind, tuple(sorted(digests.items())))
