"""`zoo verify` over many small entries, each with weights of its own, in a fresh process for every number of them."""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import zoo_process
from benchmarks.speed.arena import SPAWN, Contender, Measured, Run, asked, ready
from harness.evaluation.evaluate import SplitRunner
from harness.models.environment import accelerator_on
from zoo.fetch import weights_file
from zoo.models import cifar_resnet
from zoo.tasks import digits

SIZES: Mapping[str, Mapping[str, int]] = {
    "tiny": {"depth": 8, "width": 8, "num_classes": 10, "in_channels": 1},
    "small": {"depth": 20, "width": 64, "num_classes": 10, "in_channels": 1},
}
"""A ResNet over 898 images of 8x8 pixels; the small one is as much work as a ResNet-20 over as many of CIFAR-10."""


def contenders(size: str) -> tuple[Contender, ...]:
    """In one process, in two, and without us."""
    return (
        Contender("ours: zoo verify", "", {"size": size, "jobs": 1}),
        Contender("ours: zoo verify --jobs 2", "", {"size": size, "jobs": 2}),
        Contender("load and forward alone", "benchmarks.speed.verify:Alone", {"size": size}),
    )


def measure(folder: Path, given: Sequence[Contender], points: Sequence[str], rounds: int) -> list[list[Measured]]:
    """Seconds from the start of the process to its end, and its peak memory, for each number of entries.

    Beside each: how long reading the same weights and running the same rows take in a process that has begun already.
    """
    alone = given[-1]
    entries = folder / str(alone.options["size"])
    entries.mkdir(exist_ok=True)
    for number in range(max(map(int, points))):
        _write(entries, number, SIZES[entries.name])
    runs: dict[tuple[str, str], list[Run]] = {}
    with ready(folder, [alone], points) as (connection,):
        for number in range(rounds):
            for point in points:
                for place in range(len(given)):
                    one = given[(place + number) % len(given)]
                    run = (
                        asked(alone, connection, point)
                        if one is alone
                        else _verified(entries, int(point), one.options["jobs"])
                    )
                    runs.setdefault((one.name, point), []).append(run)
    return [[Measured(one, point, runs[one.name, point]) for one in given] for point in points]


def _write(entries: Path, number: int, model: Mapping[str, int]) -> None:
    torch.manual_seed(number)
    name = f"{entries.name}-{number:03}"
    weights = entries / f"{name}.safetensors"
    weights_file.save(cifar_resnet(**model), weights)
    claim = {"of": "weights", "split": "test", "metric": "accuracy", "value": 0.1, "decimals": 1, "source": "nowhere"}
    recipe = {"name": name, "task": "digits", "model": {"use": "cifar_resnet", **model}, "weights": f"file:{weights}"}
    (entries / f"{name}.yaml").write_text(json.dumps({**recipe, "claims": [claim]}), encoding="utf-8")


def _verified(entries: Path, count: int, jobs: int) -> Run:
    here, there = SPAWN.Pipe()
    with tempfile.TemporaryDirectory() as records:
        process = SPAWN.Process(target=zoo_process.verify, args=(there, entries, count, jobs, records))
        start = time.perf_counter()
        process.start()
        there.close()
        peak, code = here.recv()
        process.join()
        seconds = time.perf_counter() - start
        made = len(list(Path(records).glob("*/*/record.json")))
    if made != count:
        raise RuntimeError(f"zoo verify made {made} records of {count} entries, and ended with {code}")
    return Run(seconds, peak, {})


class Alone:
    """Weights read into a model, and the model run over the rows, as we do both, once for each entry; nothing else."""

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

    def found(self) -> Mapping[str, Any]:
        return {}
