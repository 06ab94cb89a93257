"""Check the splits that a recipe names: of its hold-out, of its stages, and those that are scored."""

from collections.abc import Iterator

from zoo.errors import Problem, did_you_mean
from zoo.recipes.schema import Recipe
from zoo.tasks.base import Task

NOTHING_SCORED = (
    "the task has no split to score; name one beside `train` in the task,"
    " or take rows out of the training: `holdout: {of: train, share: 0.1, seed: 42}`"
)


def split_problems(recipe: Recipe, task: Task) -> Iterator[Problem]:
    """Yield splits that the recipe's task does not have or has twice, and a recipe that scores none.

    Args:
        recipe: The recipe.
        task: Its task, without the hold-out.
    """
    splits = list(task.splits)
    yield from _holdout_problems(recipe, splits)
    if not task.scored and recipe.holdout is None:
        yield Problem(recipe.task.mark, NOTHING_SCORED)
    known = [*splits, recipe.holdout.name] if recipe.holdout else splits
    for stage in recipe.stages if recipe.weights is None else ():  # weights can be evaluated without it
        if stage.task is None and stage.split not in known:
            hint = f"{did_you_mean(stage.split, known)}; `split` of a stage names the split to train on"
            mark = stage.marks.get("split", recipe.task.mark)
            yield Problem(mark, f"the task has no split {stage.split!r} to train on{hint}")


def _holdout_problems(recipe: Recipe, splits: list[str]) -> Iterator[Problem]:
    if recipe.holdout is None:
        return
    mark, of, name = recipe.marks["holdout"], recipe.holdout.of, recipe.holdout.name
    if of not in splits:
        yield Problem(mark, f"holdout: the task has no split {of!r}{did_you_mean(of, splits)}")
    if name in splits:
        yield Problem(mark, f"holdout: the task has a split {name!r} already; choose another name: `name: held_out`")
