"""Blocks of steps whose losses are read at once, so that the program does not wait for a GPU after every step.

All steps of a block but the last are taken before any loss of the block is read. If one of their losses is not finite,
or the gradient scaler skipped one of them, the stage returns to the start of the block and takes its steps one by one.
So the results do not depend on the length of the blocks, and a training ends at the step whose loss is not finite.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor

from harness.training.cuda_graph import can_try, capture_step, is_capturable, rates_of
from harness.training.log import BlockLosses
from harness.training.snapshot import Snapshot, snapshot_bytes
from harness.training.stage import ActiveStage
from harness.training.training_run import TrainingRun
from zoo.device_memory import spare_memory, total_memory

MOST_STEPS = {"cpu": 1}
"""The most steps of a block, by the type of the device; a CPU computes nothing ahead."""
MOST_STEPS_ELSEWHERE = 50
SECONDS = 1.0
"""The time that a block should take at most: a signal or a checkpoint waits for the end of a block."""
SHARE = 16
"""Blocks have one step if a snapshot needs more than this part of the memory. Such a model has long steps anyway."""
SPARE_SHARE = 4
"""Blocks have one step too if a snapshot needs more than this part of the memory that no step has needed so far."""
STEPS_BEFORE_CAPTURE = 3
"""The steps after which the optimizer has all its state."""

NOT_READ = BlockLosses(values=(), due=False, stop=False, seconds=0.0)


@dataclass(kw_only=True)
class StepBlock:
    """Some steps of a stage that follow each other."""

    steps: range
    snapshot: Snapshot | None
    """The state before the first step; None for a single step, which is never taken again."""
    losses: list[dict[str, Tensor]] = field(default_factory=list)
    """The losses of the steps that were taken, which the device may still compute."""
    positions: list[dict[str, Any]] = field(default_factory=list)
    read: BlockLosses = NOT_READ
    taken: int = 0
    """The steps that were taken and accepted; 0 if the block is to be taken again."""

    @property
    def last(self) -> int:
        """The last step that was taken."""
        return self.steps.start + self.taken - 1

    def accept(self, losses: BlockLosses) -> bool:
        """Accept the steps whose losses were read, or restore the state before the first of them.

        The last step has no update yet, so it is accepted with any loss.
        """
        self.read, early = losses, losses.values[:-1]
        if self.snapshot is not None and not (_are_finite(early) and not _any_skipped(self.snapshot, len(early))):
            self.snapshot.restore()
            return False
        self.taken, self.snapshot = len(losses.values), None
        return True


def step_blocks(run: TrainingRun, stage: ActiveStage, first_step: int) -> Iterator[StepBlock]:
    """Yield the steps of a stage in blocks that end with an epoch at the latest.

    The length of a block follows from the time that the block before took. All processes yield the same blocks.

    After some steps the kernels of a step are captured where that is possible.

    Args:
        run: The training. If it saves a checkpoint after every step, every block has one step.
        stage: The stage.
        first_step: The first step to take.
    """
    step, length, single_until = first_step, 1, first_step
    device, seconds = run.device, min(SECONDS, run.options.save_every)
    most = MOST_STEPS.get(device.type, MOST_STEPS_ELSEWHERE) if seconds else 1
    stage.rates = rates_of(stage, device) if is_capturable(run, stage) else None
    is_tried = stage.rates is None
    while step < stage.steps:
        if not is_tried and step >= first_step + STEPS_BEFORE_CAPTURE and can_try(run, stage, step):
            stage.graph, is_tried = capture_step(run, stage, step), True
        rest = stage.steps_per_epoch - step % stage.steps_per_epoch
        count = 1 if step < single_until else min(length, rest)
        snapshot = _snapshot(run, stage) if count > 1 else None
        if snapshot is None and count > 1:
            count = most = 1
        block = StepBlock(steps=range(step, step + count), snapshot=snapshot)
        yield block
        if not block.taken:
            length, single_until = 1, step + count
            continue
        step += block.taken
        fitting = math.floor(block.taken * seconds / max(block.read.seconds, 1e-6))
        length = max(1, min(fitting, 2 * length, most))


def _snapshot(run: TrainingRun, stage: ActiveStage) -> Snapshot | None:
    """Return a snapshot in every process, or None if one of them may need its memory for the steps."""
    size, found = snapshot_bytes(stage), None
    if size <= total_memory(run.device) // SHARE and size <= spare_memory(run.device) // SPARE_SHARE:
        try:
            found = Snapshot(stage, run.device)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
    if run.accelerator.num_processes == 1:
        return found
    missing = run.accelerator.reduce(torch.tensor(float(found is None), device=run.device), "sum")
    return None if missing.item() else found


def _are_finite(losses: Sequence[Mapping[str, float]]) -> bool:
    return all(math.isfinite(values["total"]) for values in losses)


def _any_skipped(before: Snapshot, steps: int) -> bool:
    """Return whether the gradient scaler skipped one of the steps since a snapshot.

    The scaler counts the steps since the scale last changed. The scale grows after many steps, and it is halved by a
    step that is skipped.
    """
    now: dict[str, Any] = before.stage.scaler.state_dict()
    if not now:
        return False
    counted = before.scaler["_growth_tracker"] + steps
    return bool(now["scale"] <= before.scaler["scale"] and now["_growth_tracker"] != counted)
