"""Record a run: made by one command at a time, scored by every process, written by one, visible once complete."""

import logging
import math
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from harness.evaluation.evaluate import Evaluation
from harness.evaluation.label_order import findings
from harness.judging.chance import CHANCE, chance_remarks
from harness.judging.chosen_rows import subset_text
from harness.models.detector_classes import classes_note
from harness.models.devices import device_peak_memory, reset_peak_memory
from harness.models.environment import deterministic, environment
from harness.models.mps_fallback import collect_fallbacks, fallback_findings
from harness.models.text_inputs import length_note
from harness.records.heartbeat_lock import LockLostError, LockOwner
from harness.records.record import FILE, Record, Result
from harness.records.run_folder import new_folder, restore
from harness.runs.card_metadata import RECIPE, CardFacts
from harness.runs.experiment import Experiment
from harness.runs.model_card import CARD, model_card
from harness.runs.needed_files import copy_needed_files
from harness.runs.run_location import RunLocation, existing_record
from harness.runs.run_lock import HeldLock, run_lock
from harness.runs.run_picture import draw_curves
from harness.runs.source_files import base_folders
from harness.runs.storage_errors import storage_errors
from zoo.errors import translate_errors
from zoo.fetch.checksum import sha256 as checksum
from zoo.fetch.source_types import HUB
from zoo.files import errors_name, is_read_only
from zoo.process_memory import peak_memory
from zoo.recipes.claim import Selection
from zoo.recipes.schema import Recipe
from zoo.tasks.base import Task
from zoo.tasks.thresholds import HALF

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LockedRun:
    """A run that no other command can make now."""

    location: RunLocation
    existing: Record | None
    """Its record, if it exists already."""
    lock: HeldLock


@contextmanager
def locked_run(location: RunLocation) -> Iterator[LockedRun]:
    """Lock a run, and yield it with its record if that exists.

    While one command makes a run, another that needs it waits. The folder of its checkpoints is deleted when the block
    ends without an exception. A run that exists in a read-only folder is not locked.

    Raises:
        UsageError: The folder holds another run.
        IntegrityError: A predictions file of the run differs from its record.
    """
    accelerator, report = location.context.accelerator, location.context.report

    def report_owner(owner: LockOwner | None) -> None:
        report(f"{location.entry.name}: waiting for another run of it" + (f" by {owner}" if owner else ""))

    existing = existing_record(location) if is_read_only(location.work) else None
    if existing is not None:
        yield LockedRun(location=location, existing=existing, lock=HeldLock())
        return
    with run_lock(location.work, accelerator, report_owner) as lock:
        if accelerator.is_main_process:
            with suppress(OSError):  # reported when the run is written
                restore(location.folder, location.identity.key)
        accelerator.wait_for_everyone()
        existing = existing_record(location)
        if existing is not None:
            LOGGER.info("%s: the run exists: %s", location.entry.name, location.folder)
        yield LockedRun(location=location, existing=existing, lock=lock)
        if accelerator.is_main_process:
            with suppress(LockLostError), lock.confirmed():
                shutil.rmtree(location.work, ignore_errors=True)


@contextmanager
def new_run(run: LockedRun) -> Iterator[Path]:
    """Yield a temporary folder to make a run in; it becomes the run's folder when the block ends without an exception.

    Inside the block algorithms are deterministic, errors of libraries become errors of the entry, and operations that
    the device lacks are collected.

    Raises:
        LockLostError: Another command has taken over the lock of the run; nothing has appeared.
    """
    location, device = run.location, run.location.context.accelerator.device
    reset_peak_memory(device)
    writes, replaces = location.context.accelerator.is_main_process, location.context.fresh or location.is_rescored
    with (
        translate_errors(location.entry.name),
        storage_errors(location.entry.name, location.folder, location.work),
        deterministic(location.context.options.precision),
        collect_fallbacks(device, location.fallbacks),
        new_folder(
            location.folder, location.identity.key, writes=writes, replaces=replaces, confirmed=run.lock.confirmed
        ) as folder,
    ):
        yield folder


