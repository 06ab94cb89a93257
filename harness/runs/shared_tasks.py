"""Tokenizers and tasks that the entries of one command share, so that their data are read once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

from harness.evaluation.holdout import with_holdout
from zoo.fetch.published_settings import read_settings
from zoo.fetch.repository_files import CONFIG
from zoo.recipes.build import Builder
from zoo.recipes.positions import located_by_task
from zoo.recipes.reader import Call
from zoo.recipes.schema import Holdout
from zoo.tasks.base import Task

_CACHES_LOCK = RLock()
MAX_ITEMS = 16
"""The number of tokenizers, and of tasks, that stay in memory: the most recently used."""


@dataclass
class SharedTasks:
    """Tokenizers and tasks by their call in a recipe, and by where `hub:.` and relative paths lead."""

    tokenizers: dict[Any, Any] = field(default_factory=dict)
    tasks: dict[Any, tuple[Any, Task]] = field(default_factory=dict)

    def tokenizer(self, call: Call, builder: Builder, *, by_content: bool = False) -> Any:
        """Return the tokenizer of a call.

        Args:
            call: The call in a recipe.
            builder: Builds it.
            by_content: Whether a published tokenizer may be that of another repository with the same files, so that
                the texts of many models are tokenized once. A trained model must be saved with its own.
        """
        key = (by_content and _content(call, builder)) or (*_context(builder), repr(call))
        return _get_or_build(self.tokenizers, key, lambda: builder.build(call, "tokenizer"))

    def task(self, call: Call, tokenizer: Any, builder: Builder, holdout: Holdout | None = None) -> Task:
        """Return the task of a call with its hold-out; the tokenizer is passed to it unless it is None."""
        argument = {} if tokenizer is None else {"tokenizer": tokenizer}
        # the tokenizer is stored with the task, so that its id stays in use
        key = (*_context(builder), repr(call), id(tokenizer), repr(holdout))

        def build() -> tuple[Any, Task]:
            return tokenizer, with_holdout(builder.instance(call, "task", Task, **argument), holdout)

        item: tuple[Any, Task] = _get_or_build(self.tasks, key, build)
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


def _get_or_build(cache: dict[Any, Any], key: Any, build: Callable[[], Any]) -> Any:
    """Return an item, built if it is not in the cache; the least recently used one is dropped if there are too many.

    Another thread prepares the next entry. A thread that needs an item waits while another one builds it.
    """
    with _CACHES_LOCK:
        item = cache.pop(key, None)
        item = build() if item is None else item
        cache[key] = item
        if len(cache) > MAX_ITEMS:
            del cache[next(iter(cache))]
    return item
