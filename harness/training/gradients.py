"""The gradients of one step: summed over parts of the batch that fit in memory, and averaged over processes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor, nn

from harness.evaluation.batching import by_length
from harness.models.environment import autocast
from harness.training.batch_parts import UNKNOWN_DENOMINATOR, has_unknown_denominator, labels_of, normalizes_by_batch
from harness.training.stage import ActiveStage
from harness.training.step_graph import tensor_rates
from harness.training.training_run import TrainingRun
from zoo.errors import UsageError
from zoo.tasks.base import Batch, read_batch
from zoo.tasks.padding import pad_batch

LARGE = 2**20
"""An embedding with at least this many parameters has sparse gradients while parts of a batch are summed."""


def accumulate_gradients(run: TrainingRun, stage: ActiveStage, rows: list[int]) -> dict[str, Tensor]:
    """Compute the gradients of the mean loss over the rows of a step.

    If memory runs out, the micro-batch is halved and the step starts again.

    Returns:
        The losses by term, and their `total`. Each is this process's share of the mean over all rows.

    Raises:
        UsageError: Memory ran out, and smaller parts would change the result.
    """
    batch = None
    if stage.graph is not None and len(rows) == stage.recipe.batch_size and stage.micro_batch is None:
        batch = read_batch(stage.split, rows, run.device)
        if stage.graph.fits(batch):
            return stage.graph.compute(batch)
    while True:
        try:
            losses: dict[str, Tensor] = {}
            parts = _with_shares(run, stage, list(_parts(run, stage, rows)))
            parts = parts if batch is None or len(parts) > 1 else [replace(parts[0], batch=batch)]
            grouped = len(parts) > 1 and stage.lengths is not None
            with sparse_embeddings(stage.objective) if grouped else nullcontext():
                for number, part in enumerate(parts, 1):
                    # gradients are averaged over the processes once, with the last part
                    with nullcontext() if number == len(parts) else run.accelerator.no_sync(stage.wrapped):
                        part_losses = _losses(run, stage, part)
                        scaled = stage.scaler.scale(part_losses["total"] * part.share * run.accelerator.num_processes)
                        scaled.backward()
                    for name, loss in part_losses.items():
                        losses[name] = losses.get(name, 0) + loss.detach() * part.share
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
        else:
            return losses
        stage.optimizer.zero_grad()
        has_graph, stage.graph = stage.graph is not None, None  # it has memory of its own
        clear_device_cache(garbage_collection=True)
        if not has_graph:
            stage.micro_batch = _halved_micro_batch(run, stage)


def gradients_of(run: TrainingRun, stage: ActiveStage, batch: Batch) -> dict[str, Tensor]:
    """Compute the gradients of all rows of a step at once, in one process; return the losses by term, and `total`."""
    losses = _losses(run, stage, _Part([], 1.0, batch))
    scaled: Any = stage.scaler.scale(losses["total"])
    scaled.backward()
    return {name: loss.detach() for name, loss in losses.items()}


def apply_gradients(stage: ActiveStage) -> None:
    """Let the optimizer take its step, unless the gradient scaler finds that the gradients overflow."""
    if stage.graph is not None and stage.graph.is_pending:
        stage.graph.apply()
        return
    with tensor_rates(stage.optimizer, stage.rates) if stage.rates else nullcontext():
        update_parameters(stage)


def update_parameters(stage: ActiveStage) -> None:
    """Let the optimizer take its step with the learning rates that it holds."""
    if stage.recipe.clip_norm is not None:
        stage.scaler.unscale_(stage.optimizer)  # clip the true gradients, not the scaled ones
        nn.utils.clip_grad_norm_(stage.objective.parameters(), stage.recipe.clip_norm)
    stage.scaler.step(stage.optimizer)
    stage.scaler.update()
    stage.optimizer.zero_grad()


@dataclass(frozen=True)
class _Part:
    """Some rows of a step that a process computes at once."""

    rows: list[int]
    share: float
    """Its share of the mean over all rows of the step; 1 if each term has its own share."""
    batch: Batch | None = None
    """The rows, if they are read already."""
    shares: Mapping[str, float] | None = None
    """The share of each term, if one divides by something else than the number of rows."""


def _losses(run: TrainingRun, stage: ActiveStage, part: _Part) -> dict[str, Tensor]:
    batch = part.batch or read_batch(stage.split, part.rows, run.device)
    with autocast(run.device, run.options.precision):
        shares = {} if part.shares is None else {"shares": part.shares}
        losses: dict[str, Tensor] = stage.wrapped(batch, stage.teachers(batch), **shares)
    return losses


def _with_shares(run: TrainingRun, stage: ActiveStage, parts: list[_Part]) -> list[_Part]:
    """Give every term its own share of each part, if a term divides by something else than the number of rows.

    The shares depend on the labels of the whole step, so all its rows are read first. Images of several sizes are
    padded to the largest of the step, as they are if the batch is computed at once.
    """
    has_masks = labels_of(stage.split) is None
    if not (stage.counting_terms or has_masks) or (len(parts) == 1 and run.accelerator.num_processes == 1):
        return parts
    read = [replace(part, batch=read_batch(stage.split, part.rows, run.device)) for part in parts]
    read = _of_equal_size(run, read) if has_masks else read
    if not stage.counting_terms:
        return read
    counts = torch.tensor([[_denominator(stage, name, part) for name in stage.counting_terms] for part in read])
    totals = run.accelerator.reduce(counts.sum(0).to(run.device), "sum").cpu()
    by_row = [dict.fromkeys(stage.objective.terms, part.share) for part in read]
    shares = [dict(zip(stage.counting_terms, (row / totals).tolist(), strict=True)) for row in counts]
    return [replace(part, share=1, shares=rows | own) for part, rows, own in zip(read, by_row, shares, strict=True)]


def _of_equal_size(run: TrainingRun, parts: list[_Part]) -> list[_Part]:
    """Pad images and masks to the largest of the step."""
    batches = [part.batch for part in parts if part.batch is not None]
    largest = torch.tensor([batch.labels.shape[-2:] for batch in batches]).amax(0, keepdim=True)
    height, width = run.accelerator.gather(largest.to(run.device)).amax(0).tolist()
    padded = [pad_batch(batch, height, width) for batch in batches]
    return [replace(part, batch=batch) for part, batch in zip(parts, padded, strict=True)]


def _denominator(stage: ActiveStage, name: str, part: _Part) -> float:
    """Return what the mean of a term over a part divides by; 0 for a part that only keeps a process busy."""
    assert part.batch is not None
    term: Any = stage.objective.terms[name]
    return float(term.denominator(part.batch.labels)) if part.share else 0.0


@contextmanager
def sparse_embeddings(module: nn.Module) -> Iterator[None]:
    """Sum the gradients of large embeddings by the rows that were looked up; make them dense when the block ends.

    A dense gradient has as many rows as the vocabulary, nearly all of them zero, for every part of a batch.
    """
    large = [part for part in module.modules() if type(part) is nn.Embedding and _can_be_sparse(part)]
    for embedding in large:
        embedding.sparse = True
    try:
        yield
    finally:
        for embedding in large:
            embedding.sparse = False
            if embedding.weight.grad is not None and embedding.weight.grad.is_sparse:
                embedding.weight.grad = embedding.weight.grad.to_dense()


def _can_be_sparse(embedding: nn.Embedding) -> bool:
    plain = embedding.max_norm is None and not embedding.scale_grad_by_freq and not embedding.sparse
    return plain and embedding.weight.numel() >= LARGE and embedding.weight.grad is None


def _parts(run: TrainingRun, stage: ActiveStage, rows: list[int]) -> Iterator[_Part]:
    """Yield this process's rows of a step in parts that fit in memory, each with its share of the step's mean.

    With `stage.lengths` the rows of a part are of like length. All processes have the same number of parts, since they
    meet after the last: a process without rows takes some with a share of 0.
    """
    processes = run.accelerator.num_processes
    most_rows = math.ceil(len(rows) / processes)
    local_rows = even_part(rows, processes, run.accelerator.process_index)
    for group in [local_rows] if stage.lengths is None else by_length(local_rows, stage.lengths):
        size = most_rows if stage.lengths is None else len(group)
        for part in even_parts(group, math.ceil(size / (stage.micro_batch or size))):
            yield _Part(part or rows[:2], len(part) / len(rows))


def even_parts(rows: Sequence[int], number: int) -> list[list[int]]:
    """Split rows into `number` parts whose sizes differ by one at most.

    A small remainder could be a part of one row, which BatchNorm cannot normalize.
    """
    return [even_part(rows, number, index) for index in range(number)]


def even_part(rows: Sequence[int], number: int, index: int) -> list[int]:
    """Return one of the parts of `even_parts`."""
    return list(rows[index * len(rows) // number : (index + 1) * len(rows) // number])


def _halved_micro_batch(run: TrainingRun, stage: ActiveStage) -> int:
    """Return half the micro-batch; raises UsageError if that is impossible or would change what is computed."""
    size = min(stage.micro_batch or stage.recipe.batch_size, stage.recipe.batch_size)
    reasons = {
        "a micro-batch needs one row": size == 1,
        "the other processes would not take part": run.accelerator.num_processes > 1,
        "BatchNorm in training normalizes by the rows that it gets at once": normalizes_by_batch(stage.objective),
        "a term needs all rows of a batch at once": any(
            needs.needs_whole_batch for needs in stage.objective.term_needs.values()
        ),
        UNKNOWN_DENOMINATOR: has_unknown_denominator(stage.objective, stage.split),
    }
    if reason := next((reason for reason, applies in reasons.items() if applies), None):
        advice = f". Pass --micro-batch {size // 2} to use less anyway; the record will name it" if size > 1 else ""
        raise UsageError(
            f"out of memory with a micro-batch of {size}. It cannot be reduced automatically: {reason}{advice}"
        )
    run.report(f"out of memory with a micro-batch of {size}: continuing with {size // 2}, at the same batch size")
    return size // 2
