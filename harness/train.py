"""Training: stages, epochs, steps.

Every random stream is a function of the run's seed: initial weights and dropout through the global generators, the
order of examples through one generator per stage and epoch. What a step leaves is a function of what it found, so a run
that goes on from a saved state ends with the same bits as one that was never stopped.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object, set_seed
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor, nn

from harness.environment import autocast, environment
from harness.evaluate import evaluate
from harness.log import Log
from harness.metrics import Metric
from harness.stage import ActiveStage, Kept, steps_per_epoch
from harness.state import State, States, rng_state, set_rng_state
from harness.teacher import Resolve
from zoo.build import Builder
from zoo.errors import RecipeError, UsageError, did_you_mean
from zoo.recipe import Precision, Recipe, Stage
from zoo.tasks.base import Split, Task

LOG = "log.jsonl"
Progress = Callable[[int, int], None]
"""Called after every step with the steps done and the steps in all."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to compute what a recipe says; of these only the precision and `micro_batch` can change a digit."""

    precision: Precision = "fp32"
    micro_batch: int | None = None
    """The most examples of a batch that a process takes at once; their gradients are summed."""
    save_every: float = 300.0
    """Seconds between two saved states; 0 saves after every step."""


@dataclass(kw_only=True)
class Run:
    """One training on its way: what it is made with, and what outlives a stage."""

    recipe: Recipe
    task: Task
    """What the student is scored on."""
    splits: tuple[Split, ...]
    """What each stage trains on."""
    metrics: Mapping[str, Metric]
    seed: int
    builder: Builder
    accelerator: Accelerator
    resolve: Resolve
    folder: Path
    """Where its log and its states are."""
    options: Options = field(default_factory=Options)
    progress: Progress = lambda done, total: None
    say: Callable[[str], None] = lambda message: None

    kept: Kept = field(default_factory=dict)
    last: dict[str, Tensor] | None = None
    """The student of the last epoch, where the last stage ended with that of its best one."""
    micro_batch: int | None = None
    """The most examples at once, less than was asked for where memory ran out."""
    environments: list[dict[str, Any]] = field(default_factory=list)
    """Where it ran, the latest last; several where it was resumed elsewhere."""
    seconds: float = 0.0
    """How long it ran before it was resumed."""

    def __post_init__(self) -> None:
        self.states = States(self.folder)

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def steps(self) -> int:
        """Optimiser steps of all stages."""
        return sum(
            s.epochs * steps_per_epoch(s, split) for s, split in zip(self.recipe.stages, self.splits, strict=True)
        )


def train(run: Run) -> nn.Module:
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
    finally:
        set_rng_state(outside, run.device)


def _train(run: Run) -> nn.Module:
    process = run.accelerator.process_index
    set_seed(run.seed)
    student: nn.Module = run.builder.build(run.recipe.model, "model").to(run.device)
    learns = {name: parameter.requires_grad for name, parameter in student.named_parameters()}
    state: State = broadcast_object_list([run.states.newest() if run.accelerator.is_main_process else None])[0] or {}
    _resume(run, state)
    if "student" in state:
        student.load_state_dict(state["student"])
    if state:
        set_rng_state(state["entered"][process], run.device)
    with Log(run.folder / LOG, state, run.accelerator, save_every=run.options.save_every) as log:
        run.progress(log.step, run.steps)
        for number in range(state.get("stage", 0), len(run.recipe.stages)):
            for name, parameter in student.named_parameters():
                parameter.requires_grad_(learns[name])
            stage = _enter(run, number, student)
            if process:  # no two processes drop out the same units
                set_seed(run.seed + 2**16 * process + number)
            if done := state.pop("step", 0):
                stage.load_state_dict(state)
                set_rng_state(state["rng"][process], run.device)
            train_stage(run, stage, log, done)
            _leave(run, stage)
            _save(run, log, stage=number + 1, step=0, entered=_of_all(run), student=student.state_dict())
    return student


def train_stage(run: Run, stage: ActiveStage, log: Log, done: int) -> None:
    """Take the steps of a stage from number `done` on, saving a state whenever one is due."""
    for step in range(done, stage.steps):
        losses = _gradients(run, stage, stage.rows(step))
        due = log.write(losses, stage.optimizer.param_groups[0]["lr"])
        run.progress(log.step, run.steps)
        if stage.stage.clip_norm is not None:
            stage.scaler.unscale_(stage.optimizer)  # the norm is that of the gradients, not of the scaled ones
            nn.utils.clip_grad_norm_(stage.objective.parameters(), stage.stage.clip_norm)
        scale = stage.scaler.get_scale()
        stage.scaler.step(stage.optimizer)
        stage.scaler.update()
        stage.optimizer.zero_grad()
        overflowed = stage.scaler.get_scale() < scale  # then no step was taken
        epoch, rest = divmod(step + 1, stage.steps_per_epoch)
        if rest == 0 if stage.stage.schedule_per == "epoch" else not overflowed:
            stage.schedule.step()
        if rest == 0 and stage.stage.selection == "best":
            _keep_the_best(run, stage, log, epoch)
        if due and step + 1 < stage.steps:
            _save(run, log, stage=stage.number, step=step + 1, rng=_of_all(run), **stage.state_dict())


def _gradients(run: Run, stage: ActiveStage, rows: list[int]) -> dict[str, Tensor]:
    """Sum up the gradients of the mean loss over the rows of a step; the losses, of this process's share.

    Where memory runs out the rows are taken in smaller parts, and the sum is begun again.
    """
    while True:
        try:
            return _accumulate(run, stage, rows)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
        stage.optimizer.zero_grad()
        clear_device_cache(garbage_collection=True)
        run.micro_batch = _halved(run, stage)


