"""The rows that the stages of a recipe train on, and the inputs of teachers that read these rows differently."""

import torch

from harness.runs.experiment import Experiment
from zoo.class_names import match_labels
from zoo.errors import RecipeError, UsageError
from zoo.recipes.stage import Stage, Teacher
from zoo.recipes.values import Call
from zoo.tasks.base import Split, Task
from zoo.tasks.hidden_labels import are_hidden


def training_splits(experiment: Experiment) -> tuple[Split, ...]:
    """Load the split that each stage trains on.

    Raises:
        RecipeError: The task of a stage has the classes of the recipe's task in another order.
    """
    splits = []
    for stage, task in zip(experiment.recipe.stages, experiment.stage_tasks, strict=True):
        splits.append(_labelled(task, stage))
        if stage.task is not None and task.class_names:
            _check_order(stage.task, task.class_names, experiment.class_names())
    return tuple(splits)


def _labelled(task: Task, stage: Stage) -> Split:
    """Load the split of a stage. Raises RecipeError if its labels are hidden."""
    split = task.load(stage.split)
    has_labels = task.kind != "segmentation" and hasattr(split, "labels")  # else reported when a batch is read
    if has_labels and are_hidden(split.labels, task.kind):
        message = f"the labels of {stage.split!r} are hidden, so nothing can be trained on it; name another split"
        raise RecipeError.at(stage.marks.get("split", stage.optimizer.mark), message)
    return split


def _check_order(call: Call, names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """Raise RecipeError for the same classes in another order: the model would be scored in the wrong one."""
    try:
        match = match_labels(names, expected, side="the task of a stage", other="the recipe's task")
    except UsageError:
        return  # a stage may train on other classes first
    if len(names) == len(expected) and match.positions != tuple(range(len(names))):
        listed = f"{', '.join(names)} in this task, but {', '.join(expected)} in the recipe's"
        raise RecipeError.at(
            call.mark, f"the classes have another order: {listed}; list them in the argument `classes`"
        )


def teacher_splits(experiment: Experiment) -> tuple[dict[str, Split], ...]:
    """Load, for each stage, the inputs of the teachers that have their own task or tokenizer.

    Raises:
        RecipeError: A teacher's task does not have the rows that the stage trains on.
    """
    return tuple(
        {
            name: _teacher_split(experiment, teacher, stage, split)
            for name, teacher in stage.all_teachers.items()
            if teacher.has_own_inputs
        }
        for stage, split in zip(experiment.recipe.stages, training_splits(experiment), strict=True)
    )


def _teacher_split(experiment: Experiment, teacher: Teacher, stage: Stage, split: Split) -> Split:
    recipe, builder, shared = experiment.recipe, experiment.builder, experiment.context.shared
    call, tokenizer_call = recipe.reading_of(teacher, stage)
    tokenizer = experiment.tokenizer
    if tokenizer_call != recipe.tokenizer:
        tokenizer = None if tokenizer_call is None else shared.tokenizer(tokenizer_call, builder)
    task = shared.task(call, tokenizer, builder, recipe)
    rows = task.load(stage.split) if stage.split in task.splits else None
    if rows is None or len(rows) != len(split) or not _same_labels(task, rows, split):
        mark = (teacher.task or teacher.tokenizer or call).mark
        message = f"{task.name} has no split {stage.split!r} with the {len(split)} rows that the stage trains on"
        raise RecipeError.at(mark, message)
    return rows


def _same_labels(task: Task, rows: Split, split: Split) -> bool:
    """Return whether rows have the same labels in the same order; those of a task with a readout are not compared."""
    return task.readout is not None or torch.equal(rows.labels, split.labels)
