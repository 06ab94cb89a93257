"""The parts that compare zoo with torchdistill's loops and the Trainer on the device, in one run, in turns."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.session import Session
from benchmarks.speed import data, prepare_data
from benchmarks.speed.arena import Contender, Measured, TimedRun, Tolerance, started_processes, take_turns
from benchmarks.speed.measurements import difference
from zoo.fetch import weights_file
from zoo.models import cifar_resnet

HERE = "benchmarks.speed"
PEAK, ZOO = "peak: matrix products alone", "zoo"
LOOP = "torchdistill's loop, batch 32"
TRAINER, SORTED = "Trainer.predict, batch 32", "Trainer.predict, batch 256, sorted by length"
BOX, TRAIN = "torchdistill's TrainingBox", "Trainer.train"
STRICT, GRAPHS = "zoo, --strict", "zoo, CUDA graphs"
SIDE = 8192
"""The rows and columns of the matrices whose product gives the peak rate."""
LONGEST = 120.0
"""The most seconds for one run of a program with its start, so that one that hangs does not use up the time of all."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Contenders that take turns at points, zoo first; `quick` points only check that everything runs."""

    title: str
    points: tuple[str, ...]
    quick: tuple[str, ...]
    unit: str
    """The rate beside seconds: of `rows`, or of `steps` of a training."""
    names: tuple[str, ...]
    """The names of the contenders."""
    rounds: int = 2

    def points_of(self, *, quick: bool) -> tuple[str, ...]:
        """Return the points to measure."""
        return self.quick if quick else self.points


BERT = Contest(
    title="Evaluation of BERT on pairs as long as MNLI's",
    points=tuple(
        f"{model} {precision} mnli-matched:{rows}"
        for model, rows, precisions in (("base", 1600, ("fp32", "tf32", "bf16")), ("minilm6", 3200, ("fp32", "bf16")))
        for precision in precisions
    ),
    quick=("minilm6 fp32 mnli-matched:16", "minilm6 tf32 mnli-matched:16", "minilm6 bf16 mnli-matched:16"),
    unit="rows",
    names=(ZOO, STRICT, LOOP, TRAINER, SORTED, PEAK),
    rounds=3,
)
RESNET = Contest(
    title="Training of ResNet-20 in batches of 128 images, cropped and flipped, one epoch",
    points=("resnet20 fp32 train:50000",),
    quick=("resnet20 fp32 train:384",),
    unit="steps",
    names=(ZOO, GRAPHS, BOX),
)
FINETUNE = Contest(
    title="Fine-tuning of MiniLM-L6 on rows as long as MRPC's, in batches of 32",
    points=("minilm6 fp32 mrpc-train:3668", "minilm6 bf16 mrpc-train:3668"),
    quick=("minilm6 fp32 mrpc-train:96",),
    unit="steps",
    names=(ZOO, TRAIN),
)


def measure_bert(session: Session) -> None:
    """Measure the evaluation of BERT-base and MiniLM-L6."""
    on: dict[str, Any] = {"device": session.device}
    contenders = (
        Contender(ZOO, f"{HERE}.zoo_work:Evaluation", on),
        Contender(STRICT, f"{HERE}.zoo_work:Evaluation", {**on, "strict": True}),
        Contender(LOOP, f"{HERE}.torchdistill_loops:Evaluation", on),
        Contender(TRAINER, f"{HERE}.transformers_trainer:Evaluation", on),
        Contender(SORTED, f"{HERE}.transformers_trainer:Evaluation", {**on, "batch": 256, "by_length": True}),
        Contender(PEAK, f"{HERE}.peak_rate:SquareProducts", {**on, "side": 256 if session.quick else SIDE}),
    )
    _measure(session, "bert", BERT, contenders)


def measure_resnet(session: Session) -> None:
    """Measure the training of ResNet-20, against torchdistill's loop with 16 workers."""
    workers = 2 if session.quick else 16
    contenders = (
        Contender(ZOO, f"{HERE}.zoo_work:Training", {"kind": "cifar", "device": session.device}),
        Contender(GRAPHS, f"{HERE}.zoo_work:Training", {"kind": "cifar", "device": session.device, "graphs": True}),
        Contender(
            BOX, f"{HERE}.torchdistill_loops:Training",
            {"kind": "cifar", "device": session.device, "workers": workers},
        ),
    )  # fmt: skip
    _measure(session, "resnet", RESNET, contenders)


