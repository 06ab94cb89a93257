"""Train an entry once, and score weights or predictions of a user."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import paths
from zoo.api.existing_runs import records_of, report_without_effect
from zoo.api.session import Session
from zoo.error_translation import translate_errors
from zoo.errors import UsageError
from zoo.recipes.catalogue import Entry
from zoo.recipes.options import EvaluationOptions, TrainingOptions
from zoo.recipes.positions import located_in

if TYPE_CHECKING:
    from harness.records.record import RecordedRun
    from harness.runs.cache import RunConditions
    from zoo.api.results import EvaluationResult, TrainingResult

RECORD = "record.json"
"""The record file of a run, as in `harness.records.record`, which is imported only when it is needed."""


def train_entry(
    session: Session, entry: Entry, options: TrainingOptions, *, seed: int, out: Path | None
) -> "TrainingResult":
    """Train an entry once, into the folder `out` or a folder in `records`, and return the scores.

    A run that exists is returned, unless `options.fresh` is set; if none of its inputs has changed, torch is not
    imported for that.
    """
    from harness.records.find_runs import is_among
    from zoo.api.results import training_result

    if out is not None and _is_occupied(out):
        raise UsageError(f"{out} exists and is not empty; --out needs a new folder")
    earlier = records_of([entry], options, *([out.resolve() / RECORD] if out else []))
    finished = _finished_training(session, entry, options, seed, out)
    if finished is None:
        from harness.runs.record_runs import train_and_record

        with session.time_limited(options), translate_errors(entry.name), located_in(entry.recipe):
            context = session.context([entry], options, train=True)
            context = replace(context, conditions=_training_conditions(session, options, out))
            (finished,) = train_and_record(session.experiment(entry, context), [seed], out.resolve() if out else None)
    path, record = finished
    if record.failure:
        raise UsageError(f"{entry.name}: the training failed: {record.failure}. Its record is {path}")
    report_without_effect(options, [path], earlier, session.report)
    return training_result(path, record, entry.recipe.claims, existed=is_among(path, earlier))


def evaluate_entry(
    session: Session, entry: Entry, options: EvaluationOptions, path: Path, split: str | None
) -> "EvaluationResult":
    """Score a user's weights or predictions on an entry's task."""
    from harness.runs.run_findings import chance_findings, scoring_findings
    from harness.runs.score_file import score_file
    from zoo.api.results import EvaluationResult, scores_of_evaluations

    with translate_errors(entry.name), located_in(entry.recipe):
        experiment = session.experiment(entry, session.context([entry], options))
        evaluations = list(score_file(experiment, path, split))
    return EvaluationResult(
        entry=entry.name, path=path, scores=scores_of_evaluations(evaluations, entry.recipe.claims),
        findings=scoring_findings(evaluations) + chance_findings(entry.recipe, experiment.task, evaluations),
    )  # fmt: skip


def _training_conditions(session: Session, options: TrainingOptions, out: Path | None) -> "RunConditions":
    """Return the conditions under which the run cache finds a run of `train` again."""
    from harness.runs.verify import run_conditions

    folder = out or paths.runs(options.records)
    return replace(run_conditions(options, session.sources), out=str(folder.resolve()))


def _finished_training(
    session: Session, entry: Entry, options: TrainingOptions, seed: int, out: Path | None
) -> "RecordedRun | None":
    """Return a run whose inputs have not changed: made by `train`, or without `out` for a claim."""
    from harness.runs.cache import find_cached_runs

    if options.fresh or session.sources.trust:  # the trusted code is unknown until it is loaded
        return None
    own = _training_conditions(session, options, out)
    for conditions in (own, replace(own, out=None)) if out is None else (own,):
        found = find_cached_runs(entry, "retrain", [seed], conditions, paths.runs(options.records))
        if found is not None:
            return found.runs[0]
    return None


def _is_occupied(folder: Path) -> bool:
    """Return whether a path holds something other than a run of zoo."""
    if not folder.exists() or (folder / RECORD).exists():
        return False
    return not folder.is_dir() or any(folder.iterdir())
