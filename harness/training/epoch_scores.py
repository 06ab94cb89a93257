"""Score the student after an epoch: for the training log, and to keep the parameters of the best one."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from harness.evaluation.evaluate import evaluate
from harness.judging.types import decimals_of
from harness.training.checkpointing import unchanged_generators
from harness.training.log import TrainingLog
from harness.training.stage import ActiveStage, share_buffers
from harness.training.training_run import TrainingRun
from zoo.recipes.claim import CORRELATIONS
from zoo.recipes.stage import Stage
from zoo.safe_text import one_line
from zoo.text_tables import finite, number

WIDTH = 7
"""The characters of the loss and of the seconds in the line of an epoch."""
Scores = Mapping[str, Mapping[str, float]]
"""The scores of an epoch: split -> metric -> value."""


def selection_criterion(run: TrainingRun, stage: Stage) -> tuple[str, tuple[str, ...]]:
    """Return the split and the metrics by which the epochs of a stage are compared.

    By default the split is the recipe's hold-out, or else the first one that is scored.
    """
    default = run.recipe.holdout.name if run.recipe.holdout else run.task.scored[0]
    return stage.selected_on or default, stage.selected_by or (next(iter(run.metrics)),)


def end_epoch(run: TrainingRun, stage: ActiveStage, log: TrainingLog, position: Mapping[str, Any]) -> None:
    """Score the student after an epoch if the stage selects its best epoch, or the run's options ask for it.

    The scores are logged and reported, and the best epoch's parameters are kept. Scoring changes neither the parameters
    nor the random generators.

    Args:
        run: The training.
        stage: The stage, after the last step of an epoch.
        log: The training log.
        position: The position of that step in the stage, as in the log.
    """
    selects = stage.recipe.selection == "best"
    if selects or run.options.score_epochs:
        _score(run, stage, log, position, selects=selects)
    log.end_epoch()


def _score(
    run: TrainingRun, stage: ActiveStage, log: TrainingLog, position: Mapping[str, Any], *, selects: bool
) -> None:
    split, names = selection_criterion(run, stage.recipe)
    wanted = {split: tuple(run.metrics) for split in run.task.scored} if run.options.score_epochs else {split: names}
    with unchanged_generators(run.device), _shared_buffers(run, stage, changed=selects):
        scores = {split: _scores_on(run, stage, split, metrics) for split, metrics in wanted.items()}
    stage.objective.train()
    log.write_epoch(position, scores)
    is_best = selects and _keep_if_best(run, stage, {name: scores[split][name] for name in names}, position)
    _report(run, log, position, scores, is_best=is_best)


def state_dict_copy(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a module's state dict on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _scores_on(run: TrainingRun, stage: ActiveStage, split: str, metrics: tuple[str, ...]) -> dict[str, float]:
    return evaluate(
        stage.objective.student, run.task, split, {name: run.metrics[name] for name in metrics},
        accelerator=run.accelerator, precision=run.options.precision, learning=True, strict=run.options.strict,
    ).values  # fmt: skip


@contextmanager
def _shared_buffers(run: TrainingRun, stage: ActiveStage, *, changed: bool) -> Iterator[None]:
    """Score all processes with the buffers of the first one; unless they may be `changed`, restore them afterwards."""
    buffers = list(stage.objective.buffers()) if run.accelerator.num_processes > 1 and not changed else []
    before = [buffer.clone() for buffer in buffers]
    share_buffers(stage, run.accelerator)
    yield
    for buffer, value in zip(buffers, before, strict=True):
        buffer.copy_(value)


def _keep_if_best(
    run: TrainingRun, stage: ActiveStage, scores: Mapping[str, float], position: Mapping[str, Any]
) -> bool:
    """Keep the objective's parameters if no earlier epoch was as good, and return whether they are kept."""
    score, epoch = sum(scores.values()), round(position["epoch"])
    if math.isnan(score):
        undefined = f"{' + '.join(scores)} on {selection_criterion(run, stage.recipe)[0]} is not defined in epoch"
        run.report(f"{run.recipe.name}: {undefined} {epoch}; any other epoch counts as better")
        score = -math.inf
    is_best = stage.best is None or score > stage.best["score"] or score == stage.best["score"] == -math.inf
    if is_best:
        stage.best = {"score": score, "epoch": epoch, "objective": state_dict_copy(stage.objective)}
    return is_best


def _report(run: TrainingRun, log: TrainingLog, position: Mapping[str, Any], scores: Scores, *, is_best: bool) -> None:
    """Report an epoch in one line, with the same columns for every epoch.

    An example is `tiny: epoch  2 of 10 (    9.0 s): loss  0.4120, accuracy on test 0.8912, the best so far`.
    """
    values = [
        f"{one_line(metric)} on {one_line(split)} {_score_text(run, split, metric, value)}"
        for split, of_split in scores.items()
        for metric, value in of_split.items()
    ]
    where = run.position_text(position["stage"], position["epoch"], aligned=True)
    loss = f"loss {number(finite(log.mean_loss)):>{WIDTH}}"
    listed = ", ".join([loss, *values, *(["the best so far"] if is_best else [])])
    run.report(f"{run.recipe.name}: {where} ({log.elapsed():>{WIDTH},.1f} s): {listed}")


def _score_text(run: TrainingRun, split: str, metric: str, value: float) -> str:
    """Return a score with the decimals of its claims, with room for a sign if the metric is a correlation."""
    decimals = decimals_of(run.recipe.claims, split, metric)
    width = len(number(-1.0 if metric in CORRELATIONS else 1.0, decimals))
    return f"{number(finite(value), decimals):>{width}}"
