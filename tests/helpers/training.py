"""Recipes that train in a second, and helpers to inspect their training."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from harness.models.environment import accelerator_on
from harness.runs.experiment import Experiment, RunContext, prepare
from harness.runs.record_runs import training_run
from harness.runs.teachers import TeacherResolver
from harness.training.stage import ActiveStage, build_stage
from harness.training.training_run import TrainingRun
from tests.helpers.device import device
from tests.helpers.project import ROOT, TINY
from zoo.recipes import catalogue
from zoo.recipes.build import Builder
from zoo.tasks.base import Batch, read_batch

RECIPES = ROOT / "tests" / "recipes"
TEACHER = """\
    teacher:
      model: {use: cifar_resnet, depth: 14, width: 16, num_classes: 10, in_channels: 1}
      weights: embedded:digits-resnet14.safetensors
"""
DISTILLED = TINY.replace(
    "    criterion:\n      ce: {loss: CrossEntropy}\n", TEACHER + "    criterion: {kd: {loss: LogitMSE}}\n"
)
PERCEPTRON = """\
name: perceptron
task: mine.some
model: {use: mine.perceptron, width: 24}
stages:
  - epochs: 2
    batch_size: 50
    optimizer: {use: SGD, lr: 0.5, momentum: 0.9}
    clip_norm: 0.5
    criterion:
      ce: {loss: CrossEntropy}
"""
"""Trains a model of `tests.helpers.user_module` on 301 rows, so the last batch of an epoch has one row."""


def experiment_of(path: Path, *, trust: Iterable[str] = ()) -> Experiment:
    """Prepare a recipe file on the device of the tests, with its runs beside it."""
    context = RunContext(
        builder=Builder(frozenset(trust)), accelerator=accelerator_on(device()), runs=path.parent / "runs"
    )
    return prepare(catalogue.local(path), context)


def training_of(path: Path, folder: Path, *, trust: Iterable[str] = ()) -> TrainingRun:
    """Return a training of a recipe file with seed 0, in a folder that is created."""
    folder.mkdir(exist_ok=True)
    experiment = experiment_of(path, trust=trust)
    return training_run(experiment, TeacherResolver().resolve(experiment), 0, folder)


def stage_of(path: Path, number: int = 0) -> ActiveStage:
    """Build a stage of a recipe file, before its first step."""
    run = training_of(path, path.parent)
    torch.manual_seed(0)
    return build_stage(run, number, run.builder.build(run.recipe.model, "model"))


def batch_of(stage: ActiveStage, step: int = 0) -> Batch:
    """Return the rows of a step, on the device of the tests."""
    return read_batch(stage.split, stage.rows(step), torch.device(device()))


def log_lines(folder: str | Path) -> list[dict[str, Any]]:
    """Return the lines of the log in a run's folder without the elapsed time, which differs between equal runs."""
    lines = [json.loads(line) for line in Path(folder, "log.jsonl").read_text().splitlines()]
    assert all(line.pop("seconds") >= 0 for line in lines)
    return lines


def logged_losses(folder: str | Path, *terms: str) -> list[list[float]]:
    """Return the losses of these terms for each step in a run's folder."""
    return [[line["losses"][term] for term in terms] for line in log_lines(folder) if "losses" in line]
