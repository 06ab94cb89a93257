"""Make the runs of an entry and record them: evaluate its published weights, or train its recipe with some seeds."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from harness.records.find_runs import find_elsewhere, find_runs, remember_elsewhere
from harness.records.record import FILE, Mode, Record, RecordedRun
from harness.records.training_log import LOG
from harness.runs.cache import FileStamp, cache_run, file_stamps
from harness.runs.card_metadata import RECIPE
from harness.runs.experiment import Experiment
from harness.runs.export import export
from harness.runs.identity import training_identity, weights_identity
from harness.runs.locked_run import locked_run, new_run
from harness.runs.recorder import ModelToRecord, evaluate_epochs, write_record, write_rescored
from harness.runs.rescoring import copy_training, find_same_training, score_again
from harness.runs.run_location import RunLocation, locate_run
from harness.runs.run_picture import drawn_when_stopped
from harness.runs.source_files import recipe_inputs, revisions
from harness.runs.teachers import WEIGHTS, ResolvedTeachers, TeacherResolver, required_runs
from harness.runs.tracked_training import scores_by_name, tracked
from harness.runs.training_splits import teacher_splits, training_splits
from harness.runs.unfinished import training_key
from harness.training.train import train
from harness.training.training_run import TrainedStudent, TrainingRun
from zoo.claims.recipe_claims import fits_rows
from zoo.errors import RecipeError
from zoo.fetch import weights_file
from zoo.fetch.checksum import sha256
from zoo.progress import Step, ignore_step
from zoo.recipes.check_claims import claim_problems
from zoo.text_tables import number

CacheEntry = tuple[Mapping[str, Any], list[FileStamp]]
"""The request of a run, and the stamps of its input files before the run."""


def evaluate_and_record(experiment: Experiment, published: tuple[nn.Module, str] | None = None) -> RecordedRun:
    """Evaluate the published weights, unless their record exists, and return the record.

    Args:
        experiment: The entry.
        published: The model with its published weights and their SHA-256, if it is loaded already.
    """
    identity = weights_identity(experiment)
    location, cache_entry = locate_run(experiment, identity), _cache_entry(experiment, "weights", None)
    with locked_run(location) as locked:
        record = locked.existing
        if record is None:
            started = time.perf_counter()
            with new_run(locked) as folder, experiment.guarded(folder, location.work):
                for split in experiment.task.scored:  # missing data is reported before weights are downloaded
                    _report_impossible_shares(experiment, split, len(experiment.task.load(split)))
                model, digest = published or experiment.published_model()
                loaded = ModelToRecord(model=model, sha256=digest, published=experiment.published_scores())
                scored = evaluate_epochs(experiment, loaded)
                record = write_record(
                    location, folder, loaded, scored, started=started, task=experiment.task,
                    provenance=revisions(experiment.recipe, experiment.sources, ()),
                )  # fmt: skip
    run = location.folder / FILE, record
    if cache_entry is not None:
        cache_run(experiment.context.runs, *cache_entry, run, record.published)
    experiment.context.run_over(locked.existing is None)
    return run


def _report_impossible_shares(experiment: Experiment, split: str, rows: int) -> None:
    """Report which claims cannot be compared with a score of a split. The split is evaluated all the same."""
    for claim in experiment.recipe.claims:
        n = claim.size or rows
        if (claim.of, claim.split) == ("weights", split) and not fits_rows(claim, n):
            claimed = f"{claim.metric} on {split}: {number(claim.value, claim.printed_decimals)}"
            why = f"is no share of {n:,} examples, so it cannot be compared; the run is recorded"
            experiment.context.report(f"{experiment.entry.name}: {claimed} {why}")


def train_and_record(experiment: Experiment, seeds: Sequence[int], out: Path | None = None) -> tuple[RecordedRun, ...]:
    """Train a recipe with each seed, unless the record of that run exists, and return the records.

    Runs that teachers need are made first. If only the metrics of the recipe have changed since a run, that run is
    scored again. A run that was interrupted resumes from its newest checkpoint.

    Args:
        experiment: The entry.
        seeds: The seeds.
        out: The folder of the run, for a single seed; a folder below that of all runs if left out.

    Raises:
        RecipeError: No run can test a claim of the recipe.
    """
    if problems := list(claim_problems(experiment.recipe, experiment.task)):
        raise RecipeError(problems)
    resolver, runs = TeacherResolver(), list[RecordedRun]()
    for student, seed in [*required_runs(experiment), *((experiment, seed) for seed in seeds)]:
        teachers = resolver.resolve(student)
        folder_of_run = out if student is experiment else None
        location = locate_run(student, training_identity(student, teachers, seed), folder_of_run)
        cache_entry = _cache_entry(student, "retrain", seed, teachers)
        with locked_run(location) as locked:
            record = locked.existing
            if record is None:
                started = time.perf_counter()
                earlier = _same_training(student, location)
                with (
                    tracked(location) as trackers,
                    new_run(locked) as folder,
                    student.guarded(folder, location.work),
                ):
                    if earlier is not None:
                        record = _record_again(student, earlier, location, folder)
                    else:
                        with student.context.show(f"{student.entry.name}: train, seed {seed}", "steps") as step:
                            run = training_run(student, teachers, seed, location.work, step, locked.lock.check)
                            with drawn_when_stopped(
                                run.folder,
                                run.recipe.name,
                                run.report,
                                check_lock=run.check_lock,
                                draws=run.accelerator.is_main_process,
                            ):
                                trained = train(replace(run, on_log_line=trackers.add))
                        record = _record_student(student, teachers, trained, location, folder, started)
                        trackers.results = scores_by_name(record)
        recorded = location.folder / FILE, record
        if folder_of_run is not None and student.context.accelerator.is_main_process:
            remember_elsewhere(student.context.runs, student.entry.name, location.identity, folder_of_run)
        if cache_entry is not None:
            is_judged = cache_entry[0]["out"] is None
            cache_run(student.context.runs, *cache_entry, recorded, student.published_scores() if is_judged else {})
        resolver.add(student, seed, recorded, teachers)
        if student is experiment:
            runs.append(recorded)
            student.context.run_over(locked.existing is None)
    return tuple(runs)


def _same_training(experiment: Experiment, location: RunLocation) -> RecordedRun | None:
    """Return a run of this training with other metrics, if its predictions are enough to compute the new ones."""
    if experiment.context.fresh:
        return None
    runs, name = experiment.context.runs, experiment.entry.name
    elsewhere = find_elsewhere(runs, name, location.identity)  # with another --out the user asks for another training
    of_seed = [run for run in find_runs(runs, name) if run.name.startswith(f"retrain-seed{location.identity.seed}-")]
    folders = [location.folder, *(run.record.parent for run in of_seed if run.record.parent != elsewhere)]
    key = training_key(location.identity, experiment.recipe.data())
    return find_same_training(folders, key, experiment.metrics, experiment.context.report)


def _record_again(experiment: Experiment, earlier: RecordedRun, location: RunLocation, folder: Path) -> Record:
    """Write the record of an earlier training with the metrics of the recipe as it is now."""
    name, context = experiment.entry.name, experiment.context
    is_same = earlier[1].identity == location.identity
    why = "this training exists" if is_same else "only the metrics have changed"
    context.report(f"{name}: {why}: scoring {earlier[0].parent} again, without training")
    if context.accelerator.is_main_process:
        copy_training(earlier, WEIGHTS, folder)
        (folder / RECIPE).write_bytes(experiment.entry.path.read_bytes())
    return write_rescored(
        location, folder, earlier[1], list(score_again(earlier, experiment.metrics)), task=experiment.task
    )


def training_run(
    experiment: Experiment,
    teachers: ResolvedTeachers,
    seed: int,
    folder: Path,
    progress: Step = ignore_step,
    check_lock: Callable[[], None] = lambda: None,
) -> TrainingRun:
    """Return a training of a recipe that has not begun, with its log and checkpoints in `folder`."""
    context = experiment.context
    return TrainingRun(
        recipe=experiment.recipe, task=experiment.task, splits=training_splits(experiment),
        class_names=tuple(task.class_names for task in experiment.stage_tasks),
        teacher_splits=teacher_splits(experiment), teachers=teachers.stages, metrics=experiment.metrics, seed=seed,
        builder=experiment.builder, accelerator=context.accelerator, folder=folder, options=context.options,
        progress=progress, report=context.report, check_lock=check_lock,
    )  # fmt: skip


def _record_student(
    experiment: Experiment,
    teachers: ResolvedTeachers,
    student: TrainedStudent,
    location: RunLocation,
    folder: Path,
    started: float,
) -> Record:
    """Save a trained student, evaluate it, and write its record into the run's folder."""
    trained = _save_student(experiment, student, location, folder)
    scored = evaluate_epochs(experiment, trained)
    provenance = revisions(experiment.recipe, experiment.sources, teachers)
    return write_record(location, folder, trained, scored, started=started, task=experiment.task, provenance=provenance)