def _accumulate(run: Run, stage: ActiveStage, rows: list[int]) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = {}
    parts = list(_parts(rows, run))
    for number, (part, share) in enumerate(parts, 1):
        # gradients are averaged over the processes once, with the last part
        with nullcontext() if number == len(parts) else run.accelerator.no_sync(stage.wrapped):
            batch = stage.split.batch(part).to(run.device)
            with autocast(run.device, run.options.precision):
                found = stage.wrapped(batch, stage.teachers(batch))
            stage.scaler.scale(found["total"] * share * run.accelerator.num_processes).backward()
        for name, loss in found.items():
            losses[name] = losses.get(name, 0) + loss.detach() * share
    return losses


def _parts(rows: list[int], run: Run) -> Iterator[tuple[list[int], float]]:
    """This process's rows of a step in parts that fit in memory, each with its share of the step's mean.

    Every process has the same number of parts, since they meet after the last: one without rows takes some at no share.
    """
    each = math.ceil(len(rows) / run.accelerator.num_processes)
    start = each * run.accelerator.process_index
    mine, size = rows[start : start + each], run.micro_batch or each
    for first in range(0, each, size):
        part = mine[first : first + size]
        yield part or rows[:2], len(part) / len(rows)


def _halved(run: Run, stage: ActiveStage) -> int:
    """Half the micro-batch; raises UsageError where that would change what is computed."""
    size = min(run.micro_batch or stage.stage.batch_size, stage.stage.batch_size)
    why = {
        "one is the least": size == 1,
        "the other processes would not know of it": run.accelerator.num_processes > 1,
        "BatchNorm in training normalises by the batch it sees": stage.normalises_by_batch(),
        "a term compares the rows of a batch": any(
            getattr(t, "needs_whole_batch", False) for t in stage.parts().values()
        ),
    }
    if reason := next((reason for reason, holds in why.items() if holds), None):
        instead = f"; --micro-batch {size // 2} does it all the same, and the record says so" if size > 1 else ""
        raise UsageError(f"out of memory with {size} examples at once, which are not halved: {reason}{instead}")
    run.say(f"out of memory with {size} examples at once: from here on {size // 2}, at the same batch size")
    return size // 2


def _keep_the_best(run: Run, stage: ActiveStage, log: Log, epoch: int) -> None:
    """Score the student, and keep what is learned if no earlier epoch was as good."""
    stage.agree()
    on, by = _selected(run, stage.stage)
    found = evaluate(
        stage.objective.student, run.task, on, {by: run.metrics[by]},
        accelerator=run.accelerator, precision=run.options.precision,
    )  # fmt: skip
    score = found.scores[by].value
    log.epoch(epoch, on, by, score)
    if stage.best is None or score > stage.best["score"]:
        objective = _copied(stage.objective)
        stage.best = {"score": -math.inf if math.isnan(score) else score, "epoch": epoch, "objective": objective}
    stage.objective.train()


def _selected(run: Run, stage: Stage) -> tuple[str, str]:
    """On which split and by which metric epochs are compared; raises RecipeError for one that there is not."""
    on, by = stage.selected_on or run.task.scored[0], stage.selected_by or next(iter(run.metrics))
    for key, value, known in (("selected_on", on, list(run.task.scored)), ("selected_by", by, list(run.metrics))):
        if value not in known:
            raise RecipeError.at(stage.marks[key], f"{key} cannot be {value!r}{did_you_mean(value, known)}")
    return on, by


def _enter(run: Run, number: int, student: nn.Module) -> ActiveStage:
    entered, stage = _of_all(run), run.recipe.stages[number]
    names = (*stage.criterion, *stage.all_teachers)
    inherited = {name: kept for name, kept in run.kept.items() if name in names}
    return ActiveStage(
        stage, student, run.splits[number], number, run.seed, entered, inherited,
        builder=run.builder, accelerator=run.accelerator, resolve=run.resolve, precision=run.options.precision,
        micro_batch=run.options.micro_batch,
    )  # fmt: skip


def _leave(run: Run, stage: ActiveStage) -> None:
    """End a stage with the parameters it selects, and keep what it says lives on."""
    stage.agree()
    if stage.best is not None:
        run.last = _copied(stage.objective.student) if stage.stage is run.recipe.stages[-1] else None
        stage.objective.load_state_dict(stage.best["objective"])
    used = (*stage.stage.criterion, *stage.stage.all_teachers)
    run.kept = {name: state for name, state in run.kept.items() if name not in used}
    run.kept |= {name: _copied(stage.parts()[name]) for name in stage.stage.keep}
    run.accelerator.free_memory()


def _resume(run: Run, state: State) -> None:
    """Take from a state, empty for a new run, what outlives stages."""
    run.kept, run.last = state.get("kept", {}), state.get("last")
    run.micro_batch = state.get("micro_batch", run.options.micro_batch)
    run.seconds = state.get("seconds", 0.0)
    here = environment(run.device)
    run.environments = [*(before for before in state.get("environments", []) if before != here), here]
    if state:
        run.say(f"{run.recipe.name}: going on after step {state['steps']} of {run.steps}")


def _save(run: Run, log: Log, **state: Any) -> None:
    """Write a state; all processes come here, one writes."""
    if run.accelerator.is_main_process:
        state |= {"steps": log.step, "log": log.flushed(), "seconds": log.seconds()}
        state |= {name: getattr(run, name) for name in ("kept", "last", "micro_batch", "environments")}
        run.states.save(state)


def _of_all(run: Run) -> list[State]:
    """The generators of every process."""
    mine = [rng_state(run.device)]
    return gather_object(mine) if run.accelerator.num_processes > 1 else mine


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
