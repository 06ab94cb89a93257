"""Training: stages, epochs, steps.

Every random stream is a function of the run's seed: initial weights and dropout through the global generators, the
order of examples through one generator per stage and epoch. What a step leaves is a function of what it found, so a run
that goes on from a saved state ends with the same bits as one that was never stopped.
"""

import copy
import math
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object, set_seed
from torch import Tensor, nn

from harness.evaluation.evaluate import evaluate
from harness.models.environment import environment
from harness.models.memory_format import place_model
from harness.models.outputs import run_model
from harness.training.checkpointing import Checkpoint, rng_state, set_rng_state
from harness.training.gradients import accumulate_gradients
from harness.training.interrupt import Interrupt
from harness.training.log import TrainingLog
from harness.training.stage import ActiveStage
from harness.training.training_run import LOG, TrainingRun
from zoo.errors import RecipeError, UsageError, did_you_mean, first_line
from zoo.recipes.schema import Stage


def train(run: TrainingRun) -> nn.Module:
    """A student, trained through all stages of the recipe; where the run's folder holds a state, from the newest on.

    Every step's losses go to `log.jsonl` in that folder. The global generators are left as they were found. Raises
    RecipeError for what cannot be built and UsageError for a recipe without stages or a loss that is not finite.
    """
    if not run.recipe.stages:
        raise UsageError(f"{run.recipe.name} has no stages: it can be evaluated, not trained")
    for stage in run.recipe.stages:
        _selected(run, stage)
    outside = rng_state(run.device)
    try:
        return _train(run)
    except KeyboardInterrupt:
        run.say(f"{run.recipe.name}: interrupted; the same command goes on from the last saved state")
        raise
    finally:
        set_rng_state(outside, run.device)


def _train(run: TrainingRun) -> nn.Module:
    process = run.accelerator.process_index
    set_seed(run.seed)
    student = place_model(run.builder.build(run.recipe.model, "model"), run.device)
    learns = {name: parameter.requires_grad for name, parameter in student.named_parameters()}
    state: Checkpoint = (
        broadcast_object_list([run.states.newest() if run.accelerator.is_main_process else None])[0] or {}
    )
    _resume(run, state)
    if not state:
        _rehearse(run, student)
    if "student" in state:
        student.load_state_dict(state["student"])
    if state:
        set_rng_state(state["entered"][process], run.device)
    with (
        Interrupt(run.say) as interrupt,
        TrainingLog(run.folder / LOG, state, run.accelerator, save_every=run.options.save_every) as log,
    ):
        run.progress(log.step, run.steps)
        for number in range(state.get("stage", 0), len(run.recipe.stages)):
            for name, parameter in student.named_parameters():
                parameter.requires_grad_(learns[name])
            stage = _made(run, number, student).begin()
            if process:  # no two processes drop out the same units
                set_seed(run.seed + 2**16 * process + number)
            if done := state.pop("step", 0):
                _go_on(run, stage, state)
            train_stage(run, stage, log, done, interrupt)
            _leave(run, stage)
            _save(run, log, stage=number + 1, step=0, entered=_of_all(run), student=student.state_dict())
            if log.any(interrupt.asked):
                raise KeyboardInterrupt
    return student


def train_stage(run: TrainingRun, stage: ActiveStage, log: TrainingLog, done: int, interrupt: Interrupt) -> None:
    """Take the steps of a stage from number `done` on, saving a state when one is due, or a process is told to stop."""
    for step in range(done, stage.steps):
        losses = accumulate_gradients(run, stage, stage.rows(step))
        scale = stage.scaler.get_scale()
        overflows = stage.scaler.is_enabled() and scale >= 1  # a step to skip, at half the scale next time
        rate = stage.optimizer.param_groups[0]["lr"]
        due, stop = log.write(losses, rate, forgiven=overflows, stop=interrupt.asked)
        run.progress(log.step, run.steps)
        if stage.recipe.clip_norm is not None:
            stage.scaler.unscale_(stage.optimizer)  # the norm is that of the gradients, not of the scaled ones
            nn.utils.clip_grad_norm_(stage.objective.parameters(), stage.recipe.clip_norm)
        stage.scaler.step(stage.optimizer)
        stage.scaler.update()
        stage.optimizer.zero_grad()
        overflowed = stage.scaler.get_scale() < scale  # then no step was taken
        epoch, rest = divmod(step + 1, stage.steps_per_epoch)
        ticked = rest == 0 if stage.recipe.schedule_per == "epoch" else not overflowed
        if ticked and step + 1 < stage.steps:
            stage.schedule.step()
        if rest == 0 and stage.recipe.selection == "best":
            _keep_the_best(run, stage, log, epoch)
        if (due or stop) and step + 1 < stage.steps:
            _save(run, log, stage=stage.number, step=step + 1, rng=_of_all(run), **stage.state_dict())
            if stop:
                raise KeyboardInterrupt