@dataclass(frozen=True, kw_only=True)
class ModelToRecord:
    """A model that was loaded or trained, and what its record says about it."""

    model: nn.Module
    sha256: str
    """The SHA-256 of its weights file."""
    selection: Selection = "last"
    last_epoch: Mapping[str, Tensor] | None = None
    """The state dict after the last epoch, if the model has the parameters of its best one."""
    published: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The scores in files beside the weights."""
    seconds: float = 0.0
    """The seconds that earlier processes spent on it."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    failure: str = ""
    """Why its training ended early."""


ScoredEpoch = tuple[Evaluation, Selection]


def evaluate_epochs(experiment: Experiment, model: ModelToRecord) -> list[ScoredEpoch]:
    """Evaluate a model on every scored split; if its parameters are of the best epoch, first with those of the last.

    The scores of a model whose training failed are NaN.
    """
    scored: list[ScoredEpoch] = []
    if model.failure:
        return [(evaluation.as_failed(), model.selection) for evaluation in experiment.evaluations(model.model)]
    if model.last_epoch is not None:
        best = {name: value.clone() for name, value in model.model.state_dict().items()}
        model.model.load_state_dict(model.last_epoch)
        scored += [(evaluation, "last") for evaluation in experiment.evaluations(model.model)]
        model.model.load_state_dict(best)
    return scored + [(evaluation, model.selection) for evaluation in experiment.evaluations(model.model)]


def write_record(
    location: RunLocation,
    folder: Path,
    model: ModelToRecord,
    scored: Sequence[ScoredEpoch],
    *,
    started: float,
    task: Task,
    provenance: Mapping[str, Mapping[str, str]],
) -> Record:
    """Write the record of a run and its predictions into a folder, and a model card if it was trained.

    Args:
        location: The run and its folder.
        folder: The folder that `new_run` yields.
        model: The model.
        scored: The result of `evaluate_epochs`.
        started: The value of `time.perf_counter` when this process started the run.
        task: The task that the model was scored on.
        provenance: The commits of the repositories that were read.

    Returns:
        The record; all processes return that of the main process.
    """
    results = [result_of(evaluation, selection) for evaluation, selection in scored]
    record = Record(
        entry=location.entry.name,
        suite=location.entry.suite,
        identity=location.identity,
        recipe=location.entry.recipe.data(),
        weights=model.sha256,
        results=tuple(result for result, _ in results),
        environment={**environment(location.context.accelerator.device), **model.environment},
        cost={
            "seconds": round(model.seconds + time.perf_counter() - started, 3),
            "peak_memory_bytes": peak_memory(),
            **device_peak_memory(location.context.accelerator.device),
        },
        created=_now(),
        published=model.published,
        provenance=provenance,
        findings=_findings(location, model, [evaluation for evaluation, _ in scored], task),
        failure=model.failure or _outputs_not_finite(scored),
    )
    if location.context.accelerator.is_main_process:
        record = _write_files(record, results, folder, location, task)
    shared: Record = broadcast_object_list([record])[0]
    return shared


def write_rescored(
    location: RunLocation, folder: Path, earlier: Record, scored: Sequence[ScoredEpoch], *, task: Task
) -> Record:
    """Write the record of a training that was scored again with other metrics; its cost is that of the training.

    Arguments and result are those of `write_record`; `earlier` is the record of the training.
    """
    results = [result_of(evaluation, selection) for evaluation, selection in scored]
    findings = tuple(finding for finding in earlier.findings if not finding.startswith(CHANCE))
    record = replace(
        earlier, identity=location.identity, recipe=location.entry.recipe.data(), created=_now(),
        results=tuple(result for result, _ in results),
        findings=findings + chance_findings(location.entry.recipe, task, (evaluation for evaluation, _ in scored)),
    )  # fmt: skip
    if location.context.accelerator.is_main_process:
        record = _write_files(record, results, folder, location, task)
    shared: Record = broadcast_object_list([record])[0]
    return shared


