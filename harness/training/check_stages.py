"""Check a training before it begins: the student's outputs, the metrics, and all stages."""

import copy

import torch
from torch import nn

from harness.evaluation.metric_trial import try_metrics
from harness.models.detector_classes import check_classes
from harness.models.outputs import run_model
from harness.models.text_inputs import fit_to_texts
from harness.training.checkpointing import rng_state, set_rng_state
from harness.training.stage import build_stage
from harness.training.training_run import TrainingRun
from zoo.tasks.base import read_batch


def check_stages(run: TrainingRun, student: nn.Module) -> None:
    """Check the student's outputs, try the metrics, and build the later stages once, of copies, before any training.

    So an error in the last stage or in a metric is reported at once. The random generators are left unchanged.

    Raises:
        RecipeError: A stage cannot be built.
        UsageError: The student does not have as many outputs as the labels need, a metric cannot be computed, or a row
            is too long for the student.
    """
    before = rng_state(run.device)
    scored = run.task.load(run.task.scored[0])
    for name in run.task.scored:
        fit_to_texts(student, run.task.load(name), f"the split {name!r}")
        check_classes(student, run.task.load(name), f"the split {name!r}")
    with torch.no_grad():
        two_rows = read_batch(scored, range(min(2, len(scored))), run.device)
        logits = run_model(copy.deepcopy(student).eval(), two_rows.inputs).logits
    trained = [split for split, stage in zip(run.splits, run.recipe.stages, strict=True) if stage.task is None]
    labels = [two_rows.labels] if run.task.readout is not None else [s.labels for s in (scored, *trained)]
    for some_labels in labels:
        run.task.check(logits, some_labels)
    try_metrics(run.recipe, run.task, run.metrics, logits.shape[1] if logits.dim() > 1 else 1)
    for number in range(1, len(run.recipe.stages)):
        build_stage(run, number, copy.deepcopy(student))
    set_rng_state(before, run.device)
