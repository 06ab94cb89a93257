"""What is measured: the contenders of each case and the points they run at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed import data, made, roofline, verify
from benchmarks.speed.arena import Contender, Measured, compete

HERE = "benchmarks.speed"


@dataclass(frozen=True)
class Case:
    """Contenders, of which the first is ours, and points; `quick` ones for a look at whether all of it runs."""

    name: str
    title: str
    contenders: tuple[Contender, ...]
    points: tuple[str, ...]
    quick: tuple[str, ...]
    model: str | None = None
    """Of whose floating-point operations the last contender's rate is the roof."""

    def measure(self, folder: Path, rounds: int, *, quick: bool) -> list[list[Measured]]:
        """All contenders at each point."""
        points = self.quick if quick else self.points
        if self.name.startswith("verify"):
            return verify.measure(folder, self.contenders, points, rounds)
        return compete(folder, self.contenders, points, rounds)

    def flops(self, folder: Path, point: str) -> float | None:
        """Useful operations of a run at a point; None where there is no roof."""
        if self.model == "resnet20":
            return roofline.resnet_flops() * len(data.images(folder, point)[1])
        return None if self.model is None else data.flops(folder, point, self.model)


def _evaluators(model: str) -> tuple[Contender, ...]:
    return (
        Contender("ours: Running.outputs", f"{HERE}.ours:Evaluation", {"model": model}),
        Contender("torchdistill's loop, batch 32", f"{HERE}.torchdistill_loops:Evaluation", {"model": model}),
        Contender("Trainer.predict, batch 32", f"{HERE}.trainer:Evaluation", {"model": model}),
    )


def _workers(name: str, work: str, counts: Sequence[int] = (0, 2), **options: object) -> tuple[Contender, ...]:
    """Without and with worker processes; the published configurations have 16."""
    return tuple(
        Contender(f"{name}, {count or 'no'} workers", f"{HERE}.{work}", {**options, "workers": count})
        for count in counts
    )


TRAINERS = (
    Contender("ours: harness.train", f"{HERE}.ours:Training", {"kind": "text"}),
    Contender("torchdistill's TrainingBox", f"{HERE}.torchdistill_loops:Training", {"kind": "text"}),
    Contender("Trainer.train", f"{HERE}.trainer:Training"),
)
KD = {"kind": "kd", "epochs": 3}
SMALL = "MiniLM-L6"
CASES: Sequence[Case] = (
    *(
        Case(
            f"evaluate-{task}", f"Evaluation, {SMALL} on {task}'s validation split", _evaluators("minilm6"),
            (task,), (f"{task}:64",),
        )
        for task in ("rte", "sst2", "mrpc")
    ),
    Case(
        "evaluate-base", "Evaluation, BERT-base on 160 pairs of MNLI's lengths",
        (*_evaluators("base"), Contender("roof: matrix products alone", f"{HERE}.roofline:Products")),
        ("mnli:160",), ("mnli:32",), "base",
    ),
    Case(
        "evaluate-cifar", "Evaluation, ResNet-20 on 1,000 images",
        (
            Contender("ours: Running.outputs", f"{HERE}.ours:Evaluation", {"model": "resnet20"}),
            *_workers("torchdistill's loop, batch 1", "torchdistill_loops:ImageEvaluation", (0, 2, 16)),
            Contender("plain DataLoader, batch 128", f"{HERE}.pictures:Evaluation", {"batch": 128}),
            Contender("roof: convolutions alone", f"{HERE}.roofline:Convolutions"),
        ),
        ("test:1000",), ("test:128",), "resnet20",
    ),
    Case(
        "train-cifar", "Training, ResNet-20, 20 steps of 128 images, cropped and flipped",
        (
            Contender("ours: harness.train", f"{HERE}.ours:Training", {"kind": "cifar"}),
            *_workers("torchdistill's TrainingBox", "torchdistill_loops:Training", kind="cifar"),
        ),
        ("train:2560",), ("train:512",),
    ),
    Case(
        "pipeline-cifar", "The input pipeline alone, 5,000 images, cropped and flipped",
        (
            Contender("ours: PixelSplit.batch", f"{HERE}.ours:Pipeline"),
            *_workers("torchvision and a DataLoader", "pictures:Pipeline"),
        ),
        ("train:5000",), ("train:640",),
    ),
    *(
        Case(
            f"finetune-{task}", f"Fine-tuning, {SMALL} on {task}, 12 steps of 32 rows", TRAINERS,
            (f"{task}-train:384",), (f"{task}-train:96",),
        )
        for task in ("mrpc", "rte", "sst2")
    ),
    Case(
        "distil-kd", f"Distillation, {SMALL} from 12 layers, 3 epochs of rows of mrpc",
        (
            Contender("ours: harness.train", f"{HERE}.ours:Training", KD),
            Contender("torchdistill's DistillationBox", f"{HERE}.torchdistill_loops:Training", KD),
        ),
        ("mrpc-train:512",), ("mrpc-train:64",),
    ),
    Case(
        "verify-small", "`zoo verify` over entries of a small ResNet each", verify.contenders("small"),
        ("1", "10", "20"), ("1", "5"),
    ),
    Case(
        "verify-tiny", "`zoo verify` over entries of a tiny ResNet each", verify.contenders("tiny"),
        ("1", "20", "50", "100", "200"), ("1", "5", "20"),
    ),
    Case(
        "grow-rows", f"Evaluation, {SMALL}, by the number of pairs of MNLI's lengths", _evaluators("minilm6"),
        tuple(f"mnli:{count}" for count in (100, 200, 400, 800)), ("mnli:16", "mnli:32", "mnli:64"),
    ),
    Case(
        "grow-length", f"Evaluation, {SMALL}, 64 rows of one length, by their tokens", _evaluators("minilm6"),
        tuple(f"length-{length}:64" for length in made.LENGTHS),
        tuple(f"length-{length}:16" for length in (16, 64, 128)),
    ),
)  # fmt: skip
