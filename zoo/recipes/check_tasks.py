"""Check tasks without their data, and what a recipe says about them: splits, metrics, held-out rows and classes."""

import inspect
from collections.abc import Iterator, Sequence

from zoo.errors import NoFileError, Problem, RecipeError, UsageError
from zoo.recipes.allowed import is_allowed
from zoo.recipes.build import Builder
from zoo.recipes.build_task import task_without_tokenizer
from zoo.recipes.check_claims import stage_name_problems
from zoo.recipes.check_losses import label_problems
from zoo.recipes.check_metrics import argument_problems
from zoo.recipes.load_model import architecture
from zoo.recipes.positions import OUTPUTS
from zoo.recipes.schema import Recipe
from zoo.recipes.values import Call
from zoo.tasks.base import Task


def task_problems(recipe: Recipe, builder: Builder) -> Iterator[Problem]:
    """Yield tasks that refuse their arguments, or else names and numbers in the recipe that do not fit its tasks.

    Tasks of other packages are left out: they are known only once the user's code runs.
    """
    refused = [problem for task, tokenizer in recipe.readings for problem in _refusals(task, tokenizer, builder)]
    yield from refused
    if refused:
        return
    own = [recipe.task if stage.task is None else stage.task for stage in recipe.stages]
    task, *stage_tasks = [
        task_without_tokenizer(call, recipe.tokenizer, builder) if _is_known(call, "task") else None
        for call in (recipe.task, *own)
    ]
    if task is not None:
        yield from _holdout_problems(recipe, list(task.splits))
        yield from _output_problems(recipe, task)
    yield from argument_problems(recipe, task)
    yield from stage_name_problems(recipe, task, stage_tasks)
    yield from label_problems(recipe, stage_tasks)


def known_task(recipe: Recipe, builder: Builder) -> Task | None:
    """Return the task of a recipe; None if only the user's code knows it, or if it refuses its arguments."""
    if not _is_known(recipe.task, "task"):
        return None
    try:
        return task_without_tokenizer(recipe.task, recipe.tokenizer, builder)
    except UsageError:
        return None


def _is_known(call: Call, field: str) -> bool:
    """Return whether a call names something that needs no trust."""
    return "." not in call.use or is_allowed(call.use, field)


def _refusals(task: Call, tokenizer: Call | None, builder: Builder) -> Iterator[Problem]:
    if not _is_known(task, "task"):
        return
    if tokenizer is not None and "tokenizer" not in inspect.signature(builder.target(task, "task")).parameters:
        yield Problem(tokenizer.mark, f"the task {task.use} takes no tokenizer")
        return
    try:
        task_without_tokenizer(task, tokenizer, builder)
    except RecipeError as error:
        yield from error.problems
    except UsageError as error:
        yield Problem(task.marks.get(error.argument or "", task.mark), str(error))
    except NoFileError as error:  # a file of class names, which the task reads at once
        raise error.with_mark(task.marks.get(error.argument or "", task.mark)) from None


def _holdout_problems(recipe: Recipe, splits: Sequence[str]) -> Iterator[Problem]:
    """Yield a hold-out under the name of another split."""
    if recipe.holdout is not None and (name := recipe.holdout.name) in splits:
        message = f"holdout: the task has a split {name!r} already; choose another name: `name: held_out`"
        yield Problem(recipe.marks["holdout"], message)


def _output_problems(recipe: Recipe, task: Task) -> Iterator[Problem]:
    """Yield another number of outputs than the task needs, if the recipe states both."""
    expected = 1 if task.kind == "regression" else len(task.label_names)
    model = architecture(recipe.model)
    if not expected or not _is_known(model, "model"):
        return
    for call in [item for item in (model, model.args.get("config")) if isinstance(item, Call)]:
        for key in OUTPUTS:
            outputs = call.args.get(key)
            if isinstance(outputs, int) and outputs != expected:
                message = f"{call.use}: {key} is {outputs}, but {task.needs(expected)}"
                yield Problem(call.marks.get(key, call.mark), message)
