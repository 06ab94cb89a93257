"""Measure `zoo verify` over many small entries with different weights, in a new process for each number of entries."""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import zoo_process
from benchmarks.speed.arena import SPAWN, Contender, Measured, TimedRun, run_once, started_processes
from harness.evaluation.split_runner import SplitRunner
from harness.models.environment import accelerator_on
from zoo.fetch import weights_file
from zoo.models import cifar_resnet
from zoo.tasks import digits

SIZES: Mapping[str, Mapping[str, int]] = {
    "tiny": {"depth": 8, "width": 8, "num_classes": 10, "in_channels": 1},
    "small": {"depth": 20, "width": 64, "num_classes": 10, "in_channels": 1},
}
"""ResNets for 898 images of 8x8 pixels. The small one is as much work as a ResNet-20 on as many CIFAR-10 images."""


def contenders(size: str) -> tuple[Contender, ...]:
    """Return the contenders: zoo in one process, zoo in two, and the computation without zoo."""
    return (
        Contender("zoo verify", "", {"size": size, "jobs": 1}),
        Contender("zoo verify --jobs 2", "", {"size": size, "jobs": 2}),
        Contender("weights and forward pass alone", "benchmarks.speed.verify:Alone", {"size": size}),
    )


def measure(folder: Path, contenders: Sequence[Contender], points: Sequence[str], rounds: int) -> list[list[Measured]]:
    """Measure the seconds from start to end of the process and its peak memory, for each number of entries.

    The last contender reads the same weights and evaluates the same rows in a process that is already running.
    """
    alone = contenders[-1]
    entries = folder / str(alone.options["size"])
    entries.mkdir(exist_ok=True)
    for number in range(max(map(int, points))):
        _write(entries, number, SIZES[entries.name])
    runs: dict[tuple[str, str], list[TimedRun]] = {}
    with started_processes(folder, [alone], points) as (connection,):
        for number in range(rounds):
            for point in points:
                for turn in range(len(contenders)):
                    contender = contenders[(turn + number) % len(contenders)]
                    if contender is alone:
                        run = run_once(alone, connection, point)
                    else:
                        run = _run_verify(entries, int(point), contender.options["jobs"])
                    runs.setdefault((contender.name, point), []).append(run)
    return [[Measured(c, point, runs[c.name, point]) for c in contenders] for point in points]


def _write(entries: Path, number: int, model: Mapping[str, int]) -> None:
    torch.manual_seed(number)
    name = f"{entries.name}-{number:03}"
    weights = entries / f"{name}.safetensors"
    weights_file.save(cifar_resnet(**model), weights)
    claim = {"of": "weights", "split": "test", "metric": "accuracy", "value": 0.1, "decimals": 1, "source": "nowhere"}
    recipe = {"name": name, "task": "digits", "model": {"use": "cifar_resnet", **model}, "weights": f"file:{weights}"}
    (entries / f"{name}.yaml").write_text(json.dumps({**recipe, "claims": [claim]}), encoding="utf-8")


def _run_verify(entries: Path, count: int, jobs: int) -> TimedRun:
    connection, remote = SPAWN.Pipe()
    with tempfile.TemporaryDirectory() as records:
        process = SPAWN.Process(target=zoo_process.verify, args=(remote, entries, count, jobs, records))
        start = time.perf_counter()
        process.start()
        remote.close()
        peak, code = connection.recv()
        process.join()
        seconds = time.perf_counter() - start
        written = len(list(Path(records).glob("*/*/record.json")))
    if written != count:
        raise RuntimeError(f"zoo verify wrote {written} records for {count} entries, and exited with code {code}")
    return TimedRun(seconds, peak, {})


class Alone:
    """Reading the weights into a model and evaluating it on the rows, as zoo does, for each entry."""

    def __init__(self, folder: Path, size: str) -> None:
        self.entries, self.model = folder / size, SIZES[size]
        self.task, self.accelerator = digits(), accelerator_on("cpu")
        self.split = self.task.load("test")

    def begin(self, point: str) -> None:
        self.paths = sorted(self.entries.glob("*.safetensors"))[: int(point)]

    def run(self) -> None:
        for path in self.paths:
            model = cifar_resnet(**self.model)
            weights_file.load_into(model, path)
            SplitRunner(model, self.task, self.accelerator).outputs(self.split)

    def results(self) -> Mapping[str, Any]:
        return {}
