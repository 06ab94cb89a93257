"""Add the position in a recipe to errors that show only when an entry is run: in its data, files or model's outputs."""

from collections.abc import Iterator
from contextlib import contextmanager

from zoo.errors import Mark, NoFileError, OutputsError, UsageError
from zoo.recipes.schema import Recipe
from zoo.recipes.values import Call
from zoo.recipes.walk import recipe_sources, walk_calls

OUTPUTS = ("num_labels", "num_classes")
"""The arguments of a model, or of its configuration, that say how many outputs it has."""


@contextmanager
def located_by_task(call: Call) -> Iterator[None]:
    """Add the position of a task's argument, or else of the task, to errors in the block about its data.

    Args:
        call: The task in the recipe.
    """
    try:
        yield
    except (UsageError, NoFileError) as error:
        error.with_mark(call.marks.get(error.argument or "", call.mark))
        raise


@contextmanager
def located_in(recipe: Recipe) -> Iterator[None]:
    """Add positions to errors in the block about a missing local file, or a wrong number of outputs of the model."""
    try:
        yield
    except NoFileError as error:
        marks = (named.mark for named in recipe_sources(recipe) if named.text == error.source)
        error.with_mark(next(marks, None))
        raise
    except OutputsError as error:
        error.with_mark(_mark_of_outputs(recipe.model))
        raise


def _mark_of_outputs(model: Call) -> Mark:
    calls = [call for _, call in walk_calls(model, "model")]
    return next((call.marks[name] for call in calls for name in OUTPUTS if name in call.marks), model.mark)
