"""Check that the losses of a training read the labels that its task has."""

from collections.abc import Iterator, Sequence

from zoo.errors import Problem
from zoo.recipes.schema import Recipe
from zoo.tasks.base import Task

PACKAGE = "harness.losses."
OF_ONE_CLASS = ("CrossEntropy", "KD", "LogitStandardizedKD", "TfKD")
"""Losses of this project with a softmax over the classes, of which a row has one. With several labels a row torch would
take zeros and ones for probabilities of the classes, and train without an error."""


def label_problems(recipe: Recipe, stage_tasks: Sequence[Task | None]) -> Iterator[Problem]:
    """Yield losses that need one class a row where rows have several.

    Args:
        recipe: The recipe.
        stage_tasks: For each stage, the task that it trains on; None if it is not known.
    """
    for stage, task in zip(recipe.stages, stage_tasks, strict=True):
        for name, term in stage.criterion.items() if task is not None and task.kind == "multilabel" else ():
            if term.loss.use.removeprefix(PACKAGE) in OF_ONE_CLASS:
                message = f"{name}: {term.loss.use} needs one class for each row, but the task has kind: multilabel"
                yield Problem(term.loss.mark, f"{message}; write BinaryCrossEntropy for the loss with the labels")
