"""Record a run: scored by every process, written by one."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from harness.evaluation.evaluate import Evaluation
from harness.judging.chance import CHANCE
from harness.models.devices import device_peak_memory
from harness.models.environment import environment
from harness.records.record import FILE, Record, Result
from harness.runs.card_metadata import RECIPE, CardFacts
from harness.runs.experiment import Experiment
from harness.runs.model_card import CARD, model_card
from harness.runs.needed_files import copy_needed_files
from harness.runs.run_findings import chance_findings, outputs_not_finite, run_findings
from harness.runs.run_location import RunLocation
from harness.runs.run_picture import draw_curves
from harness.runs.source_files import base_folders
from zoo.fetch.checksum import sha256 as checksum
from zoo.fetch.source_types import HUB
from zoo.files import errors_name
from zoo.process_memory import peak_memory
from zoo.recipes.claim import Selection
from zoo.tasks.base import Task


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
    evaluations = [evaluation for evaluation, _ in scored]
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
        findings=run_findings(location, model.model, evaluations, task),
        failure=model.failure or outputs_not_finite(evaluations),
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


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
