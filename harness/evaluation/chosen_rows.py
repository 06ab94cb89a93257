"""The rows that a recipe chooses: `rows` of a split first, and from these a hold-out."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

from harness.evaluation.holdout import example_count, part, with_holdout
from zoo.errors import Mark, UsageError
from zoo.fetch.sources import Sources
from zoo.recipes.row_subset import RowSubset, positions
from zoo.recipes.schema import Recipe
from zoo.tasks.base import Split, Task


def with_chosen_rows(task: Task, recipe: Recipe | None, sources: Sources) -> Task:
    """Return a task whose splits have the rows that a recipe chooses, and its hold-out.

    Args:
        task: The task.
        recipe: The recipe; None for the task as it is.
        sources: Fetches files of row numbers.

    Raises:
        UsageError: As `with_holdout`. Loading a split raises it for a row that the split does not have.
    """
    if recipe is None:
        return task
    chosen = {split: subset for split, subset in recipe.rows.items() if split in task.splits}
    return with_holdout(_with_rows(task, chosen, sources, recipe.marks.get("rows")), recipe.holdout)


def _with_rows(task: Task, chosen: Mapping[str, RowSubset], sources: Sources, mark: Mark | None) -> Task:
    if not chosen:
        return task

    @cache
    def rows_of(split: str) -> tuple[int, ...]:
        subset = chosen[split]
        file = sources.fetch(str(subset)).path if subset.is_file else None
        try:
            return tuple(positions(subset, file, example_count(task.load(split))))
        except UsageError as error:
            raise UsageError(f"rows: {split}: {error}").with_mark(mark) from None

    def load(split: str, whole: Callable[[], Split]) -> Split:
        return part(whole(), rows_of(split))

    def scoring(split: str) -> Mapping[str, Any]:
        inner = task.scoring(split)
        return {"of": example_count(task.load(split)), **inner, "rows": str(chosen[split])}

    loaders = {split: partial(load, split, partial(task.load, split)) for split in chosen}
    plain = {split: partial(load, split, task.plain[split]) for split in chosen if split in task.plain}
    return replace(
        task, splits={**task.splits, **loaders}, plain={**task.plain, **plain}, loaded={}, contents={},
        subsets={**task.subsets, **{split: partial(scoring, split) for split in chosen}},
    )  # fmt: skip
