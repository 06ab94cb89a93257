"""Walk over the calls of a recipe, and over the sources that it names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from zoo.errors import Mark
from zoo.fetch.source_types import is_source
from zoo.recipes.fields import nearest_field
from zoo.recipes.schema import Recipe
from zoo.recipes.values import Call, texts


@dataclass(frozen=True)
class NamedSource:
    """A source that a recipe names."""

    text: str
    field: str
    """The field of the call that it is an argument of, or `weights`."""
    mark: Mark


def walk_calls(value: Any, field: str = "") -> Iterator[tuple[str, Call]]:
    """Yield every call in a value, with the field that it stands in.

    Args:
        value: A recipe, a part of one, a call, or a list or mapping of these.
        field: The field of the value itself, if it is a call.
    """
    if isinstance(value, Call):
        yield field, value
        for key, argument in value.args.items():
            yield from walk_calls(argument, nearest_field(key, field))
    elif is_dataclass(value):
        for part in fields(value):
            if part.compare:  # marks hold no calls
                yield from walk_calls(getattr(value, part.name), part.name)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from walk_calls(item, field)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from walk_calls(item, field)


def walk_sources(value: Any, field: str = "") -> Iterator[NamedSource]:
    """Yield every source among the arguments of the calls in a value. The arguments are those of `walk_calls`."""
    for call_field, call in walk_calls(value, field):
        for key, argument in call.args.items():
            for text in filter(is_source, texts(argument)):
                yield NamedSource(text, call_field, call.marks.get(key, call.mark))


def recipe_sources(recipe: Recipe) -> Iterator[NamedSource]:
    """Yield every source that a recipe names; the sources of another entry that it names are not included."""
    if recipe.weights is not None:
        yield NamedSource(recipe.weights, "weights", recipe.marks.get("weights", recipe.task.mark))
    for rows in recipe.rows.values():
        if rows.is_file:
            yield NamedSource(str(rows), "rows", recipe.marks.get("rows", recipe.task.mark))
    for stage in recipe.stages:
        for teacher in stage.all_teachers.values():
            if teacher.weights is not None:
                mark = teacher.marks.get("weights", stage.optimizer.mark)
                yield NamedSource(teacher.weights, "weights", mark)
    yield from walk_sources(recipe)
