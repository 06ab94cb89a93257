"""Predict the hidden test labels of GLUE: with published weights, or with those of a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.metrics import Array
from harness.runs import glue_submission
from harness.runs.card_metadata import RECIPE
from harness.runs.teachers import trained_weights
from zoo.api.select_entries import EntrySelection
from zoo.api.session import Session
from zoo.error_translation import translate_errors
from zoo.errors import UsageError
from zoo.recipes import catalogue
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import DeviceOptions

Model = tuple[Entry, Path | None]
"""An entry, and the folder of the training run whose weights predict; None for the published weights."""


@dataclass(frozen=True, kw_only=True)
class SubmissionResult:
    """A submission to GLUE's test server.

    Attributes:
        path: The zip archive. The files in it are beside it.
        problems: What the test server would refuse, such as files of tasks that are missing; one line for each problem.
    """

    path: Path
    problems: tuple[str, ...]


def select_models(entries: EntrySelection, patterns: Sequence[str], suites: Sequence[str]) -> list[Model]:
    """Return the models that names of entries, and folders of training runs, select."""
    runs = [Path(pattern) for pattern in patterns if (Path(pattern) / RECIPE).is_file()]
    others = [pattern for pattern in patterns if Path(pattern) not in runs]
    chosen = entries.select(others, suites, False) if others or suites or not runs else []
    return [(catalogue.local(run / RECIPE), run) for run in runs] + [(entry, None) for entry in chosen]


def predict(session: Session, models: Sequence[Model], options: DeviceOptions) -> dict[str, Array]:
    """Return the predictions for each file of a GLUE submission, by the name of the file.

    Raises:
        UsageError: A model has no weights or another task than GLUE's, or two models have the same task.
    """
    context = session.context([entry for entry, _ in models], options)
    predictions: dict[str, Array] = {}
    for entry, run in models:
        with translate_errors(entry.name):
            experiment = session.experiment(entry, context)
            if run is None and entry.recipe.weights is None:
                raise UsageError(f"{entry.name} has no published weights to predict with; pass the folder of a run")
            files = glue_submission.of_task(experiment.task.name.removeprefix("glue/"))
            if not files:
                raise UsageError(f"{entry.name}: its task {experiment.task.name} is not a task of GLUE")
            if taken := [file.name for file in files if file.name in predictions]:
                raise UsageError(f"{entry.name}: another entry has the same task; {taken[0]} holds one entry")
            weights = experiment.published_weights() if run is None else trained_weights(run, f"run:{run}")
            model = experiment.model_with(weights)
            predictions |= {file.name: experiment.predictions(model, file.split) for file in files}
    return predictions
