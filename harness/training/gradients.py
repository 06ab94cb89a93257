"""The gradients of one step, summed over parts that fit in memory and averaged over processes."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor, nn

from harness.evaluation.batching import by_length
from harness.models.environment import autocast
from harness.training.stage import ActiveStage
from harness.training.training_run import TrainingRun
from zoo.errors import UsageError

LARGE = 2**20
"""From so many parameters on an embedding has sparse gradients while parts are summed up."""


def accumulate_gradients(run: TrainingRun, stage: ActiveStage, rows: list[int]) -> dict[str, Tensor]:
    """Sum up the gradients of the mean loss over the rows of a step; the losses, of this process's share.

    Where memory runs out the rows are taken in smaller parts, and the sum is begun again.
    """
    while True:
        try:
            return _accumulate(run, stage, rows)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
        stage.optimizer.zero_grad()
        clear_device_cache(garbage_collection=True)
        run.micro_batch = _halved(run, stage)


def _accumulate(run: TrainingRun, stage: ActiveStage, rows: list[int]) -> dict[str, Tensor]:
    parts = list(_parts(rows, run, stage.lengths))
    by_lengths = len(parts) > 1 and stage.lengths is not None
    with sparse_embeddings(stage.objective) if by_lengths else nullcontext():
        return _of_parts(run, stage, parts)


def _of_parts(run: TrainingRun, stage: ActiveStage, parts: list[tuple[list[int], float]]) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = {}
    for number, (part, share) in enumerate(parts, 1):
        # gradients are averaged over the processes once, with the last part
        with nullcontext() if number == len(parts) else run.accelerator.no_sync(stage.wrapped):
            batch = stage.split.batch(part, run.device)
            with autocast(run.device, run.options.precision):
                found = stage.wrapped(batch, stage.teachers(batch))
            stage.scaler.scale(found["total"] * share * run.accelerator.num_processes).backward()
        for name, loss in found.items():
            losses[name] = losses.get(name, 0) + loss.detach() * share
    return losses


@contextmanager
def sparse_embeddings(module: nn.Module) -> Iterator[None]:
    """Sum up the gradients of large embeddings by the rows that were looked up; afterwards they are dense as ever.

    A dense one of each part of a batch has as many rows as the vocabulary, nearly all of them zero.
    """
    large = [one for one in module.modules() if type(one) is nn.Embedding and _is_large(one)]
    for one in large:
        one.sparse = True
    try:
        yield
    finally:
        for one in large:
            one.sparse = False
            if one.weight.grad is not None and one.weight.grad.is_sparse:
                one.weight.grad = one.weight.grad.to_dense()


def _is_large(embedding: nn.Embedding) -> bool:
    plain = embedding.max_norm is None and not embedding.scale_grad_by_freq and not embedding.sparse
    return plain and embedding.weight.numel() >= LARGE and embedding.weight.grad is None


def _parts(rows: list[int], run: TrainingRun, lengths: Sequence[int] | None) -> Iterator[tuple[list[int], float]]:
    """This process's rows of a step in parts that fit in memory, each with its share of the step's mean.

    With `lengths` the rows of each part are of like length. Rows are shared out evenly, over processes and over parts:
    BatchNorm cannot do with a last part of one row. Every process has the same number of parts, since they meet after
    the last: one without rows takes some at no share.
    """
    processes = run.accelerator.num_processes
    each = math.ceil(len(rows) / processes)
    mine = _share(rows, processes, run.accelerator.process_index)
    for group in [mine] if lengths is None else by_length(mine, lengths):
        most = each if lengths is None else len(group)
        number = math.ceil(most / (run.micro_batch or most))
        for place in range(number):
            part = _share(group, number, place)
            yield part or rows[:2], len(part) / len(rows)


def _share(rows: list[int], number: int, place: int) -> list[int]:
    """One of `number` parts of the rows, whose lengths differ by one at most."""
    return rows[place * len(rows) // number : (place + 1) * len(rows) // number]


def _halved(run: TrainingRun, stage: ActiveStage) -> int:
    """Half the micro-batch; raises UsageError where that would change what is computed."""
    size = min(run.micro_batch or stage.recipe.batch_size, stage.recipe.batch_size)
    why = {
        "one is the least": size == 1,
        "the other processes would not know of it": run.accelerator.num_processes > 1,
        "BatchNorm in training normalises by the batch it sees": stage.normalises_by_batch(),
        "a term compares the rows of a batch": any(
            getattr(t, "needs_whole_batch", False) for t in stage.parts().values()
        ),
    }
    if reason := next((reason for reason, holds in why.items() if holds), None):
        instead = f"; --micro-batch {size // 2} does it all the same, and the record says so" if size > 1 else ""
        raise UsageError(f"out of memory with {size} examples at once, which are not halved: {reason}{instead}")
    run.say(f"out of memory with {size} examples at once: from here on {size // 2}, at the same batch size")
    return size // 2
