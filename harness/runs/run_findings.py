"""The findings of a run: notes on its data, its code and its class names, and scores at chance level."""

from collections.abc import Iterable, Sequence

from torch import nn

from harness.evaluation.evaluate import Evaluation
from harness.evaluation.label_order import findings
from harness.judging.chance import chance_remarks
from harness.judging.chosen_rows import subset_text
from harness.models.detector_classes import classes_note
from harness.models.mps_fallback import fallback_findings
from harness.models.text_inputs import length_note
from harness.runs.run_location import RunLocation
from zoo.recipes.schema import Recipe
from zoo.tasks.base import Task
from zoo.tasks.thresholds import HALF


def run_findings(
    location: RunLocation, model: nn.Module, evaluations: Sequence[Evaluation], task: Task
) -> tuple[str, ...]:
    """Return the notes of a run on data, code and class names, and on scores at chance level.

    Only for published weights it looks for evidence against the order of the classes: a model that is trained here has
    the order of its data.
    """
    evaluation = evaluations[0]
    read = tuple(f"{evaluation.split}: {note}" for note in getattr(task.load(evaluation.split), "notes", ()))
    notes = (*read, *(f"label order: {note}" for note in task.class_notes))
    if note := getattr(model, "code_note", None):
        notes += (f"weights: {note}",)
    for note_on in (length_note, classes_note):
        if note := note_on(model, task.load(evaluation.split)):
            notes += (f"{evaluation.split}: {note}",)
    notes += fallback_findings(location.fallbacks)
    notes += tuple(filter(None, map(_strict_note, evaluations)))
    notes += (*scoring_findings(evaluations), *chance_findings(location.entry.recipe, task, evaluations))
    if task.kind == "structured" and (note := getattr(model, "class_note", None)):
        notes += (f"label order: {note}",)
    is_named = task.kind == "classification" and task.class_names
    if location.identity.mode != "weights" or not is_named or evaluation.rows_not_finite:
        return notes
    arrays = evaluation.arrays
    return notes + findings(model, task.class_names, arrays["predictions"], arrays["labels"])


def _strict_note(evaluation: Evaluation) -> str:
    """Return that a strict evaluation replaced a faster one, or an empty text."""
    differing, compared = (evaluation.inference.get(name, 0) for name in ("differing", "compared"))
    if not differing:
        return ""
    return (
        f"{evaluation.split}: {differing} of {compared} predictions differ between the fast and the strict evaluation"
        " by more than numeric noise, so the scores are those of the strict one, as with --strict"
    )


def scoring_findings(evaluations: Iterable[Evaluation]) -> tuple[str, ...]:
    """Return which splits were scored on only some of their rows, or with a threshold that was set or chosen."""
    findings = dict[str, None]()
    for evaluation in evaluations:
        if rows := subset_text(evaluation.scoring, evaluation.n):
            findings[f"{evaluation.split}: {rows} are scored"] = None
        threshold, chosen = evaluation.scoring.get("threshold", HALF), evaluation.scoring.get("threshold_from")
        if threshold != HALF or chosen:
            how = f", which was chosen on {chosen}" if chosen else ""
            findings[f"{evaluation.split}: a label is predicted above the probability {threshold:g}{how}"] = None
    return tuple(findings)


def chance_findings(recipe: Recipe, task: Task, evaluations: Iterable[Evaluation]) -> tuple[str, ...]:
    """Return the remarks on scores at chance level, each once."""
    data, remarks = recipe.data(), dict[str, None]()
    for evaluation in evaluations:
        found = chance_remarks(
            evaluation.split, evaluation.arrays, evaluation.values, recipe=data, class_names=task.class_names
        )
        remarks |= dict.fromkeys(found)
    return tuple(remarks)


def outputs_not_finite(evaluations: Iterable[Evaluation]) -> str:
    """Return how many outputs of which splits are not finite, or an empty text if all are finite."""
    return "; ".join(
        f"the outputs for {evaluation.rows_not_finite:,} of {evaluation.n:,} examples of {evaluation.split!r} are NaN"
        " or infinite"
        for evaluation in evaluations
        if evaluation.rows_not_finite
    )
