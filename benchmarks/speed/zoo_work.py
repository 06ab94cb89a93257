"""The work of zoo, through its public functions."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from benchmarks.speed import data
from benchmarks.speed.settings import Setting, StepClock
from harness.evaluation.evaluate import metrics_of
from harness.evaluation.split_runner import SplitRunner
from harness.models.environment import accelerator_on, deterministic
from harness.records.training_log import LOG
from harness.runs.experiment import RunContext, prepare
from harness.runs.teachers import TeacherResolver
from harness.training.cuda_graph import SWITCH
from harness.training.train import train
from harness.training.training_run import ComputeOptions, TrainingRun
from zoo import paths
from zoo.recipes.build import Builder
from zoo.recipes.catalogue import local
from zoo.recipes.claim import Precision
from zoo.tasks.base import Task
from zoo.tasks.cifar import BATCH_SIZE
from zoo.tasks.pixels import PixelSplit
from zoo.tasks.splits import TextSplit


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

    def __init__(self, folder: Path, model: str = "", device: str = "cpu", *, strict: bool = False) -> None:
        if strict and "strict" not in {field.name for field in fields(SplitRunner)}:
            raise NotImplementedError("zoo has no strict mode")
        self.options = {"strict": True} if strict else {}
        self.folder, self.accelerator = folder, accelerator_on(device)
        self.chosen = Setting(device=device, model=model)
        self.models: dict[str, nn.Module] = {}
        self.tasks: dict[str, Task] = {}

    def begin(self, point: str) -> None:
        setting = self.chosen.at(point)
        if setting.model not in self.models:
            self.models[setting.model] = data.network(self.folder, setting.model)
        if setting.rows not in self.tasks:
            make_task = image_task if setting.model == "resnet20" else text_task
            self.tasks[setting.rows] = make_task(self.folder, setting.rows)
        self.model, self.task, self.precision = self.models[setting.model], self.tasks[setting.rows], setting.precision
        self.split = self.task.load(setting.rows)

    def run(self) -> None:
        precision: Any = self.precision
        with deterministic(precision):
            runner = SplitRunner(self.model, self.task, self.accelerator, precision, **self.options)
            self.outputs = runner.outputs(self.split)

    def results(self) -> Mapping[str, Any]:
        return {"logits": self.outputs.numpy()}


class Training:
    """`harness.training.train.train` from a recipe, with its checks, log and checkpoint; with CUDA graphs if wanted."""

    def __init__(self, folder: Path, kind: str, epochs: int = 1, device: str = "cpu", graphs: bool = False) -> None:
        os.environ[SWITCH] = str(int(graphs))
        self.folder, self.kind, self.epochs, self.chosen = folder, kind, epochs, Setting(device=device)
        self.temporary = tempfile.TemporaryDirectory()
        path = Path(self.temporary.name) / f"{kind}.yaml"
        path.write_text(json.dumps(self._recipe()), encoding="utf-8")
        self.experiment = prepare(
            local(path), RunContext(builder=Builder(), accelerator=accelerator_on(device), runs=path.parent)
        )
        self.tasks: dict[str, Task] = {}

    def begin(self, point: str) -> None:
        setting = self.chosen.at(point)
        rows, precision = setting.rows, cast("Precision", setting.precision)
        if rows not in self.tasks:
            self.tasks[rows] = (
                text_task(self.folder, rows) if self.kind != "cifar" else image_task(self.folder, rows, augmented=True)
            )
        task, experiment = self.tasks[rows], self.experiment
        shutil.rmtree(paths.home() / "cache" / "teachers", ignore_errors=True)  # no round may use the cache of another
        self.training = TrainingRun(
            recipe=experiment.recipe, task=task, splits=(task.load(rows),), class_names=((),), teacher_splits=({},),
            seed=data.SEED, metrics=metrics_of(experiment.recipe, task, experiment.builder), builder=experiment.builder,
            accelerator=experiment.context.accelerator, teachers=TeacherResolver().resolve(experiment).stages,
            folder=Path(tempfile.mkdtemp(dir=self.temporary.name)), options=ComputeOptions(precision=precision),
            progress=self._mark,
        )  # fmt: skip
        self.clock = StepClock(setting.device, self.training.steps)

    def run(self) -> None:
        with deterministic(self.training.options.precision):
            train(self.training)

    def results(self) -> Mapping[str, Any]:
        lines = (self.training.folder / LOG).read_text(encoding="utf-8").splitlines()
        losses = [json.loads(line)["losses"]["total"] for line in lines]
        return {"losses": losses, "marks": self.clock.marks}

    def close(self) -> None:
        """Delete the recipe and what the trainings wrote."""
        self.temporary.cleanup()

    def _mark(self, done: int, total: int, note: str = "", seconds_left: float | None = None) -> None:
        if done:
            self.clock.mark(done)

    def _recipe(self) -> dict[str, Any]:
        """Return the recipe. The files of the task are never read, because the run gets its rows directly."""
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
        recipe = {"name": self.kind, "task": "digits", "model": model, "stages": [stage]}
        return recipe if cifar else {**recipe, **self._text_task()}

    def _text_task(self) -> dict[str, Any]:
        rows = {"data": dict.fromkeys(("train", "test"), "file:none.csv"), "text": "text"}
        task = {"use": "text_classification", **rows, "classes": data.SHAPES["minilm6"].classes}
        return {"task": task, "tokenizer": {"use": "wordpiece", "vocab": f"file:{self.folder / 'vocab.txt'}"}}


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
