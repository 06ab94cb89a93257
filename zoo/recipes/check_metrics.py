"""Check the arguments of zoo's own metrics: the class or type that they score, and how they average."""

from collections.abc import Iterator

from zoo.errors import Problem, did_you_mean
from zoo.recipes.schema import Recipe
from zoo.recipes.values import Call
from zoo.tasks.base import Task
from zoo.tasks.entities import NO_SCHEME, OUTSIDE, split_tag

POSITIONS = ("label", "of_type")
"""The arguments that name one class, or one type of entities, by its position."""
OF_TAGS = ("entity_f1", "entity_precision", "entity_recall", "token_f1", "token_precision", "token_recall")
AVERAGES = ("micro", "macro", "weighted")
"""The averages of the metrics of tags."""


def argument_problems(recipe: Recipe, task: Task | None) -> Iterator[Problem]:
    """Yield arguments of metrics that name no class or type of the task, or an average that does not exist.

    Args:
        recipe: The recipe.
        task: Its task; None if it is not known. Classes that only the data declare are checked when they are read.
    """
    for number, call in enumerate(recipe.metrics):
        if "." not in call.use:
            for argument, problem in _problems(call, task):
                where = call.marks.get(argument, call.mark)
                yield Problem(where, f"metrics[{number}]: {call.use}: {argument}: {problem}")


def _problems(call: Call, task: Task | None) -> Iterator[tuple[str, str]]:
    for argument in (name for name in POSITIONS if call.args.get(name) is not None):
        value, count = call.args[argument], _count(argument, task)
        last = f" from 0 to {count - 1}" if count else ", from 0"
        if isinstance(value, bool) or not isinstance(value, int) or value < 0 or (count and value >= count):
            yield argument, f"it is the position of a {_noun(argument)}{last}, not {value!r}"
    average = call.args.get("average", "micro")
    if call.use in OF_TAGS and average not in AVERAGES:
        hint = did_you_mean(average, list(AVERAGES)) if isinstance(average, str) else ""
        yield "average", f"it must be micro, macro or weighted, not {average!r}{hint}"
    is_one_label = task is not None and task.kind == "classification"
    if call.use == "f1" and average == "samples" and is_one_label:
        yield "average", "'samples' is for kind: multilabel; write binary, macro, micro or weighted"


def _noun(argument: str) -> str:
    return "class" if argument == "label" else "type of entities"


def _count(argument: str, task: Task | None) -> int:
    """Return how many classes or types the recipe lists; 0 if only the data declare them."""
    names = task.label_names if task is not None else ()
    if argument == "label":
        return len(names)
    if getattr(getattr(task, "readout", None), "scheme", NO_SCHEME) == NO_SCHEME:
        return 0
    return len({split_tag(name)[1] for name in names if name != OUTSIDE[0]})
