"""Gradients over parts of a batch: exact, halved when memory runs out, refused where the parts would change them."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.evaluation.batched_inference import in_order, map_batches
from harness.models.environment import accelerator_on
from harness.models.rounding import rounding_tolerance
from harness.training.gradients import even_parts
from tests.helpers.device import device
from tests.helpers.project import Zoo
from tests.helpers.training import PERCEPTRON, logged_losses
from tests.helpers.user_module import USER_MODULE
from zoo.fetch import weights_file
from zoo.tasks.base import Batch
from zoo.tasks.splits import TensorSplit

PERCEPTRON_ROUNDING = 14 * rounding_tolerance(torch.float32, 64 + 24 + 50)
"""How far rounding moves the weights of the perceptron, which stay below 1, in 14 steps of 50 rows."""


@pytest.mark.parametrize("size", [1, 7, 49, 50, 200])
def test_gradients_summed_over_micro_batches_equal_those_of_the_batch(size: int, user_folder: Path, zoo: Zoo) -> None:
    """The last of the batches has one row, whose weight must not grow."""
    (user_folder / "perceptron.yaml").write_text(PERCEPTRON)
    command = ("train", "perceptron.yaml", "--trust", "mine", "--device", device())
    assert zoo(*command, "--out", "whole").code == 0
    assert zoo(*command, "--micro-batch", size, "--out", "parts").code == 0
    whole, parts = (weights_file.read(Path(run, "model.safetensors")) for run in ("whole", "parts"))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=PERCEPTRON_ROUNDING)
    assert logged_losses("parts", "total") == [
        pytest.approx(line, abs=PERCEPTRON_ROUNDING) for line in logged_losses("whole", "total")
    ]
    assert json.loads(Path("parts/record.json").read_text())["numerics"]["micro_batch"] == size


SMALL_MEMORY = """
class Small(nn.Sequential):
    def forward(self, x):
        if self.training and len(x) > 20:
            raise RuntimeError("CUDA out of memory. Tried to allocate a lot.")
        return super().forward(x)

def small(*, batchnorm: bool = False) -> nn.Module:
    middle = nn.BatchNorm1d(24) if batchnorm else nn.Tanh()
    return Small(nn.Flatten(), nn.Linear(64, 24), middle, nn.Linear(24, 10))
"""


def test_running_out_of_memory_halves_the_micro_batch_and_changes_no_result(user_folder: Path, zoo: Zoo) -> None:
    (user_folder / "mine.py").write_text(USER_MODULE + SMALL_MEMORY)
    (user_folder / "small.yaml").write_text(PERCEPTRON.replace("{use: mine.perceptron, width: 24}", "mine.small"))
    (user_folder / "large.yaml").write_text(PERCEPTRON)
    command = ("--trust", "mine", "--device", device(), "--out")
    completed = zoo("train", "small.yaml", *command, "small")
    assert completed.code == 0, completed.err
    assert completed.lines == [
        "out of memory with a micro-batch of 50: continuing with 25, at the same batch size",
        "out of memory with a micro-batch of 25: continuing with 12, at the same batch size",
    ]
    assert zoo("train", "large.yaml", *command, "large").code == 0
    small, large = (weights_file.read(Path(run, "model.safetensors")) for run in ("small", "large"))
    for name, value in large.items():
        torch.testing.assert_close(small[name], value, rtol=0, atol=PERCEPTRON_ROUNDING)
    assert json.loads(Path("small/record.json").read_text())["environment"]["micro_batch"] == 12


def test_running_out_of_memory_is_an_error_if_batchnorm_needs_the_whole_batch(user_folder: Path, zoo: Zoo) -> None:
    (user_folder / "mine.py").write_text(USER_MODULE + SMALL_MEMORY)
    text = PERCEPTRON.replace("{use: mine.perceptron, width: 24}", "{use: mine.small, batchnorm: true}")
    (user_folder / "small.yaml").write_text(text.replace("batch_size: 50", "batch_size: 43"))
    completed = zoo("train", "small.yaml", "--trust", "mine", "--device", device())
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert "BatchNorm in training normalizes by the rows that it gets at once. Pass --micro-batch 21" in completed.err
    assert zoo("train", "small.yaml", "--trust", "mine", "--device", device(), "--micro-batch", "21").code == 0


def test_evaluation_halves_its_batches_when_memory_runs_out() -> None:
    accelerator, sizes = accelerator_on(device()), []

    def forward(batch: Batch) -> Tensor:
        if len(batch.labels) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        sizes.append(len(batch.labels))
        return batch.ids

    split = TensorSplit(torch.zeros(257, 1), torch.zeros(257, dtype=torch.int64))
    assert torch.equal(in_order(map_batches(split, forward, accelerator)), torch.arange(257))
    assert max(sizes) <= 20


@pytest.mark.parametrize(("rows", "number"), [(64, 4), (43, 3), (50, 2), (7, 1), (1, 1), (2, 3)])
def test_parts_of_a_batch_differ_by_one_row_at_most(rows: int, number: int) -> None:
    """BatchNorm cannot normalize a part of one row."""
    parts = even_parts(range(rows), number)
    assert [row for part in parts for row in part] == list(range(rows))
    assert len(parts) == number
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


PAIRS = """
class Pairs(nn.Module):
    needs_whole_batch = True

    def forward(self, student, teacher, labels):
        return student.logits.T.cov().square().mean()
"""


def test_a_term_that_compares_rows_never_gets_part_of_a_batch(user_folder: Path, zoo: Zoo) -> None:
    (user_folder / "mine.py").write_text(USER_MODULE + SMALL_MEMORY + PAIRS)
    pairs = PERCEPTRON.replace("CrossEntropy", "mine.Pairs").replace("epochs: 2", "epochs: 1")
    (user_folder / "pairs.yaml").write_text(pairs.replace("batch_size: 50", "batch_size: 43"))
    command = ("train", "pairs.yaml", "--trust", "mine", "--device", device())
    refused = zoo(*command, "--micro-batch", 20)
    assert (refused.code, len(refused.lines)) == (2, 1)
    assert refused.err.startswith("pairs.yaml:10:18: ce needs all rows of a batch at once")
    assert zoo(*command, "--micro-batch", 43).code == 0
    small = (user_folder / "pairs.yaml").read_text().replace("{use: mine.perceptron, width: 24}", "mine.small")
    (user_folder / "pairs.yaml").write_text(small)
    completed = zoo(*command)
    assert (completed.code, len(completed.lines)) == (2, 1)
    assert "cannot be reduced automatically: a term needs all rows of a batch at once" in completed.err
