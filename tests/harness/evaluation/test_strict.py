"""A strict evaluation gives a row the same bits whatever the other rows, their order and the batch size."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.evaluation.split_runner import SplitRunner
from harness.evaluation.subset import subset
from harness.models.environment import accelerator_on
from tests.harness.models.test_text_inputs import tiny, tokenizer_for
from tests.helpers.device import device
from zoo.models import cifar_resnet
from zoo.tasks.base import Split, Task, TensorSplit, TextSplit

WORDS = ("bbb", "cccc", "ddddd", "eeeeee", "fffffff")


def logits(model: nn.Module, split: Split, batch_size: int) -> Tensor:
    task = Task(name="t", splits={}, scored=("test",), metrics=("accuracy",), batch_size=batch_size)
    return SplitRunner(model, task, accelerator_on(device()), strict=True).outputs(split)


def texts(kind: str, rows: list[int]) -> TextSplit:
    drawn = [(" ".join(WORDS[(row + word) % 5] for word in range(1 + 7 * row % 29)),) for row in rows]
    return TextSplit(drawn, torch.tensor(rows) % 2, tokenizer=tokenizer_for(kind), max_length=30)


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
    assert torch.equal(logits(model, split(order[:7]), 1), all_rows[order[:7]])
    assert torch.equal(logits(model, subset(split(rows), [3, 50]), 2), all_rows[[3, 50]])


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
