"""Values of a training run: its inputs, its options, and the student that it returns."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from harness.metrics import Metric
from harness.training.row_order import steps_per_epoch
from harness.training.teacher import TeacherWeights
from zoo.progress import Report, Step, ignore_message, ignore_step
from zoo.recipes.build import Builder
from zoo.recipes.claim import Precision
from zoo.recipes.schema import Recipe
from zoo.tasks.base import Split, Task

StateDicts = dict[str, dict[str, Tensor]]
"""The state dicts of terms and trained teachers that later stages start from, by name."""


@dataclass(frozen=True, kw_only=True)
class ComputeOptions:
    """How a recipe is computed. Only the precision, `micro_batch` and `strict` can change the numbers."""

    precision: Precision = "fp32"
    micro_batch: int | None = None
    """The most rows of a batch that a process takes at once; the gradients of the parts are summed. None: all rows."""
    save_every: float = 300.0
    """The seconds between two checkpoints; 0 saves one after every step."""
    deadline: float | None = None
    """When a training has to have ended, on the clock of `time.monotonic`; None for no time limit."""
    score_epochs: bool = False
    """Whether the student is scored after every epoch, also where no stage selects its best one."""
    log_to: tuple[str, ...] = ()
    """The trackers that the training log is sent to; see `harness.tracking`."""
    strict: bool = False
    """Whether evaluations use batches of fixed shapes; see `harness.evaluation.strict`."""


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One training of a recipe with a seed: its data, models and options."""

    recipe: Recipe
    task: Task
    """The task that the student is scored on."""
    splits: tuple[Split, ...]
    """For each stage, the rows to train on."""
    class_names: tuple[tuple[str, ...], ...]
    """For each stage, the names of the classes of its task, in order; empty where there are none."""
    teacher_splits: tuple[Mapping[str, Split], ...]
    """For each stage, the inputs of the teachers that have their own task or tokenizer."""
    teachers: tuple[Mapping[str, TeacherWeights], ...]
    """For each stage, its teachers by name."""
    metrics: Mapping[str, Metric]
    seed: int
    builder: Builder
    accelerator: Accelerator
    folder: Path
    """The folder of the log and the checkpoints."""
    options: ComputeOptions = field(default_factory=ComputeOptions)
    progress: Step = ignore_step
    report: Report = ignore_message
    on_log_line: Callable[[Mapping[str, Any]], None] = lambda _: None
    """Called with each line of the training log, in the process that writes it."""
    check_lock: Callable[[], None] = lambda: None
    """Raises an error if another command has taken over the folder. Called before anything is written there."""

    @property
    def device(self) -> torch.device:
        """The device that it is computed on."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def steps(self) -> int:
        """The optimizer steps of all stages."""
        return sum(
            s.epochs * steps_per_epoch(s, split) for s, split in zip(self.recipe.stages, self.splits, strict=True)
        )

    def position_text(self, stage: int, epoch: float, *, aligned: bool = False) -> str:
        """Return a position in words, such as `stage 2 of 3, epoch 1.5 of 4`; stages count from 1.

        Args:
            stage: The stage.
            epoch: The number of its epochs that are finished.
            aligned: Whether all whole epochs of the run have texts of the same length.
        """
        stages = self.recipe.stages
        width = max(len(str(other.epochs)) for other in stages) if aligned else 0
        in_stage = f"epoch {math.floor(10 * epoch) / 10:>{width}g} of {stages[stage - 1].epochs:>{width}}"
        return in_stage if len(stages) == 1 else f"stage {stage} of {len(stages)}, {in_stage}"


@dataclass(frozen=True, kw_only=True)
class TrainedStudent:
    """The student that a training returns, and what a record says about the training."""

    model: nn.Module
    last_epoch: Mapping[str, Tensor] | None
    """The state dict after the last epoch, if the last stage ended with the parameters of its best epoch."""
    micro_batch: int | None
    """The most rows at once in the end; smaller than the option if memory ran out."""
    environments: list[dict[str, Any]]
    """The environments of the run, the latest last; several if it was resumed in another environment."""
    seconds: float
    """The seconds that it ran before it was resumed."""
    failure: str = ""
    """Why the training ended early: its loss is not finite."""
