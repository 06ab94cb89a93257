"""`zoo verify` over many small entries, each with weights of its own, in a fresh process for every number of them."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.arena import SPAWN, Contender, Measured, Run, compete, peak_memory
from zoo import checkpoint
from zoo.cli import main
from zoo.models import cifar_resnet
from zoo.tasks import digits

MODEL = {"depth": 8, "width": 8, "num_classes": 10, "in_channels": 1}
ZOO, ALONE = Contender("ours: zoo verify", ""), Contender("load and forward alone", "benchmarks.speed.verify:Alone")


def measure(folder: Path, points: Sequence[str], rounds: int) -> list[list[Measured]]:
    """Seconds from the start of the process to its end, and its peak memory, for each number of entries.

    Beside each: how long reading the same weights and running the same rows take in a process that has begun already.
    """
    entries = folder / "entries"
    entries.mkdir(exist_ok=True)
    for number in range(max(map(int, points))):
        _write(entries, number)
    alone = compete(folder, [ALONE], points, rounds)
    runs: dict[str, list[Run]] = {point: [] for point in points}
    for _ in range(rounds):
        for point in points:
            runs[point].append(_verified(entries, int(point)))
    return [[Measured(ZOO, point, runs[point]), *other] for point, other in zip(points, alone, strict=True)]


def _write(entries: Path, number: int) -> None:
    torch.manual_seed(number)
    name = f"tiny-{number:03}"
    weights = entries / f"{name}.safetensors"
    checkpoint.save(cifar_resnet(**MODEL), weights)
    claim = {"of": "weights", "split": "test", "metric": "accuracy", "value": 0.1, "decimals": 1, "source": "nowhere"}
    recipe = {"name": name, "task": "digits", "model": {"use": "cifar_resnet", **MODEL}, "weights": f"file:{weights}"}
    (entries / f"{name}.yaml").write_text(json.dumps({**recipe, "claims": [claim]}), encoding="utf-8")


def _verified(entries: Path, count: int) -> Run:
    here, there = SPAWN.Pipe()
    with tempfile.TemporaryDirectory() as records:
        process = SPAWN.Process(target=_verify, args=(there, entries, count, records))
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


def _verify(connection: Connection, entries: Path, count: int, records: str) -> None:
    """In its own process: what the command line does."""
    os.environ["ZOO_HOME"] = records
    silence = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    os.dup2(silence.fileno(), sys.stdout.fileno())
    os.dup2(silence.fileno(), sys.stderr.fileno())
    paths = [str(path) for path in sorted(entries.glob("*.yaml"))[:count]]
    sys.argv = ["zoo", "verify", *paths, "--records", records]
    code: Any = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    connection.send((peak_memory(), code))


class Alone:
    """Weights read into a model, and the model run over the rows, once for each entry."""

    def __init__(self, folder: Path) -> None:
        self.entries, self.images = folder / "entries", digits().load("test").batch(range(898)).inputs

    def begin(self, point: str) -> None:
        self.paths = sorted(self.entries.glob("*.safetensors"))[: int(point)]

    @torch.inference_mode()
    def run(self) -> None:
        for path in self.paths:
            model = cifar_resnet(**MODEL)
            checkpoint.load_into(model, path)
            model.eval()(self.images)

    def found(self) -> Mapping[str, Any]:
        return {}
