"""Decide whether batches can be computed in parts: over processes, as micro-batches, or grouped by length."""

import math
from collections.abc import Sequence

from accelerate import Accelerator
from torch import Tensor, nn

from harness.evaluation.batching import lengths_of
from harness.losses.base import counts_labels, is_denominator_known, is_mean_over_rows
from harness.training.objective import Objective
from zoo.errors import RecipeError, UsageError
from zoo.recipes.stage import Stage
from zoo.tasks.base import Split

UNKNOWN_DENOMINATOR = "the mean of a term divides by something unknown, such as the number of labels that count"


def check_batch_sizes(
    stage: Stage, objective: Objective, split: Split, micro_batch: int | None, processes: int
) -> None:
    """Check that every term can work with the batches that a process takes at once.

    Raises:
        RecipeError: A term needs all rows of a batch, and would get a part of it; or a term needs two rows, and
            would get a single row; or the mean over a batch cannot be computed from the means over its parts.
    """
    in_parts = processes > 1 or (micro_batch or math.inf) < stage.batch_size
    fewest = _fewest_rows(stage, len(split), micro_batch, processes)
    for name, needs in objective.term_needs.items():
        mark = stage.criterion[name].loss.mark
        if in_parts and needs.needs_whole_batch:
            message = f"{name} needs all rows of a batch at once: use one process and no --micro-batch"
            raise RecipeError.at(mark, message)
        if in_parts and not is_denominator_known(objective.terms[name], labels_of(split)):
            message = (
                f"{name} leaves out labels or weighs classes, or does not say what its mean divides by: use one process"
                " and no --micro-batch, or add the method `denominator(labels)` to the loss"
            )
            raise RecipeError.at(mark, message)
        if fewest < 2 and needs.needs_two_rows:
            message = (
                f"{name} cannot use a batch of one row, and the last batch of an epoch has one; set `drop_last: true`"
            )
            raise RecipeError.at(mark, message)


def lengths_to_split_by(objective: Objective, split: Split, accelerator: Accelerator) -> Sequence[int] | None:
    """Return the rows' lengths if computing a batch in parts of similar length is allowed, and faster on this device.

    All terms must read only logits and be means over the rows (see `is_mean_over_rows`), each with the same weight.
    BatchNorm must not learn.
    """
    lengths = lengths_of(split)
    if lengths is None or accelerator.device.type != "cpu" or accelerator.num_processes > 1:
        return None
    if any(need.features for need in objective.needs.values()) or normalizes_by_batch(objective):
        return None
    terms = list(objective.terms.values())
    if not all(is_mean_over_rows(term) and is_denominator_known(term, split.labels) for term in terms):
        return None
    return None if terms_that_count_labels(objective, split) else lengths


def terms_that_count_labels(objective: Objective, split: Split) -> tuple[str, ...]:
    """Return the names of the terms whose mean over these rows divides by something else than the number of rows."""
    labels = labels_of(split)
    return tuple(name for name, term in objective.terms.items() if counts_labels(term, labels))


def has_unknown_denominator(objective: Objective, split: Split) -> bool:
    """Return whether it is unknown what the mean of a term divides by."""
    labels = labels_of(split)
    return not all(is_denominator_known(term, labels) for term in objective.terms.values())


def labels_of(split: Split) -> Tensor | None:
    """Return all labels of a split, or None for a segmentation, whose masks are read batch by batch."""
    try:
        return split.labels
    except UsageError:
        return None


def normalizes_by_batch(module: nn.Module) -> bool:
    """Return whether a part of a batch is normalized differently from the whole: BatchNorm in training."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training for part in module.modules())


def _fewest_rows(stage: Stage, rows: int, micro_batch: int | None, processes: int) -> int:
    """Return the fewest rows that a process ever takes at once."""
    size = stage.batch_size
    batches = {min(size, rows)} if stage.drop_last or rows % size == 0 else {min(size, rows), rows % size}
    shares = {max(batch // processes, 1) for batch in batches}
    return min(share // math.ceil(share / (micro_batch or share)) for share in shares)
