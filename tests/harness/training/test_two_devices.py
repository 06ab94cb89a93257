"""Two processes under `torchrun` with a CUDA device each (nccl) train what one process trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.models.rounding import rounding_tolerance
from tests.helpers.project import ROOT, Zoo
from tests.helpers.training import PERCEPTRON
from zoo.fetch import weights_file

pytestmark = [pytest.mark.cuda, pytest.mark.process]


def test_two_devices_train_the_same_weights_as_one(user_folder: Path, zoo_process: Zoo) -> None:
    """Every process has a half of each batch; the last batch has one row, so one process has none."""
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    (user_folder / "perceptron.yaml").write_text(PERCEPTRON)
    command = ("train", "perceptron.yaml", "--trust", "mine", "--device", "cuda", "--out")
    assert zoo_process(*command, "one", CUDA_VISIBLE_DEVICES="0").code == 0
    environment = {**os.environ, "ZOO_HOME": str(user_folder / "home"), "PYTHONPATH": str(ROOT)}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "zoo"]
    done = subprocess.run(
        [*torchrun, *command, "two"], cwd=user_folder, env=environment, capture_output=True, text=True, check=False,
        timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((user_folder / "two" / "record.json").read_text())["numerics"]["processes"] == 2
    one, two = (weights_file.read(user_folder / run / "model.safetensors") for run in ("one", "two"))
    allowed = 14 * rounding_tolerance(torch.float32, 64 + 24 + 50)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=allowed)