def _save_student(
    experiment: Experiment, student: TrainedStudent, location: RunLocation, folder: Path
) -> ModelToRecord:
    """Write log, recipe, weights and what `from_pretrained` needs into a run's folder."""
    accelerator = experiment.context.accelerator
    if accelerator.is_main_process:
        shutil.copyfile(location.work / LOG, folder / LOG)
        (folder / RECIPE).write_bytes(experiment.entry.path.read_bytes())
        weights_file.save(student.model, folder / WEIGHTS)
        export(student.model, experiment.task, experiment.tokenizer, folder)
    earlier = student.environments[:-1]
    environment: dict[str, Any] = {"earlier": earlier} if earlier else {}
    if student.micro_batch != experiment.context.options.micro_batch:
        environment["micro_batch"] = student.micro_batch
    accelerator.wait_for_everyone()
    return ModelToRecord(
        model=student.model, sha256=sha256(folder / WEIGHTS) if accelerator.is_main_process else "",
        selection=experiment.recipe.stages[-1].selection, last_epoch=student.last_epoch, seconds=student.seconds,
        environment=environment, failure=student.failure,
    )  # fmt: skip


def _cache_entry(
    experiment: Experiment, mode: Mode, seed: int | None, teachers: ResolvedTeachers | None = None
) -> CacheEntry | None:
    """Return the key of a run in the run cache and its input files; None if it cannot be cached.

    A run with code that the user trusts cannot: its modules are only known once they are loaded.
    """
    entry, context = experiment.entry, experiment.context
    trusts_code = bool(experiment.builder.trust)
    if (
        context.conditions is None
        or context.accelerator.num_processes > 1
        or trusts_code
        or entry.recipe_repo is not None
    ):
        return None
    inputs = [*recipe_inputs(entry, experiment.sources), *(teachers.inputs if teachers else ())]
    return context.conditions.request(entry, mode, seed), file_stamps(inputs)
