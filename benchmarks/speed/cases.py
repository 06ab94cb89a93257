"""The benchmark cases: their contenders, and the points at which they run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed import data, peak_rate, prepare_data, verify
from benchmarks.speed.arena import Contender, Measured, compete

HERE = "benchmarks.speed"


@dataclass(frozen=True)
class Case:
    """Contenders, zoo first, and points. The `quick` points only check that everything runs."""

    name: str
    title: str
    contenders: tuple[Contender, ...]
    points: tuple[str, ...]
    quick: tuple[str, ...]
    model: str | None = None
    """The model whose operations are compared with the peak rate, which the last contender measures."""

    def measure(self, folder: Path, rounds: int, *, quick: bool) -> list[list[Measured]]:
        """Measure all contenders at each point."""
        points = self.quick if quick else self.points
        if self.name.startswith("verify"):
            return verify.measure(folder, self.contenders, points, rounds)
        return compete(folder, self.contenders, points, rounds)

    def flops(self, folder: Path, point: str) -> float | None:
        """Return the useful operations of a run at a point; None if no peak rate is measured."""
        if self.model == "resnet20":
            return peak_rate.resnet_flops() * len(data.images(folder, point)[1])
        return None if self.model is None else data.flops(folder, point, self.model)


def _evaluators(model: str) -> tuple[Contender, ...]:
    return (
        Contender("zoo: SplitRunner.outputs", f"{HERE}.zoo_work:Evaluation", {"model": model}),
        Contender("torchdistill's loop, batch 32", f"{HERE}.torchdistill_loops:Evaluation", {"model": model}),
        Contender("Trainer.predict, batch 32", f"{HERE}.transformers_trainer:Evaluation", {"model": model}),
    )


def _workers(name: str, work: str, counts: Sequence[int] = (0, 2), **options: object) -> tuple[Contender, ...]:
    """Return a contender for each number of worker processes. The published configurations use 16."""
    return tuple(
        Contender(f"{name}, {count or 'no'} workers", f"{HERE}.{work}", {**options, "workers": count})
        for count in counts
    )


TRAINERS = (
    Contender("zoo: train", f"{HERE}.zoo_work:Training", {"kind": "text"}),
    Contender("torchdistill's TrainingBox", f"{HERE}.torchdistill_loops:Training", {"kind": "text"}),
    Contender("Trainer.train", f"{HERE}.transformers_trainer:Training"),
)
KD = {"kind": "kd", "epochs": 3}
SMALL = "MiniLM-L6"
CASES: Sequence[Case] = (
    *(
        Case(
            f"evaluate-{task}", f"Evaluation of {SMALL} on the validation split of {task}", _evaluators("minilm6"),
            (task,), (f"{task}:64",),
        )
        for task in ("rte", "sst2", "mrpc")
    ),
    Case(
        "evaluate-base", "Evaluation of BERT-base on 160 pairs, as long as MNLI's",
        (*_evaluators("base"), Contender("peak: matrix products alone", f"{HERE}.peak_rate:Products")),
        ("mnli:160",), ("mnli:32",), "base",
    ),
    Case(
        "evaluate-cifar", "Evaluation of ResNet-20 on 1,000 images",
        (
            Contender("zoo: SplitRunner.outputs", f"{HERE}.zoo_work:Evaluation", {"model": "resnet20"}),
            *_workers("torchdistill's loop, batch 1", "torchdistill_loops:ImageEvaluation", (0, 2, 16)),
            Contender("plain DataLoader, batch 128", f"{HERE}.image_loaders:Evaluation", {"batch": 128}),
            Contender("peak: convolutions alone", f"{HERE}.peak_rate:Convolutions"),
        ),
        ("test:1000",), ("test:128",), "resnet20",
    ),
    Case(
        "train-cifar", "Training of ResNet-20, 20 steps of 128 images, cropped and flipped",
        (
            Contender("zoo: train", f"{HERE}.zoo_work:Training", {"kind": "cifar"}),
            *_workers("torchdistill's TrainingBox", "torchdistill_loops:Training", kind="cifar"),
        ),
        ("train:2560",), ("train:512",),
    ),
    Case(
        "pipeline-cifar", "The input pipeline alone: 5,000 images, cropped and flipped",
        (
            Contender("zoo: PixelSplit.batch", f"{HERE}.zoo_work:Pipeline"),
            *_workers("torchvision and a DataLoader", "image_loaders:Pipeline"),
        ),
        ("train:5000",), ("train:640",),
    ),
    *(
        Case(
            f"finetune-{task}", f"Fine-tuning of {SMALL} on {task}, 12 steps of 32 rows", TRAINERS,
            (f"{task}-train:384",), (f"{task}-train:96",),
        )
        for task in ("mrpc", "rte", "sst2")
    ),
    Case(
        "distil-kd", f"Distillation of {SMALL} from a teacher with 12 layers, 3 epochs on 512 rows of mrpc",
        (
            Contender("zoo: train", f"{HERE}.zoo_work:Training", KD),
            Contender("torchdistill's DistillationBox", f"{HERE}.torchdistill_loops:Training", KD),
        ),
        ("mrpc-train:512",), ("mrpc-train:64",),
    ),
    Case(
        "verify-small", "`zoo verify` over entries with a small ResNet each", verify.contenders("small"),
        ("1", "10", "20"), ("1", "5"),
    ),
    Case(
        "verify-tiny", "`zoo verify` over entries with a tiny ResNet each", verify.contenders("tiny"),
        ("1", "20", "50", "100", "200"), ("1", "5", "20"),
    ),
    Case(
        "grow-rows", f"Evaluation of {SMALL} against the number of pairs, as long as MNLI's", _evaluators("minilm6"),
        tuple(f"mnli:{count}" for count in (100, 200, 400, 800)), ("mnli:16", "mnli:32", "mnli:64"),
    ),
    Case(
        "grow-length", f"Evaluation of {SMALL} on 64 rows of one length, against that length", _evaluators("minilm6"),
        tuple(f"length-{length}:64" for length in prepare_data.LENGTHS),
        tuple(f"length-{length}:16" for length in (16, 64, 128)),
    ),
)  # fmt: skip
