"""A list of classes in a recipe: their names, their number, or a file with one name a line."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from zoo.errors import SourceError, UsageError, errors_about
from zoo.fetch.sources import Source
from zoo.tasks.labels import Classes, class_names

ClassList = Classes | Source
"""The classes in a recipe, or a local file with their names."""


def listed_classes(classes: ClassList, argument: str = "classes") -> Classes:
    """Return the classes of a recipe, read from their file if it names one.

    Args:
        classes: The classes.
        argument: The name of the argument, for messages.

    Raises:
        UsageError: The source is no local file: the classes must be known before anything is downloaded.
        SourceError: See `read_names`.
    """
    if not isinstance(classes, Source):
        return classes
    if not classes.is_local_file or classes.sources.recipe_repo is not None:
        advice = "write the names into the recipe, or on your machine into a file: file:classes.txt"
        raise UsageError(f"{argument}: {classes.name} cannot be read before it is downloaded; {advice}").about(argument)
    with errors_about(argument):
        path = classes.fetch().path
    return read_names(path)


def read_names(path: Path) -> list[str]:
    """Return the names of classes in a file, one a line.

    Raises:
        SourceError: The file cannot be read, or a line is empty or has the name of an earlier line.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as names of classes, one a line: {error}") from None
    twice = {name for name, count in Counter(lines).items() if count > 1}
    for number, name in enumerate(lines, 1):
        if not name or name in twice:
            problem = f"the class {name!r} is listed twice" if name else "there is no name"
            raise SourceError(f"{path}:{number}: {problem}; write one name of a class a line, each once")
    return lines


def chosen_classes(only: Sequence[str | int | float] | Source) -> tuple[str, ...]:
    """Return the names of the classes whose rows are read; none for the rows of all classes."""
    names = listed_classes(only, "only")
    if isinstance(names, int | str):
        raise UsageError(f"only must be a list of classes, such as [{names}]").about("only")
    chosen = class_names(names)
    if twice := next((name for name, count in Counter(chosen).items() if count > 1), None):
        raise UsageError(f"only: the class {twice!r} is listed twice").about("only")
    return chosen
