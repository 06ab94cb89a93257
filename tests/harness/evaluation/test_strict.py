"""A strict evaluation gives a row the same bits whatever the other rows, their order and the batch size."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.evaluation.split_runner import SplitRunner
from harness.evaluation.strict import ON_CPU, fixed_batches, padded_length_for
from harness.evaluation.subset import subset
from harness.models.environment import accelerator_on
from tests.harness.models.test_text_inputs import tiny, tokenizer_for
from tests.helpers.device import device
from zoo.models import cifar_resnet
from zoo.tasks.base import CPU, Batch, Split, Task
from zoo.tasks.splits import TensorSplit, TextSplit

WORDS = ("bbb", "cccc", "ddddd", "eeeeee", "fffffff")


def logits(model: nn.Module, split: Split, batch_size: int) -> Tensor:
    task = Task(name="t", splits={}, scored=("test",), metrics=("accuracy",), batch_size=batch_size)
    return SplitRunner(model, task, accelerator_on(device()), strict=True).outputs(split)


def texts(kind: str, rows: list[int], max_length: int = 30) -> TextSplit:
    drawn = [(" ".join(WORDS[(row + word) % 5] for word in range(1 + 7 * row % 29)),) for row in rows]
    return TextSplit(drawn, torch.tensor(rows) % 2, tokenizer=tokenizer_for(kind), max_length=max_length)


def images(rows: list[int]) -> TensorSplit:
    pixels = torch.randn(100, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    return TensorSplit(pixels[rows], torch.tensor(rows) % 3)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "xlnet", "images"])
def test_logits_do_not_depend_on_other_rows_to_the_last_bit(kind: str) -> None:
    torch.manual_seed(0)
    model: Any = cifar_resnet(depth=8, width=6, num_classes=3) if kind == "images" else tiny(kind)
    rows, order = list(range(70)), torch.randperm(70, generator=torch.Generator().manual_seed(1)).tolist()

    def split(chosen: list[int]) -> Split:
        return images(chosen) if kind == "images" else texts(kind, chosen)

    all_rows = logits(model, split(rows), 128)
    assert torch.equal(logits(model, split(order), 5), all_rows[order])
    assert torch.equal(logits(model, split(order[:7]), 2 if kind == "images" else 1), all_rows[order[:7]])
    assert torch.equal(logits(model, subset(split(rows), [3, 50]), 2), all_rows[[3, 50]])


def test_texts_with_and_without_padding_do_not_share_a_batch() -> None:
    """A model of transformers computes a batch without padding by another kernel, without a mask."""
    split = texts("bert", list(range(70)), max_length=20)
    batches = fixed_batches(split, range(70), padded_length_for(tiny("bert"), split), ON_CPU)
    kinds = [{split.lengths[row] == batch.length for row in batch.rows} for batch in batches]
    assert {True} in kinds and {False} in kinds and {True, False} not in kinds


def test_rows_of_a_task_with_a_batch_size_of_one_may_differ_in_shape() -> None:
    class OfManySizes(TensorSplit):
        def batch(self, indices: Sequence[int], device: torch.device = CPU) -> Batch:
            (row,) = indices
            read = super().batch(indices, device)
            assert isinstance(read.inputs, Tensor)
            return replace(read, inputs=read.inputs[..., : 4 + row])

    split = OfManySizes(images([0, 1, 2]).inputs, torch.tensor([0, 1, 2]))
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    expected = torch.stack([split.inputs[row, ..., : 4 + row].mean(dim=(1, 2)) for row in range(3)])
    torch.testing.assert_close(logits(model, split, 1), expected)


@pytest.mark.cpu_only(reason="the sizes are those on a CPU")
def test_strict_batches_that_do_not_fit_in_memory_are_all_halved() -> None:
    sizes: list[int] = []

    class Small(nn.Flatten):
        def forward(self, inputs: Tensor) -> Tensor:
            sizes.append(len(inputs))
            if len(inputs) > 8:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate a lot.")
            return super().forward(inputs)[:, :3]

    split = images(list(range(20)))
    assert torch.equal(logits(Small(), split, 128), split.inputs.flatten(1)[:, :3])
    assert sizes == [128, 64, 32, 16, 8, 8, 8]
