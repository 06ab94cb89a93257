"""The work of zoo, through its public functions."""

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import data
from harness.evaluation.evaluate import SplitRunner, metrics_of
from harness.models.environment import accelerator_on, deterministic
from harness.runs.experiment import RunContext, prepare
from harness.runs.teachers import TeacherResolver
from harness.training.train import train
from harness.training.training_run import LOG, TrainingRun
from zoo import paths
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import local
from zoo.tasks.base import Task, TextSplit
from zoo.tasks.cifar import BATCH_SIZE
from zoo.tasks.pixels import PixelSplit


def text_task(folder: Path, point: str) -> Task:
    """Return a task with a single split: the rows of a point."""
    rows = data.rows(folder, point)
    tokenizer = data.tokenizer(folder)
    split = TextSplit(rows.texts, torch.tensor(rows.labels), tokenizer=tokenizer, max_length=data.MAX_LENGTH)
    return Task(name="texts", splits={point: lambda: split}, scored=(point,), metrics=("accuracy",))


def image_task(folder: Path, point: str, *, augmented: bool = False) -> Task:
    """Return a task with a single split: the images of a point, randomly cropped and flipped if `augmented`."""
    pixels, labels = data.images(folder, point)
    transforms = {"padding": data.CROP, "flip": True} if augmented else {}
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    split = PixelSplit(images, labels, mean=data.MEAN, std=data.STD, **transforms)  # type: ignore[arg-type]
    return Task(
        name="images",
        splits={point: lambda: split},
        scored=(point,),
        metrics=("accuracy",),
        batch_size=BATCH_SIZE,
    )


class Evaluation:
    """`harness.evaluation.evaluate.SplitRunner` over a split, after its texts are tokenized."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder, self.accelerator = folder, accelerator_on("cpu")
        self.model = data.resnet(folder) if model == "resnet20" else data.classifier(folder, model)
        self.tasks: dict[str, Task] = {}
        self.make_task = image_task if model == "resnet20" else text_task

    def begin(self, point: str) -> None:
        if point not in self.tasks:
            self.tasks[point] = self.make_task(self.folder, point)
        self.task = self.tasks[point]
        self.split = self.task.load(point)

    def run(self) -> None:
        with deterministic():
            self.outputs = SplitRunner(self.model, self.task, self.accelerator).outputs(self.split)

    def results(self) -> Mapping[str, Any]:
        return {"logits": self.outputs.numpy()}


class Training:
    """`harness.training.train.train` from a recipe, with its checks, log and checkpoint."""

    def __init__(self, folder: Path, kind: str, epochs: int = 1) -> None:
        self.folder, self.kind, self.epochs = folder, kind, epochs
        self.temporary = tempfile.TemporaryDirectory()
        path = Path(self.temporary.name) / f"{kind}.yaml"
        path.write_text(json.dumps(self._recipe()), encoding="utf-8")
        self.experiment = prepare(
            local(path), RunContext(builder=Builder(), accelerator=accelerator_on("cpu"), runs=path.parent)
        )
        self.tasks: dict[str, Task] = {}

    def begin(self, point: str) -> None:
        if point not in self.tasks:
            self.tasks[point] = (
                text_task(self.folder, point)
                if self.kind != "cifar"
                else image_task(self.folder, point, augmented=True)
            )
        task, experiment = self.tasks[point], self.experiment
        shutil.rmtree(paths.home() / "cache" / "teachers", ignore_errors=True)  # no round may use the cache of another
        self.marks: list[float] = []
        self.training = TrainingRun(
            recipe=experiment.recipe, task=task, splits=(task.load(point),), class_names=((),), teacher_splits=({},),
            seed=data.SEED, metrics=metrics_of(experiment.recipe, task, experiment.builder), builder=experiment.builder,
            accelerator=experiment.context.accelerator, teachers=TeacherResolver().resolve(experiment).stages,
            folder=Path(tempfile.mkdtemp(dir=self.temporary.name)), progress=self._mark,
        )  # fmt: skip

    def run(self) -> None:
        with deterministic():
            train(self.training)

    def results(self) -> Mapping[str, Any]:
        lines = (self.training.folder / LOG).read_text(encoding="utf-8").splitlines()
        return {"losses": [json.loads(line)["losses"]["total"] for line in lines], "marks": self.marks}

    def _mark(self, done: int, total: int, note: str = "") -> None:
        if done:
            self.marks.append(time.perf_counter())

    def _recipe(self) -> dict[str, Any]:
        """Return the recipe. The task named here is never read, because the run gets its rows directly."""
        cifar = self.kind == "cifar"
        network = {"use": "cifar_resnet", **data.PUBLISHED_RESNET} if cifar else _bert("minilm6")
        source = f"file:{self.folder / ('resnet20' if cifar else 'minilm6')}.safetensors"
        adam = {"use": "AdamW", "lr": data.RATE, "weight_decay": 0.0}
        stage: dict[str, Any] = {
            "epochs": self.epochs,
            "batch_size": data.IMAGES if cifar else data.BATCH,
            "optimizer": {"use": "SGD", **data.SGD} if cifar else adam,
            "criterion": {"ce": {"loss": "CrossEntropy"}},
        }
        if not cifar:
            stage["clip_norm"] = data.CLIP
        if self.kind == "kd":
            stage["teacher"] = {"model": _bert("minilm12"), "weights": f"file:{self.folder / 'minilm12.safetensors'}"}
            loss = {"use": "KD", "temperature": data.TEMPERATURE, "alpha": data.ALPHA}
            stage["criterion"] = {"kd": {"loss": loss}}
        model = {"use": "pretrained", "model": network, "weights": source}
        return {"name": self.kind, "task": "digits", "model": model, "stages": [stage]}


def _bert(name: str) -> dict[str, Any]:
    return {"use": "bert_classifier", **data.SHAPES[name].arguments()}


class Pipeline:
    """`PixelSplit.batch` for each batch of an epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, point: str) -> None:
        self.split = image_task(self.folder, point, augmented=True).load(point)
        self.order = torch.randperm(len(self.split)).tolist()

    def run(self) -> None:
        self.rows = 0
        for start in range(0, len(self.order), data.IMAGES):
            self.rows += len(self.split.batch(self.order[start : start + data.IMAGES]).labels)

    def results(self) -> Mapping[str, Any]:
        return {"rows": self.rows}
