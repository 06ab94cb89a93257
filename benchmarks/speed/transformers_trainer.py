"""The work of the Trainer of transformers, with its defaults but for the shared settings. It saves and logs nothing."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from benchmarks.speed import data
from benchmarks.speed.settings import Setting, StepClock, in_precision, set_tf32


def _arguments(folder: str, device: str, batch: int = data.BATCH) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder, use_cpu=device == "cpu", report_to="none", disable_tqdm=True, save_strategy="no",
        per_device_train_batch_size=data.BATCH, per_device_eval_batch_size=batch, num_train_epochs=1,
        learning_rate=data.RATE, weight_decay=0.0, max_grad_norm=data.CLIP, lr_scheduler_type="constant",
        logging_strategy="no",
    )  # fmt: skip


class Evaluation:
    """`Trainer.predict` in batches of 32 or another size; `by_length` sorts the rows before, which is not timed."""

    def __init__(
        self, folder: Path, model: str = "", device: str = "cpu", batch: int = data.BATCH, *, by_length: bool = False
    ) -> None:
        self.folder, self.temporary = folder, tempfile.TemporaryDirectory()
        self.chosen, self.batch, self.by_length = Setting(device=device, model=model), batch, by_length
        self.collator = DataCollatorWithPadding(data.tokenizer(folder))
        self.trainers: dict[tuple[str, str], Trainer] = {}
        self.rows: dict[str, tuple[Dataset, Any]] = {}

    def begin(self, point: str) -> None:
        setting = self.chosen.at(point)
        set_tf32(setting.precision)
        self.trainer = self._trainer(setting)
        if setting.rows not in self.rows:
            features = data.features(self.folder, setting.rows)
            lengths = [len(row["input_ids"]) if self.by_length else 0 for row in features]
            order = np.argsort(lengths, kind="stable")[::-1] if self.by_length else np.arange(len(features))
            self.rows[setting.rows] = Dataset.from_list([features[row] for row in order]), order
        self.split, self.order = self.rows[setting.rows]

    def run(self) -> None:
        self.outputs = self.trainer.predict(self.split)

    def results(self) -> Mapping[str, Any]:
        logits = np.empty_like(self.outputs.predictions)
        logits[self.order] = self.outputs.predictions
        return {"logits": logits}

    def _trainer(self, setting: Setting) -> Trainer:
        key = setting.model, setting.precision
        if key not in self.trainers:
            model = in_precision(data.classifier(self.folder, setting.model), setting.device, setting.precision)
            arguments = _arguments(self.temporary.name, setting.device, self.batch)
            self.trainers[key] = Trainer(model=model, args=arguments, data_collator=self.collator)
        return self.trainers[key]


class Training:
    """`Trainer.train` for one epoch."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.folder, self.temporary, self.chosen = folder, tempfile.TemporaryDirectory(), Setting(device=device)
        self.rows: dict[str, Dataset] = {}

    def begin(self, point: str) -> None:
        setting = self.chosen.at(point)
        set_tf32(setting.precision)
        if setting.rows not in self.rows:
            self.rows[setting.rows] = Dataset.from_list(data.features(self.folder, setting.rows))
        split = self.rows[setting.rows]
        self.clock = StepClock(setting.device, math.ceil(len(split) / data.BATCH))
        self.trainer = _RecordingTrainer(
            model=in_precision(data.classifier(self.folder, "minilm6"), setting.device, setting.precision),
            args=_arguments(self.temporary.name, setting.device),
            train_dataset=split, callbacks=[_Callback(self.clock)],
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


class _Callback(TrainerCallback):  # type: ignore[misc]
    """Tells a clock that a step has ended."""

    def __init__(self, clock: StepClock) -> None:
        self.clock, self.done = clock, 0

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.done += 1
        self.clock.mark(self.done)
