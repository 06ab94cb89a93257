"""Out of memory on a CUDA device, whose allocator gets a limit: batches are halved, and the results are the same."""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from harness.evaluation.evaluate import SplitRunner
from harness.models.environment import accelerator_on, deterministic
from harness.models.rounding import rounding_tolerance, terms_of
from tests.helpers.project import Zoo
from tests.helpers.training import PERCEPTRON
from zoo.fetch import weights_file
from zoo.tasks import digits

pytestmark = pytest.mark.cuda
WIDTH = 2**18
"""Inputs of 64 pixels become this many numbers: 1 MiB a row in fp32."""
WIDE = PERCEPTRON.replace("width: 24", f"width: {WIDTH}").replace("epochs: 2", "epochs: 1")
WIDE = WIDE.replace("lr: 0.5", "lr: 1e-4").replace("batch_size: 50", "batch_size: 299")


@contextmanager
def memory_limit(mebibytes: int) -> Iterator[None]:
    """Let this process allocate so much more memory on the device than it has now."""
    gc.collect()
    torch.cuda.empty_cache()
    limit = torch.cuda.memory_reserved() + mebibytes * 2**20
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(0).total_memory)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def test_evaluation_halves_batches_that_do_not_fit_and_gives_the_same_logits() -> None:
    """The weights take 74 MiB, and a row 2 MiB before and after the activation function."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 10)).to("cuda")
    rows: list[int] = []
    model.register_forward_hook(lambda _, inputs, outputs: rows.append(len(outputs)))
    task, accelerator = digits(), accelerator_on("cuda")

    def outputs() -> Tensor:
        rows.clear()
        with deterministic():
            return SplitRunner(model, task, accelerator).outputs(task.load("test"))

    expected, largest = outputs(), max(rows)
    with memory_limit(largest):  # a whole batch needs twice as much
        found = outputs()
    assert sum(rows) == len(expected)
    assert max(rows) <= largest // 2
    allowed = rounding_tolerance(torch.float32, terms_of(model), float(expected.abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=allowed)


def test_training_halves_its_micro_batch_and_trains_the_same_weights(user_folder: Path, zoo: Zoo) -> None:
    """Weights, gradients and momentum take 222 MiB; a batch of 299 rows takes at least 598 MiB."""
    (user_folder / "wide.yaml").write_text(WIDE)
    command = ("train", "wide.yaml", "--trust", "mine", "--device", "cuda", "--out")
    assert zoo(*command, "whole").code == 0
    with memory_limit(740):
        completed = zoo(*command, "parts")
    assert completed.code == 0, completed.err
    assert "out of memory with a micro-batch of 299: continuing with 149" in completed.err
    assert json.loads(Path("parts/record.json").read_text())["environment"]["micro_batch"] <= 149
    whole, parts = (weights_file.read(Path(run, "model.safetensors")) for run in ("whole", "parts"))
    for name, value in whole.items():
        allowed = 2 * rounding_tolerance(torch.float32, 64 + WIDTH + 299, float(value.abs().max()))
        torch.testing.assert_close(parts[name], value, rtol=0, atol=allowed)
