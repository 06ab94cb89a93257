"""The work of torchdistill 1.1.5: its boxes and data loaders, and the loops of its examples.

The package on PyPI does not contain the examples. These loops follow `text_classification.py` and
`image_classification.py`: they log the loss at every step, and evaluate batch by batch. They compute no metrics, which
is to torchdistill's advantage.
"""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor
from torch.utils.data import SequentialSampler
from torchdistill.core.distillation import get_distillation_box
from torchdistill.core.training import get_training_box
from torchdistill.datasets.registry import register_collate_func
from torchdistill.datasets.util import build_data_loader
from torchdistill.losses.registry import register_func2extract_model_output
from torchdistill.misc.log import MetricLogger, SmoothedValue
from transformers import DataCollatorWithPadding

from benchmarks.speed import data, torchdistill_patches
from benchmarks.speed.image_loaders import Images, image_transform
from benchmarks.speed.settings import Setting, StepClock, in_precision, set_tf32

COLLATOR, LOG_EVERY = "DataCollatorWithPadding", 50
CPU = torch.device("cpu")


@register_func2extract_model_output
def loss_of_transformers(student_outputs: Any, targets: Any, **_: Any) -> dict[str, Tensor]:
    """Return the loss that a model of transformers computes, as the examples of torchdistill use it."""
    return {"loss": student_outputs.loss}


def _loader(sampler: Any, batch_size: int, workers: int = 0, collate: str | None = None) -> dict[str, Any]:
    return {
        "dataset_id": "train", "requires_supp": collate is None, "sampler": {"class_or_func": sampler},
        "collate_fn": collate, "kwargs": {"batch_size": batch_size, "num_workers": workers},
    }  # fmt: skip


def _register(folder: Path) -> None:
    register_collate_func(DataCollatorWithPadding(data.tokenizer(folder)), key=COLLATOR)


class Evaluation:
    """The evaluation loop of the text example."""

    def __init__(self, folder: Path, model: str = "", device: str = "cpu") -> None:
        _register(folder)
        self.folder, self.accelerator = folder, Accelerator(cpu=device == "cpu")
        self.chosen = Setting(device=device, model=model)
        self.models: dict[tuple[str, str], Any] = {}
        self.rows: dict[str, Dataset] = {}

    def begin(self, point: str) -> None:
        setting = self.chosen.at(point)
        name, precision = setting.model, setting.precision
        set_tf32(precision)
        if (name, precision) not in self.models:
            model = self.accelerator.prepare(data.classifier(self.folder, name))
            self.models[name, precision] = in_precision(model, setting.device, precision)
        self.model = self.models[name, precision]
        if setting.rows not in self.rows:
            self.rows[setting.rows] = Dataset.from_list(data.features(self.folder, setting.rows))
        config = _loader(SequentialSampler, data.BATCH, collate=COLLATOR)
        loader = build_data_loader(self.rows[setting.rows], {**config, "requires_supp": False}, False)
        self.loader = self.accelerator.prepare(loader)

    @torch.inference_mode()
    def run(self) -> None:
        self.model.eval()
        self.logits: list[Tensor] = []
        for batch in self.loader:
            outputs = self.model(**batch)
            self.logits.append(self.accelerator.gather(outputs.logits))

    def results(self) -> Mapping[str, Any]:
        return {"logits": torch.cat(self.logits).cpu().numpy()}