def measure_finetuning(session: Session) -> None:
    """Measure the fine-tuning of MiniLM-L6."""
    on: dict[str, Any] = {"device": session.device}
    contenders = (
        Contender(ZOO, f"{HERE}.zoo_work:Training", {**on, "kind": "text"}),
        Contender(TRAIN, f"{HERE}.transformers_trainer:Training", on),
    )
    _measure(session, "finetune", FINETUNE, contenders)


def prepare(folder: Path, *, quick: bool) -> None:
    """Write the data of all contests, once: made texts with GLUE's lengths, noise as images, and random weights."""
    if (folder / "images.npz").exists():
        return
    vocabulary = prepare_data.made_words()
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    random, words = np.random.default_rng(prepare_data.SEED), prepare_data.plain_words(vocabulary)
    counts = {"mnli": ("mnli-matched", 3200), "mrpc-train": ("mrpc-train", 3668)}
    for source, (name, count) in counts.items():
        deciles = prepare_data.QUANTILES[source][1]
        rows = prepare_data.made_rows(random, words, 96 if quick else count, deciles)
        prepare_data.write_rows(folder, name, *rows)
    weights_file.save(data.classifier(folder, "minilm6"), folder / "minilm6.safetensors")
    weights_file.save(cifar_resnet(**data.PUBLISHED_RESNET), folder / "resnet20.safetensors")
    np.savez(folder / "images.npz", **prepare_data.noise(random, {"train": 384 if quick else 50_000}))


def _measure(session: Session, part: str, contest: Contest, contenders: Sequence[Contender]) -> None:
    """Measure all contenders at each point in turn, and save the numbers of a point before the next one begins."""
    prepare(session.folder, quick=session.quick)
    if session.device == "cuda":  # the Trainer would use all devices
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    rounds = 1 if session.quick else contest.rounds
    rows: list[dict[str, Any]] = []
    tolerance = Tolerance(session.deadline, math.inf if session.quick else LONGEST)
    with started_processes(session.folder, contenders, ()) as connections:
        for point in contest.points_of(quick=session.quick):
            runs: dict[str, list[TimedRun]] = {contender.name: [] for contender in contenders}
            list(take_turns(contenders, connections, point, 0, tolerance))  # warm up
            for number in range(rounds):
                failed_before = dict(tolerance.failures)
                turns = dict(take_turns(contenders, connections, point, number, tolerance))
                if number and not tolerance.seconds_left:  # the round may be incomplete
                    tolerance.failures = failed_before
                    break
                for name, run in turns.items():
                    runs[name].append(run)
            measured = [
                Measured(c, point, runs[c.name]) for c in contenders if (point, c.name) not in tolerance.failures
            ]
            rows += [_row(one, measured, _work_of(session.folder, point)) for one in measured]
            rows += [
                {"point": failed_at, "contender": name, "not_run": _reason(text)}
                for (failed_at, name), text in tolerance.failures.items()
                if failed_at == point
            ]
            session.save(part, rows=rows)


def _work_of(folder: Path, point: str) -> dict[str, float]:
    """Return the rows of a point, and for texts the tokens and the useful operations of a forward pass."""
    model, _, rows = point.split(" ")
    if model == "resnet20":
        return {"rows": len(data.images(folder, rows)[1])}
    lengths = _lengths(folder, rows)
    return {"rows": len(lengths), "tokens": sum(lengths), "useful_flops": data.SHAPES[model].flops(lengths)}


@cache
def _lengths(folder: Path, rows: str) -> list[int]:
    """Return the number of tokens of each row."""
    return [len(row["input_ids"]) for row in data.features(folder, rows)]


def _row(one: Measured, measured: Sequence[Measured], work: Mapping[str, float]) -> dict[str, Any]:
    """Return the numbers of a contender at a point, compared with zoo's if zoo did not fail."""
    name, runs = one.contender.name, one.runs
    row: dict[str, Any] = {"point": one.point, "contender": name, "seconds": one.seconds()}
    row |= {"device_bytes": max(run.results.get("device_bytes", 0) for run in runs)}
    if name == PEAK:
        return row | {"flops_per_second": [run.results["flops"] / run.seconds for run in runs]}
    is_training = runs[0].steps is not None
    row |= {"step_seconds": one.seconds(a_step=True)} if is_training else {}
    of_zoo = next((other for other in measured if other.contender.name == ZOO), None)
    if of_zoo is not None:
        row |= {"ratio": one.ratio(of_zoo), **difference(one, of_zoo)}
        row |= {"step_ratio": one.ratio(of_zoo, a_step=True)} if is_training else {}
    return row | work


def _reason(text: str) -> str:
    """Return the last line of a traceback, which names the error."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("NotImplementedError: ")[:200]
