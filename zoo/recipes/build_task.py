"""Build a task without its tokenizer and data, to learn its splits, metrics, classes and sources."""

from zoo.recipes.build import Builder
from zoo.recipes.values import Call
from zoo.tasks.base import Task


def task_without_tokenizer(task: Call, tokenizer: Call | None, builder: Builder) -> Task:
    """Return the task of a recipe without its tokenizer, which may have to be downloaded; it cannot load its splits.

    Raises:
        UsageError: The task refuses its arguments.
    """
    return builder.instance(task, "task", Task, **({} if tokenizer is None else {"tokenizer": None}))
