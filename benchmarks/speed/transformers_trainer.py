"""The work of the Trainer of transformers, with its defaults but for the shared settings. It saves and logs nothing."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from benchmarks.speed import data


def _arguments(folder: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder, use_cpu=True, report_to="none", disable_tqdm=True, save_strategy="no", logging_strategy="no",
        per_device_train_batch_size=data.BATCH, per_device_eval_batch_size=data.BATCH, num_train_epochs=1,
        learning_rate=data.RATE, weight_decay=0.0, max_grad_norm=data.CLIP, lr_scheduler_type="constant",
    )  # fmt: skip


class Evaluation:
    """`Trainer.predict` in batches of 32."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder, self.temporary = folder, tempfile.TemporaryDirectory()
        collator = DataCollatorWithPadding(data.tokenizer(folder))
        network = data.classifier(folder, model)
        self.trainer = Trainer(model=network, args=_arguments(self.temporary.name), data_collator=collator)
        self.rows: dict[str, Dataset] = {}

    def begin(self, point: str) -> None:
        if point not in self.rows:
            self.rows[point] = Dataset.from_list(data.features(self.folder, point))
        self.split = self.rows[point]

    def run(self) -> None:
        self.outputs = self.trainer.predict(self.split)

    def results(self) -> Mapping[str, Any]:
        return {"logits": self.outputs.predictions}


class Training:
    """`Trainer.train` for one epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.temporary = folder, tempfile.TemporaryDirectory()
        self.rows: dict[str, Dataset] = {}

    def begin(self, point: str) -> None:
        if point not in self.rows:
            self.rows[point] = Dataset.from_list(data.features(self.folder, point))
        self.clock = _Clock()
        self.trainer = _RecordingTrainer(
            model=data.classifier(self.folder, "minilm6"), args=_arguments(self.temporary.name),
            train_dataset=self.rows[point], callbacks=[self.clock],
            data_collator=DataCollatorWithPadding(data.tokenizer(self.folder)),
        )  # fmt: skip
        self.trainer.losses = []

    def run(self) -> None:
        self.trainer.train()

    def results(self) -> Mapping[str, Any]:
        return {"losses": torch.stack(self.trainer.losses).tolist(), "marks": self.clock.marks}


class _RecordingTrainer(Trainer):  # type: ignore[misc]
    """A Trainer that takes the rows in the shared order and records the loss of each step."""

    losses: list[torch.Tensor]

    def _get_train_sampler(self, train_dataset: Any = None) -> data.Ordered:
        return data.Ordered(self.train_dataset)

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(*args, **kwargs)
        self.losses.append(loss.detach())
        return loss


class _Clock(TrainerCallback):  # type: ignore[misc]
    """Records the time at which each step ends."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.marks.append(time.perf_counter())