class ImageEvaluation:
    """The evaluation loop of the image example, with a batch size of 1 as in the published configurations."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.workers, self.model = folder, workers, data.resnet(folder)

    def begin(self, point: str) -> None:
        rows = Images(*data.images(self.folder, point), image_transform(augmented=False))
        self.loader = build_data_loader(
            rows, {**_loader(SequentialSampler, 1, self.workers), "requires_supp": False}, False
        )

    @torch.inference_mode()
    def run(self) -> None:
        self.model.eval()
        self.logits: list[Tensor] = []
        logger = MetricLogger(delimiter="  ")
        for image, target in logger.log_every(self.loader, 1000, "Test:"):
            output = self.model(image.to(CPU, non_blocking=True))
            target.to(CPU, non_blocking=True)
            self.logits.append(output)

    def results(self) -> Mapping[str, Any]:
        return {"logits": torch.cat(self.logits).numpy()}


class Training:
    """A box for fine-tuning (`text`), distillation (`kd`) or the ResNet (`cifar`), with the loop of the examples."""

    def __init__(self, folder: Path, kind: str, epochs: int = 1, workers: int = 0, device: str = "cpu") -> None:
        torchdistill_patches.apply()
        _register(folder)
        self.folder, self.kind, self.epochs, self.workers = folder, kind, epochs, workers
        self.chosen, self.device = Setting(device=device), torch.device(device)
        self.accelerator = None if kind == "cifar" else Accelerator(cpu=device == "cpu")
        self.rows: dict[str, Any] = {}

    def begin(self, point: str) -> None:
        setting = self.chosen.at(point)
        set_tf32(setting.precision)
        if setting.rows not in self.rows:
            self.rows[setting.rows] = self._rows(setting.rows)
        self.teacher = data.classifier(self.folder, "minilm12") if self.kind == "kd" else None
        student = data.network(self.folder, "resnet20" if self.kind == "cifar" else "minilm6").to(self.device)
        self.student = in_precision(student, setting.device, setting.precision)
        self.split = self.rows[setting.rows]
        batch = data.IMAGES if self.kind == "cifar" else data.BATCH
        self.clock = StepClock(setting.device, self.epochs * math.ceil(len(self.split) / batch))
        self.losses: list[float] = []

    def run(self) -> None:
        settings = ({"train": self.split}, self._config(), self.device, None, False, 1, self.accelerator)
        if self.teacher is None:
            box = get_training_box(self.student, *settings)
        else:
            box = get_distillation_box(self.teacher, self.student, *settings)
        for epoch in range(box.num_epochs):
            box.pre_epoch_process(epoch=epoch)
            self._epoch(box, f"Epoch: [{epoch}]")
            box.post_epoch_process()

    def results(self) -> Mapping[str, Any]:
        marks = {"marks": self.clock.marks}
        return {"losses": self.losses, **marks} if self.kind != "cifar" else marks

    def _epoch(self, box: Any, header: str) -> None:
        logger = MetricLogger(delimiter="  ")
        logger.add_meter("lr", SmoothedValue(window_size=1, fmt="{value}"))
        logger.add_meter("sample/s", SmoothedValue(window_size=10, fmt="{value}"))
        for item in logger.log_every(box.train_data_loader, LOG_EVERY, header):
            start = time.time()
            batch, targets, supplement = item if self.kind == "cifar" else (item, item["labels"], None)
            if self.kind == "cifar":
                batch, targets = batch.to(self.device), targets.to(self.device)
            loss = box.forward_process(batch, targets, supplement)
            box.post_forward_process(loss=loss)
            value = loss.item()
            logger.update(loss=value, lr=box.optimizer.param_groups[0]["lr"])
            logger.meters["sample/s"].update(len(targets) / (time.time() - start))
            self.losses.append(value)
            self.clock.mark(len(self.losses))

    def _rows(self, point: str) -> Any:
        if self.kind == "cifar":
            return Images(*data.images(self.folder, point), image_transform(augmented=True))
        return Dataset.from_list(data.features(self.folder, point))

    def _image_loader(self) -> dict[str, Any]:
        loader = _loader(data.Ordered, data.IMAGES, self.workers)
        return {**loader, "kwargs": {**loader["kwargs"], "pin_memory": self.device.type == "cuda"}}

    def _config(self) -> dict[str, Any]:
        """Return a configuration like the published samples."""
        if self.kind == "cifar":
            return {
                "num_epochs": self.epochs,
                "train_data_loader": self._image_loader(),
                "model": {"forward_proc": "forward_batch_only"},
                "optimizer": {"key": "SGD", "kwargs": dict(data.SGD)},
                "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"ce": _CROSS_ENTROPY}}},
            }
        trained: dict[str, Any] = {"forward_proc": "forward_batch_only_as_kwargs"}
        adam = {"lr": data.RATE, "weight_decay": 0.0}
        config = {
            "num_epochs": self.epochs,
            "train_data_loader": _loader(data.Ordered, data.BATCH, collate=COLLATOR),
            "optimizer": {"key": "AdamW", "kwargs": adam, "max_grad_norm": data.CLIP},
        }
        if self.kind == "text":
            weighted: dict[str, Any] = {"key": "WeightedSumLoss", "func2extract_model_loss": "loss_of_transformers"}
            return {**config, "model": trained, "criterion": {**weighted, "kwargs": {"model_term": {"weight": 1.0}}}}
        hooked = {**trained, "forward_hook": {"output": ["classifier"]}}
        return {
            **config,
            "teacher": {**hooked, "requires_grad": False},
            "student": hooked,
            "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": _KD}}},
        }


_CROSS_ENTROPY = {
    "criterion": {"key": "CrossEntropyLoss", "kwargs": {"reduction": "mean"}},
    "criterion_wrapper": {
        "key": "SimpleLossWrapper",
        "kwargs": {
            "input": {"is_from_teacher": False, "module_path": ".", "io": "output"},
            "target": {"uses_label": True},
        },
    },
    "weight": 1.0,
}
_READ = {
    f"{who}_module_{what}": of
    for who in ("student", "teacher")
    for what, of in (("path", "classifier"), ("io", "output"))
}
_KD = {
    "criterion": {"key": "KDLoss", "kwargs": {**_READ, "temperature": data.TEMPERATURE, "alpha": data.ALPHA}},
    "weight": 1.0,
}