def _write_files(
    record: Record, results: Iterable[tuple[Result, bytes]], folder: Path, location: RunLocation, task: Task
) -> Record:
    """Write the predictions, the model card of a training, and the record with the digests of all files."""
    for result, predictions in results:
        with errors_name(file := folder / result.predictions["file"]):
            file.write_bytes(predictions)
    if record.identity.mode == "retrain":
        draw_curves(folder, location.entry.name, location.context.report)
        (folder / CARD).write_text(model_card(_card_facts(record, folder, location, task)), encoding="utf-8")
    files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    record = record.sealed({name: checksum(file) for name, file in files.items() if name not in (FILE, CARD)})
    with errors_name(folder / FILE):
        (folder / FILE).write_text(record.to_json(), encoding="utf-8")
    return record


def _card_facts(record: Record, folder: Path, location: RunLocation, task: Task) -> CardFacts:
    task.load(task.scored[0])  # a run that is scored again has not loaded the names of its classes
    sources = location.context.builder.at(location.entry.recipe_repo, location.entry.folder).sources
    entry = location.entry
    return CardFacts(
        record=record, task=task, claims=entry.recipe.claims, folder=folder,
        base_folders=base_folders(entry.recipe, sources),
        recipe_argument=entry.recipe_repo.removeprefix(HUB) if entry.recipe_repo else RECIPE,
        needed=copy_needed_files(entry, folder, reserved=(FILE, CARD)),
    )  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def result_of(evaluation: Evaluation, selection: Selection) -> tuple[Result, bytes]:
    """Return an evaluation as a result of a record, and the content of its predictions file."""
    data = evaluation.npz()
    scores = {
        metric: {"value": _finite_or_none(score.value), "one_prediction": _finite_or_none(score.one_prediction)}
        for metric, score in evaluation.scores.items()
    }
    name = f"predictions-{evaluation.split}{'' if selection == 'last' else '-' + selection}.npz"
    predictions = {"file": name, "sha256": sha256(data).hexdigest()}
    return (
        Result(
            split=evaluation.split,
            n=evaluation.n,
            selection=selection,
            metrics=scores,
            predictions=predictions,
            inference=evaluation.inference,
            scoring=evaluation.scoring,
        ),
        data,
    )


def _findings(
    location: RunLocation, model: ModelToRecord, evaluations: Sequence[Evaluation], task: Task
) -> tuple[str, ...]:
    """Return what a reader of the scores should know: notes on data, code and class names, and scores at chance level.

    Only for published weights it looks for evidence against the order of the classes: a model that is trained here has
    the order of its data.
    """
    evaluation = evaluations[0]
    read = tuple(f"{evaluation.split}: {note}" for note in getattr(task.load(evaluation.split), "notes", ()))
    notes = (*read, *(f"label order: {note}" for note in task.class_notes))
    if note := getattr(model.model, "code_note", None):
        notes += (f"weights: {note}",)
    for note_on in (length_note, classes_note):
        if note := note_on(model.model, task.load(evaluation.split)):
            notes += (f"{evaluation.split}: {note}",)
    notes += fallback_findings(location.fallbacks)
    notes += tuple(filter(None, map(_strict_note, evaluations)))
    notes += (*scoring_findings(evaluations), *chance_findings(location.entry.recipe, task, evaluations))
    if task.kind == "structured" and (note := getattr(model.model, "class_note", None)):
        notes += (f"label order: {note}",)
    is_named = task.kind == "classification" and task.class_names
    if location.identity.mode != "weights" or not is_named or evaluation.rows_not_finite:
        return notes
    arrays = evaluation.arrays
    return notes + findings(model.model, task.class_names, arrays["predictions"], arrays["labels"])


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


def _outputs_not_finite(scored: Sequence[ScoredEpoch]) -> str:
    """Return how many outputs of which splits are not finite, or an empty text if all are finite."""
    return "; ".join(
        f"the outputs for {evaluation.rows_not_finite:,} of {evaluation.n:,} examples of {evaluation.split!r} are NaN"
        " or infinite"
        for evaluation, _ in scored
        if evaluation.rows_not_finite
    )


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
