"""`selection: best`: score the student after each epoch, and keep the parameters of the best one."""

import math

from torch import Tensor, nn

from harness.evaluation.evaluate import evaluate
from harness.training.log import TrainingLog
from harness.training.stage import ActiveStage, share_buffers
from harness.training.training_run import TrainingRun
from zoo.errors import RecipeError, did_you_mean
from zoo.recipes.schema import Stage


def selection_criterion(run: TrainingRun, stage: Stage) -> tuple[str, tuple[str, ...]]:
    """Return the split and the metrics by which the epochs of a stage are compared.

    Raises:
        RecipeError: The split is not scored, or the recipe does not have a metric.
    """
    split, metrics = stage.selected_on or run.task.scored[0], stage.selected_by or (next(iter(run.metrics)),)
    chosen = [("selected_on", split, run.task.scored), *(("selected_by", name, tuple(run.metrics)) for name in metrics)]
    for key, value, allowed in chosen:
        if value not in allowed:
            raise RecipeError.at(stage.marks[key], f"{key} cannot be {value!r}{did_you_mean(value, list(allowed))}")
    return split, metrics


def keep_best_epoch(run: TrainingRun, stage: ActiveStage, log: TrainingLog, epoch: int) -> None:
    """Score the student after an epoch, and keep the objective's parameters if no earlier epoch was as good."""
    share_buffers(stage, run.accelerator)
    split, metrics = selection_criterion(run, stage.recipe)
    evaluation = evaluate(
        stage.objective.student, run.task, split, {name: run.metrics[name] for name in metrics},
        accelerator=run.accelerator, precision=run.options.precision, learning=True,
    )  # fmt: skip
    scores = {name: evaluation.scores[name].value for name in metrics}
    log.write_epoch(epoch, split, scores)
    score = sum(scores.values())
    if math.isnan(score):
        undefined = f"{' + '.join(metrics)} on {split} is not defined in epoch {epoch}"
        run.report(f"{run.recipe.name}: {undefined}; any other epoch counts as better")
        score = -math.inf
    if stage.best is None or score > stage.best["score"] or score == stage.best["score"] == -math.inf:
        stage.best = {"score": score, "epoch": epoch, "objective": state_dict_copy(stage.objective)}
    stage.objective.train()


def state_dict_copy(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a module's state dict on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
