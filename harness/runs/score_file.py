"""Score a user's weights or predictions on an entry's task."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.evaluation.evaluate import Evaluation, check_finite, score
from harness.metrics import Array
from harness.runs.experiment import Experiment
from harness.runs.predictions_file import ARRAYS, read_predictions
from harness.runs.structured_predictions import computable, structured_arrays
from zoo.errors import SourceError, UsageError
from zoo.fetch.source_types import LocalFile
from zoo.safe_text import one_line
from zoo.tasks.tables import ENDINGS


def score_file(experiment: Experiment, path: Path, split: str | None = None) -> Iterator[Evaluation]:
    """Score predictions or weights.

    Args:
        experiment: The entry whose task, model and metrics are used.
        path: A file of predictions (`.csv`, `.tsv`, `.jsonl`, `.json`, `.parquet`, `.npz`), any other file for weights,
            or a folder with weights, such as that of a training run.
        split: The split that the predictions are for; the task's first scored one if left out. Weights are scored on
            all scored splits.

    Raises:
        SourceError: The file does not exist.
        UsageError: The predictions cannot be read or do not fit the split, or outputs of the model are not finite.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file")
    if path.is_dir() or path.suffix.lower() not in (*ENDINGS, ARRAYS):
        source = LocalFile(str(path))
        model = experiment.model_with(experiment.sources.fetch(source))
        yield from _finite(path, experiment.evaluations(model))
        _report_notes(experiment, getattr(model, "class_note", None))
        return
    task, name = experiment.task, split or experiment.task.scored[0]
    loaded = task.load(name)
    if name not in task.scored:
        raise UsageError(f"the split {name!r} is not scored; {', '.join(task.scored)} is")
    if task.readout is not None:
        arrays = structured_arrays(path, task, loaded)
        metrics = computable(experiment.metrics)
        yield replace(score(name, arrays, metrics), scoring=task.scoring(name))
        _report_notes(experiment, *map(_left_out, experiment.metrics.keys() - metrics.keys()))
        return
    labels = loaded.labels.numpy()
    predictions = read_predictions(path, task.kind, labels, task.class_names or _unnamed(experiment, labels))
    scored = score(name, {"predictions": predictions, "labels": labels}, experiment.metrics)
    yield replace(scored, scoring=task.scoring(name))
    _report_notes(experiment)


def _left_out(metric: str) -> str:
    return f'{metric} is left out: it needs scores of "no answer", which a file of answers does not have'


def _report_notes(experiment: Experiment, *notes: str | None) -> None:
    """Report how the names of classes were matched."""
    for note in filter(None, (*experiment.task.class_notes, *notes)):
        experiment.context.report(f"note: {one_line(note)}")


def _finite(path: Path, evaluations: Iterator[Evaluation]) -> Iterator[Evaluation]:
    """Yield the evaluations of weights; raises UsageError for one with outputs that are not finite."""
    for evaluation in evaluations:
        try:
            check_finite(evaluation.split, evaluation.arrays)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
        yield evaluation


def _unnamed(experiment: Experiment, labels: Array) -> tuple[str, ...]:
    """Return "0", "1", ... for the classes of data without class names: one for each output of the model."""
    arguments = experiment.recipe.model.args
    outputs = [arguments[name] for name in ("num_labels", "num_classes") if isinstance(arguments.get(name), int)]
    return tuple(map(str, range(outputs[0] if outputs else int(labels.max()) + 1)))
