"""Parts of recipes with a planted fault, which `benchmarks.verdicts.trainings` trains."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.models import cifar_resnet
from zoo.tasks import digits, entailment
from zoo.tasks.base import Split, Task
from zoo.tasks.splits import TensorSplit, TextSplit

FAULT_SEED = 7
"""Draws which labels are wrong; the same rows in every training."""


class _FrozenBatchNorm(nn.BatchNorm2d):
    """Normalizes with its initial statistics, also in training."""

    def train(self, mode: bool = True) -> "_FrozenBatchNorm":
        return super().train(False)  # type: ignore[return-value]


def frozen_batch_norm(**arguments: Any) -> nn.Module:
    """Return a ResNet whose BatchNorm layers never see the statistics of the data."""
    network = cifar_resnet(**arguments)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = _FrozenBatchNorm
    return network


def digits_with_wrong_labels(share: float) -> Task:
    """Return the digits, with this share of the training rows of class 3 under another label."""

    def change(split: TensorSplit) -> TensorSplit:
        return TensorSplit(split.inputs, shuffled_labels(split.labels, 3, share))

    return _changed(digits(), change)


def few_digits() -> Task:
    """Return the digits, with half of the rows to train on."""
    return _changed(digits(), lambda split: TensorSplit(split.inputs[::2], split.labels[::2]))


def mirrored_digits() -> Task:
    """Return the digits, with a mirror image of every second row in place of the row to train on."""

    def mirror(split: TensorSplit) -> TensorSplit:
        inputs = split.inputs.clone()
        inputs[::2] = inputs[::2].flip(-1)
        return TensorSplit(inputs, split.labels)

    return _changed(digits(), mirror)


def digits_not_normalized() -> Task:
    """Return the digits with pixels in [0, 1] in all splits."""
    task = digits()
    return replace(task, splits={name: _not_normalized(load) for name, load in task.splits.items()})


def pairs_with_wrong_labels(share: float, tokenizer: Any) -> Task:
    """Return the sentence pairs, with this share of the training rows of the class "neutral" under another label."""

    def change(split: TextSplit) -> TextSplit:
        labels = shuffled_labels(split.labels, 1, share)
        return TextSplit(split.texts, labels, tokenizer=tokenizer, max_length=split.max_length)

    return _changed(entailment(tokenizer=tokenizer), change)


def shuffled_labels(labels: Tensor, of_class: int, share: float) -> Tensor:
    """Return the labels, with other classes for a share of one class. A fixed seed draws both."""
    random = torch.Generator().manual_seed(FAULT_SEED)
    rows = (labels == of_class).nonzero().flatten()
    rows = rows[torch.randperm(len(rows), generator=random)[: round(share * len(rows))]]
    classes = int(labels.max()) + 1
    changed = labels.clone()
    changed[rows] = (of_class + torch.randint(1, classes, (len(rows),), generator=random)) % classes
    return changed


def _not_normalized(load: Callable[[], Split]) -> Callable[[], Split]:
    def loaded() -> Split:
        split = cast("TensorSplit", load())
        return TensorSplit(split.inputs * 0.38 + 0.3, split.labels)

    return loaded


def _changed(task: Task, change: Callable[[Any], Split]) -> Task:
    """Return a task with other rows to train on."""
    load = task.splits["train"]
    return replace(task, splits={**task.splits, "train": lambda: change(load())})
