"""One training on its way: what it is made with, how, and what outlives a stage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from harness.metrics import Metric
from harness.training.checkpointing import CheckpointStore
from harness.training.stage import StateDicts, steps_per_epoch
from harness.training.teacher import ResolveTeacher
from zoo.recipes.build import Builder
from zoo.recipes.schema import Precision, Recipe
from zoo.tasks.base import Split, Task

LOG = "log.jsonl"
Progress = Callable[[int, int], None]
"""Called after every step with the steps done and the steps in all."""


@dataclass(frozen=True, kw_only=True)
class ComputeOptions:
    """How to compute what a recipe says; of these only the precision and `micro_batch` can change a digit."""

    precision: Precision = "fp32"
    micro_batch: int | None = None
    """The most examples of a batch that a process takes at once; their gradients are summed."""
    save_every: float = 300.0
    """Seconds between two saved states; 0 saves after every step."""


@dataclass(kw_only=True)
class TrainingRun:
    """One training on its way: what it is made with, and what outlives a stage."""

    recipe: Recipe
    task: Task
    """What the student is scored on."""
    splits: tuple[Split, ...]
    """What each stage trains on."""
    views: tuple[Mapping[str, Split], ...]
    """In what way the teachers of each stage read it that have a way of their own."""
    metrics: Mapping[str, Metric]
    seed: int
    builder: Builder
    accelerator: Accelerator
    resolve: ResolveTeacher
    folder: Path
    """Where its log and its states are."""
    options: ComputeOptions = field(default_factory=ComputeOptions)
    progress: Progress = lambda done, total: None
    say: Callable[[str], None] = lambda message: None

    kept: StateDicts = field(default_factory=dict)
    last: dict[str, Tensor] | None = None
    """The student of the last epoch, where the last stage ended with that of its best one."""
    micro_batch: int | None = None
    """The most examples at once, less than was asked for where memory ran out."""
    environments: list[dict[str, Any]] = field(default_factory=list)
    """Where it ran, the latest last; several where it was resumed elsewhere."""
    seconds: float = 0.0
    """How long it ran before it was resumed."""

    def __post_init__(self) -> None:
        self.states = CheckpointStore(self.folder)

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