def _keep_the_best(run: TrainingRun, stage: ActiveStage, log: TrainingLog, epoch: int) -> None:
    """Score the student, and keep what is learned if no earlier epoch was as good."""
    stage.agree()
    on, by = _selected(run, stage.recipe)
    found = evaluate(
        stage.objective.student, run.task, on, {name: run.metrics[name] for name in by},
        accelerator=run.accelerator, precision=run.options.precision, learning=True,
    )  # fmt: skip
    score = sum(found.scores[name].value for name in by)
    log.epoch(epoch, on, {name: found.scores[name].value for name in by})
    if math.isnan(score):
        run.say(f"{run.recipe.name}: {' + '.join(by)} on {on} is not defined in epoch {epoch}: any other is better")
        score = -math.inf
    if stage.best is None or score > stage.best["score"] or score == stage.best["score"] == -math.inf:
        stage.best = {"score": score, "epoch": epoch, "objective": _copied(stage.objective)}
    stage.objective.train()


def _selected(run: TrainingRun, stage: Stage) -> tuple[str, tuple[str, ...]]:
    """On which split and by which metrics epochs are compared; raises RecipeError for one that there is not."""
    on, by = stage.selected_on or run.task.scored[0], stage.selected_by or (next(iter(run.metrics)),)
    wanted = [("selected_on", on, run.task.scored), *(("selected_by", name, tuple(run.metrics)) for name in by)]
    for key, value, known in wanted:
        if value not in known:
            raise RecipeError.at(stage.marks[key], f"{key} cannot be {value!r}{did_you_mean(value, list(known))}")
    return on, by


def _rehearse(run: TrainingRun, student: nn.Module) -> None:
    """Make the later stages once, of copies: what is wrong with the last is told before the first is trained.

    The student is shown two rows of what it is scored on, and must have as many outputs as its labels need.
    """
    before = rng_state(run.device)
    scored = run.task.load(run.task.scored[0])
    with torch.no_grad():
        two = scored.batch(range(min(2, len(scored))), run.device)
        logits = run_model(copy.deepcopy(student).eval(), two.inputs).logits
    own = [s for s, stage in zip(run.splits, run.recipe.stages, strict=True) if stage.task is None]
    for found in [two.labels] if run.task.kind == "segmentation" else [scored.labels, *(s.labels for s in own)]:
        run.task.check(logits, found)
    for number in range(1, len(run.recipe.stages)):
        _made(run, number, copy.deepcopy(student))
    set_rng_state(before, run.device)


def _made(run: TrainingRun, number: int, student: nn.Module) -> ActiveStage:
    """A stage with what earlier ones have kept for it."""
    entered, stage = _of_all(run), run.recipe.stages[number]
    names = (*stage.criterion, *stage.all_teachers)
    inherited = {name: kept for name, kept in run.kept.items() if name in names}
    return ActiveStage(
        stage, student, run.splits[number], number, run.seed, entered, inherited,
        views=run.views[number], builder=run.builder, accelerator=run.accelerator, resolve=run.resolve,
        precision=run.options.precision, micro_batch=run.options.micro_batch,
    )  # fmt: skip


def _leave(run: TrainingRun, stage: ActiveStage) -> None:
    """End a stage with the parameters it selects, and keep what it says lives on."""
    stage.agree()
    if stage.best is not None:
        run.last = _copied(stage.objective.student) if stage.recipe is run.recipe.stages[-1] else None
        stage.objective.load_state_dict(stage.best["objective"])
    used = (*stage.recipe.criterion, *stage.recipe.all_teachers)
    run.kept = {name: state for name, state in run.kept.items() if name not in used}
    run.kept |= {name: _copied(stage.parts()[name]) for name in stage.recipe.keep}
    run.accelerator.free_memory()


def _resume(run: TrainingRun, state: Checkpoint) -> None:
    """Take from a state, empty for a new run, what outlives stages."""
    run.kept, run.last = state.get("kept", {}), state.get("last")
    run.micro_batch = state.get("micro_batch", run.options.micro_batch)
    run.seconds = state.get("seconds", 0.0)
    here = environment(run.device)
    run.environments = [*(before for before in state.get("environments", []) if before != here), here]
    if state:
        run.say(f"{run.recipe.name}: going on after step {state['steps']} of {run.steps}")


def _go_on(run: TrainingRun, stage: ActiveStage, state: Checkpoint) -> None:
    """Load a state into its stage; raises UsageError for one that another version of a loss or of torch has left."""
    try:
        stage.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        said = first_line(error)
        raise UsageError(f"{run.folder}: this state does not fit; remove it to begin again: {said}") from error
    set_rng_state(state["rng"][run.accelerator.process_index], run.device)


def _save(run: TrainingRun, log: TrainingLog, **state: Any) -> None:
    """Write a state; all processes come here, one writes."""
    if run.accelerator.is_main_process:
        state |= {"steps": log.step, "log": log.flushed(), "seconds": log.seconds()}
        state |= {name: getattr(run, name) for name in ("kept", "last", "micro_batch", "environments")}
        run.states.save(state)


def _of_all(run: TrainingRun) -> list[Checkpoint]:
    """The generators of every process."""
    mine = [rng_state(run.device)]
    return gather_object(mine) if run.accelerator.num_processes > 1 else mine


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
