"""Decide whether batches can be computed in parts: over processes, as micro-batches, or grouped by length."""

import math
from collections.abc import Sequence

from accelerate import Accelerator
from torch import nn

from harness.evaluation.batching import lengths_of
from harness.losses.base import is_mean_over_rows
from harness.training.objective import Objective
from zoo.errors import RecipeError
from zoo.recipes.schema import Stage
from zoo.tasks.base import Split

IGNORE_INDEX = -100
"""The label that torch's cross entropy leaves out by default."""


def check_batch_sizes(stage: Stage, objective: Objective, rows: int, micro_batch: int | None, processes: int) -> None:
    """Check that every term can work with the batches that a process takes at once.

    Raises:
        RecipeError: A term compares the rows of a batch, and would get a part of it; or a term needs two rows, and
            would get a single row.
    """
    in_parts = processes > 1 or (micro_batch or math.inf) < stage.batch_size
    fewest = _fewest_rows(stage, rows, micro_batch, processes)
    for name, needs in objective.term_needs.items():
        mark = stage.criterion[name].loss.mark
        if in_parts and needs.needs_whole_batch:
            message = f"{name} compares the rows of a batch with each other: use one process and no --micro-batch"
            raise RecipeError.at(mark, message)
        if fewest < 2 and needs.needs_two_rows:
            message = (
                f"{name} cannot use a batch of one row, and the last batch of an epoch has one; set `drop_last: true`"
            )
            raise RecipeError.at(mark, message)


def lengths_to_split_by(objective: Objective, split: Split, accelerator: Accelerator) -> Sequence[int] | None:
    """Return the rows' lengths if computing a batch in parts of similar length is allowed, and faster on this device.

    All terms must read only logits and be means over the rows (see `is_mean_over_rows`). BatchNorm must not learn, and
    no row may have a label that a term ignores.
    """
    lengths = lengths_of(split)
    if lengths is None or accelerator.device.type != "cpu" or accelerator.num_processes > 1:
        return None
    if any(need.features for need in objective.needs.values()) or normalizes_by_batch(objective):
        return None
    terms = list(objective.terms.values())
    if not all(is_mean_over_rows(term) for term in terms):
        return None
    ignored = {getattr(term, "ignore_index", IGNORE_INDEX) for term in terms}
    return None if any(bool((split.labels == index).any()) for index in ignored) else lengths


def normalizes_by_batch(module: nn.Module) -> bool:
    """Return whether a part of a batch is normalized differently from the whole: BatchNorm in training."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training for part in module.modules())


def _fewest_rows(stage: Stage, rows: int, micro_batch: int | None, processes: int) -> int:
    """Return the fewest rows that a process ever takes at once."""
    size = stage.batch_size
    batches = {min(size, rows)} if stage.drop_last or rows % size == 0 else {min(size, rows), rows % size}
    shares = {max(batch // processes, 1) for batch in batches}
    return min(share // math.ceil(share / (micro_batch or share)) for share in shares)
