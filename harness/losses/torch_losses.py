"""Use losses of torch in recipes: they take logits and labels."""

import torch
from torch import Tensor, nn

from harness.losses.base import Loss
from harness.models.outputs import ModelOutputs
from zoo.trusted_code import is_part_of

OF_CLASS_NUMBERS = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
"""Losses whose labels are the numbers of classes. The other losses compare each output with the label in its place."""


class TorchLoss(Loss):
    """A loss of `torch.nn` between the logits of the student and the labels.

    Logits are `(B, C)` or `(B, C, H, W)` with class numbers, `(B, C)` with zeros and ones `(B, C)`, or `(B, 1)` with
    the targets `(B,)` of a regression. Zeros and ones are passed on as the loss expects them: as -1 and 1, or as the
    numbers of the classes in a row.

    Args:
        loss: The loss, which takes the mean over a batch.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def denominator(self, labels: Tensor) -> float:
        ignored = getattr(self.loss, "ignore_index", None)
        return len(labels) if ignored is None else float((labels != ignored).sum())

    def forward(self, student: ModelOutputs, teacher: ModelOutputs | None, labels: Tensor) -> Tensor:
        is_regression = labels.is_floating_point() and labels.dim() < student.logits.dim()
        logits = student.logits.squeeze(-1) if is_regression else student.logits
        self._check(logits, labels)
        if isinstance(self.loss, nn.SoftMarginLoss) and not is_regression:
            labels = 2 * labels - 1
        if isinstance(self.loss, nn.MultiLabelMarginLoss):
            labels = _class_numbers(labels)
        value: Tensor = self.loss(logits, labels)
        return value

    def _check(self, logits: Tensor, labels: Tensor) -> None:
        """Raise ValueError if the labels are of another kind: torch would broadcast them."""
        name, shapes = type(self.loss).__name__, f"not outputs {tuple(logits.shape)} and labels {tuple(labels.shape)}"
        if not isinstance(self.loss, OF_CLASS_NUMBERS):
            if logits.shape != labels.shape:
                raise ValueError(f"{name} compares each output with a label (regression, multilabel), {shapes}")
            return
        is_soft = isinstance(self.loss, nn.CrossEntropyLoss) and labels.dim() == 2 and labels.shape == logits.shape
        if labels.is_floating_point() and not is_soft:
            raise ValueError(f"{name} compares outputs with the numbers of classes, {shapes} of numbers")


def _class_numbers(labels: Tensor) -> Tensor:
    """Return the numbers of the classes in each row of zeros and ones, then -1, as int64 `(B, C)`."""
    classes = labels.shape[1]
    numbers = torch.where(labels > 0, torch.arange(classes, device=labels.device), classes).sort(dim=1).values
    return numbers.where(numbers < classes, -1)


def adapted(loss: nn.Module) -> nn.Module:
    """Return a loss that takes student, teacher and labels: one of torch is wrapped, any other is returned as it is."""
    return TorchLoss(loss) if is_part_of(type(loss).__module__, ("torch.nn",)) else loss
