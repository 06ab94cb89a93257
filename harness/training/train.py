"""Train a student: stages, epochs, steps.

Every random stream is a function of the run's seed. Initial weights and dropout draw from the global generators; the
order of the rows has a separate generator for each stage and epoch. A step depends on nothing but the state before
it, so a run that resumes from a checkpoint ends with the same bits as one that was never interrupted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from accelerate.utils import set_seed
from torch import nn

from harness.models.memory_format import place_model
from harness.records.training_log import LOG
from harness.training.check_stages import check_stages
from harness.training.checkpointing import Checkpoint, set_rng_state, unchanged_generators
from harness.training.deadline import Deadline
from harness.training.epoch_scores import end_epoch, state_dict_copy
from harness.training.gradients import accumulate_gradients, apply_gradients
from harness.training.interrupt import Interrupt
from harness.training.log import DivergenceError, TrainingLog
from harness.training.other_load import LoadWatch
from harness.training.stage import ActiveStage, prepare_stage, share_buffers
from harness.training.step_blocks import step_blocks
from harness.training.training_run import TrainedStudent, TrainingRun
from harness.training.training_state import TrainingState, all_generators, resume, resume_stage, save_checkpoint
from zoo.errors import TimeIsUp, UsageError


def train(run: TrainingRun) -> TrainedStudent:
    """Train a student through all stages of the recipe, from the newest checkpoint in the run's folder on.

    The losses of every step, and the scores of epochs that are scored, go to `log.jsonl` in that folder. If a loss is
    not finite, the training ends there, and the student that is returned names the `failure`. The global random
    generators are left unchanged.

    Raises:
        RecipeError: Something cannot be built.
        UsageError: The recipe has no stages, or a checkpoint does not fit.
        KeyboardInterrupt: A signal or the deadline stopped the run, after a checkpoint was saved.
    """
    if not run.recipe.stages:
        raise UsageError(f"{run.recipe.name} has no stages: it can be evaluated, not trained")
    if run.device.type == "cpu":
        run = replace(run, progress=LoadWatch(run.progress, run.report, run.recipe.name))
    with unchanged_generators(run.device), _interruption_reported(run):
        set_seed(run.seed)
        student = place_model(
            run.builder.instance(run.recipe.model, "model", nn.Module), run.device, run.options.precision
        )
        learns = {name: parameter.requires_grad for name, parameter in student.named_parameters()}
        checkpoint, state = resume(run)
        _restore_student(run, student, checkpoint)
        with (
            Interrupt(run.report, Deadline(run.options.deadline)) as interrupt,
            TrainingLog(
                run.folder / LOG,
                checkpoint,
                run.accelerator,
                save_every=run.options.save_every,
                on_line=run.on_log_line,
            ) as log,
        ):
            run.progress(log.step, run.steps)
            failure = ""
            try:
                for number in range(checkpoint.get("stage", 0), len(run.recipe.stages)):
                    for name, parameter in student.named_parameters():
                        parameter.requires_grad_(learns[name])
                    stage = enter_stage(run, number, student, state)
                    first_step = resume_stage(run, stage, checkpoint)
                    train_stage(run, stage, state, log, first_step, interrupt)
                    leave_stage(run, stage, state)
                    state.stage_generators = all_generators(run)
                    place = {"stage": number + 1, "step": 0, "student": student.state_dict()}
                    save_checkpoint(run, state, log, interrupt.deadline, **place)
                    if log.any_process(interrupt.requested):
                        raise interrupt.error
            except DivergenceError as error:
                failure = str(error)
                run.report(f"{run.recipe.name}: {failure}")
    return TrainedStudent(
        model=student, last_epoch=state.last_epoch, micro_batch=state.micro_batch, environments=state.environments,
        seconds=state.seconds, failure=failure,
    )  # fmt: skip


def train_stage(
    run: TrainingRun, stage: ActiveStage, state: TrainingState, log: TrainingLog, first_step: int, interrupt: Interrupt
) -> None:
    """Take the steps of a stage, and save a checkpoint when one is due or a signal has arrived."""
    for block in step_blocks(run, stage, first_step):
        for step in steps_of(run, stage, block.steps, interrupt):
            block.losses.append(accumulate_gradients(run, stage, stage.rows(step)))
            block.positions.append(stage.position(step))
        interrupt.deadline.step_ended()
        if not block.accept(log.read(block.losses, stop=interrupt.requested)):
            continue
        scale = stage.scaler.get_scale()
        may_overflow = stage.scaler.is_enabled() and scale >= 1  # the step is skipped and the scale halved
        for values, position in zip(block.read.values, block.positions, strict=True):
            log.write(values, position, may_overflow=may_overflow)
        where = run.position_text(position["stage"], position["epoch"])
        run.progress(log.step, run.steps, f"{where}, loss {log.mean_loss:.4f}")
        apply_gradients(stage)
        skipped, steps = stage.scaler.get_scale() < scale, block.last + 1
        rest = steps % stage.steps_per_epoch
        ticks = rest == 0 if stage.recipe.schedule_per == "epoch" else not skipped
        if ticks and steps < stage.steps:
            stage.schedule.step()
        if rest == 0:
            end_epoch(run, stage, log, position)
        if (block.read.due or block.read.stop or interrupt.deadline.needs_measured_save) and steps < stage.steps:
            place = {"stage": stage.number, "step": steps, "generators": all_generators(run)}
            save_checkpoint(run, state, log, interrupt.deadline, **place, **stage.state_dict())
            if block.read.stop:
                raise interrupt.error


def steps_of(run: TrainingRun, stage: ActiveStage, steps: range, interrupt: Interrupt) -> Iterator[int]:
    """Yield the steps of a block, and apply the gradients of each before the next one.

    The gradients of the last step are left to be applied once its loss is read. A signal ends the block early, unless
    the other processes would go on.
    """
    for step in steps:
        yield step
        if step == steps[-1] or (interrupt.requested and run.accelerator.num_processes == 1):
            return
        apply_gradients(stage)
        if stage.recipe.schedule_per == "step":
            stage.schedule.step()


def enter_stage(run: TrainingRun, number: int, student: nn.Module, state: TrainingState) -> ActiveStage:
    """Build a stage and make it ready, with what earlier stages keep for it."""
    process, recipe = run.accelerator.process_index, run.recipe.stages[number]
    state.stage_generators = all_generators(run)
    names = (*recipe.criterion, *recipe.all_teachers)
    inherited = {name: part for name, part in state.kept_parts.items() if name in names}
    stage = prepare_stage(run, number, student, inherited)
    stage.micro_batch = state.micro_batch
    if process:  # or all processes would drop the same units
        set_seed(run.seed + 2**16 * process + number)
    return stage


def leave_stage(run: TrainingRun, stage: ActiveStage, state: TrainingState) -> None:
    """End a stage with the parameters that it selects, and keep the parts that it lists in `keep`."""
    share_buffers(stage, run.accelerator)
    if stage.best is not None:
        is_last_stage = stage.recipe is run.recipe.stages[-1]
        state.last_epoch = state_dict_copy(stage.objective.student) if is_last_stage else None
        stage.objective.load_state_dict(stage.best["objective"])
    used = (*stage.recipe.criterion, *stage.recipe.all_teachers)
    state.kept_parts = {name: part for name, part in state.kept_parts.items() if name not in used}
    state.kept_parts |= {name: state_dict_copy(stage.parts()[name]) for name in stage.recipe.keep}
    state.micro_batch, stage.graph = stage.micro_batch, None
    run.accelerator.free_memory()


def _restore_student(run: TrainingRun, student: nn.Module, checkpoint: Checkpoint) -> None:
    """Load the student between two stages, and set the generators to where the current stage was entered."""
    if not checkpoint:
        check_stages(run, student)
        return
    if "student" in checkpoint:
        student.load_state_dict(checkpoint["student"])
    set_rng_state(checkpoint["stage_generators"][run.accelerator.process_index], run.device)


@contextmanager
def _interruption_reported(run: TrainingRun) -> Iterator[None]:
    try:
        yield
    except TimeIsUp:  # the command's message says how to go on
        raise
    except KeyboardInterrupt:
        run.report(f"{run.recipe.name}: interrupted; run the same command again to resume from the last checkpoint")
        raise
