"""Batches follow from the memory of a device: measured with the first batch, and halved when memory runs out."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.evaluation.batch_limits import FIRST, MOST_TOKENS, AdaptiveLimits, BatchLimits, CudaMemory, Memory
from harness.evaluation.batched_inference import in_order, limits_for, map_batches
from harness.models.environment import accelerator_on
from tests.harness.evaluation.test_batching import SplitWithLengths
from zoo.models import cifar_resnet
from zoo.tasks.base import Batch
from zoo.tasks.splits import TensorSplit

pytestmark = pytest.mark.cpu_only(reason="the memory of a GPU is a small fake")


class FakeMemory:
    """A device on which every input value that is computed allocates this number of bytes."""

    def __init__(self, free: int, cost: int) -> None:
        self.free_bytes, self.cost, self.total = free, cost, 0

    def free(self) -> int:
        return self.free_bytes

    def allocated(self) -> int:
        return self.total

    def compute(self, batch: Batch) -> Tensor:
        assert isinstance(batch.inputs, Tensor)
        self.total += self.cost * batch.inputs.numel()
        return batch.labels


def texts(count: int, length: int) -> SplitWithLengths:
    return SplitWithLengths(torch.zeros(count, length), torch.full((count,), length))


def images(count: int) -> TensorSplit:
    return TensorSplit(torch.zeros(count, 10), torch.arange(count))


@pytest.mark.parametrize(
    ("split", "limits", "free", "expected"),
    [
        (images(100), BatchLimits(rows=8), 2 * 10 * 4 * 30, BatchLimits(rows=30)),
        (images(100), BatchLimits(rows=8), 0, BatchLimits(rows=8)),
        (images(5), BatchLimits(rows=8), 10**9, BatchLimits(rows=2048)),
        (
            texts(100, 20),
            BatchLimits(rows=9, tokens=60),
            2 * 4 * 250,
            BatchLimits(rows=250, tokens=250, batch_cost=1024),
        ),
        (
            texts(100, 20),
            BatchLimits(rows=9, tokens=60),
            10**12,
            BatchLimits(rows=MOST_TOKENS, tokens=MOST_TOKENS, batch_cost=1024),
        ),
    ],
)
def test_the_first_batch_decides_how_many_rows_fit_in_free_memory(
    split: TensorSplit, limits: BatchLimits, free: int, expected: BatchLimits
) -> None:
    memory, sizes, seen = FakeMemory(free, cost=4), [], list[tuple[int, int]]()

    def compute(batch: Batch) -> Tensor:
        sizes.append(len(batch.ids))
        return memory.compute(batch)

    chosen = AdaptiveLimits(limits, getattr(split, "lengths", None), memory)
    results = map_batches(split, compute, accelerator_on("cpu"), lambda *step: seen.append(step), chosen)
    assert torch.equal(in_order(results), split.labels)
    assert chosen.limits == expected
    most = expected.tokens // 20 if isinstance(split, SplitWithLengths) else expected.rows
    assert max(sizes) <= most
    assert len(sizes) == 1 + math.ceil((len(split) - sizes[0]) / most)
    assert seen[-1] == (len(split), len(split))


def runs_out_above(rows: int, sizes: list[int]) -> Callable[[Batch], Tensor]:
    def compute(batch: Batch) -> Tensor:
        sizes.append(len(batch.ids))
        if len(batch.ids) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate a lot.")
        return batch.labels

    return compute


@pytest.mark.parametrize(
    ("split", "limits", "sizes", "used"),
    [
        (images(100), BatchLimits(rows=40), [40, 20, 10, *[10] * 9], BatchLimits(rows=10)),
        (texts(40, 20), BatchLimits(rows=99, tokens=400), [20, 10, 10, 10, 10], BatchLimits(rows=99, tokens=200)),
        (images(3), BatchLimits(rows=40), [3], BatchLimits(rows=40)),
    ],
)
def test_limits_are_halved_for_all_batches_that_remain(
    split: TensorSplit, limits: BatchLimits, sizes: list[int], used: BatchLimits
) -> None:
    found: list[int] = []
    chosen = AdaptiveLimits(limits, getattr(split, "lengths", None))
    results = map_batches(split, runs_out_above(10, found), accelerator_on("cpu"), limits=chosen)
    assert torch.equal(in_order(results), split.labels)
    assert (found, chosen.limits) == (sizes, used)


def test_limits_that_were_halved_in_the_first_batch_are_not_raised() -> None:
    memory: Memory = FakeMemory(10**9, cost=1)
    chosen = AdaptiveLimits(FIRST, memory=memory)
    map_batches(images(64), runs_out_above(4, []), accelerator_on("cpu"), limits=chosen)
    assert chosen.limits.rows == 4


def test_a_row_that_does_not_fit_in_memory_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        map_batches(images(4), runs_out_above(0, []), accelerator_on("cpu"))


def test_a_cpu_and_rows_that_cannot_share_a_batch_have_constant_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator: Any = accelerator_on("cpu")
    assert limits_for(images(9), 128, accelerator).limits == BatchLimits(rows=128, tokens=512)
    monkeypatch.setattr("harness.evaluation.batched_inference.memory_of", lambda device: FakeMemory(0, 0))
    assert limits_for(images(9), 128, accelerator).limits == FIRST
    assert limits_for(texts(9, 2), 128, accelerator).limits == BatchLimits(rows=FIRST.tokens, tokens=FIRST.tokens)
    assert limits_for(images(9), 1, accelerator).limits == BatchLimits(rows=1)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_no_batch_waits_for_the_gpu() -> None:
    """After the first batch, which moves the split, nothing between two batches synchronizes."""
    accelerator, model = accelerator_on("cuda"), cifar_resnet(depth=8, width=16, num_classes=10).cuda().eval()
    split = TensorSplit(torch.randn(64, 3, 32, 32), torch.arange(64))
    split.batch([0], accelerator.device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.inference_mode():
            results = map_batches(split, lambda batch: model(batch.inputs), accelerator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert in_order(results).shape == (64, 10)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_memory_of_a_gpu_counts_what_was_allocated() -> None:
    memory = CudaMemory(torch.device("cuda"))
    before, free = memory.allocated(), memory.free()
    kept = torch.empty(2**24, dtype=torch.uint8, device="cuda")
    torch.empty(2**24, dtype=torch.uint8, device="cuda")  # freed at once, and counted
    assert memory.allocated() - before >= 2 * 2**24
    assert memory.free() <= free - kept.nbytes
